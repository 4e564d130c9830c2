//! The callers: one socket each, a packet every 20 ms, the calls spread evenly over that time.

use std::io::BufRead;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use vox_benches::process;
use vox_codecs::CodecKind;
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

use crate::voice;

#[derive(Debug, Args)]
pub(crate) struct Callers {
    /// Calls at once.
    #[arg(long)]
    calls: usize,
    /// They speak Opus; else G.711.
    #[arg(long)]
    opus: bool,
}

struct Caller {
    socket: UdpSocket,
    /// Header and payload of the next packet.
    packet: Vec<u8>,
}

/// Prints its ports, is told the servers' ports, runs until its input closes, prints what it sent
/// and what came back.
pub(crate) fn run(options: &Callers) -> Result<()> {
    let mut callers = (0..options.calls)
        .map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            Ok(Caller { socket, packet: vec![] })
        })
        .collect::<Result<Vec<_>>>()?;
    let ports = callers
        .iter()
        .map(|caller| Ok(caller.socket.local_addr()?.port()))
        .collect::<Result<Vec<_>>>()?;
    println!("{}", process::join(ports));

    let line = std::io::stdin().lock().lines().next().context("no ports")??;
    for (caller, port) in callers.iter_mut().zip(process::split(&line)?) {
        caller.socket.connect((Ipv4Addr::LOCALHOST, port))?;
    }
    let codec = if options.opus { CodecKind::Opus } else { CodecKind::Pcmu };
    let voice = voice::packets(codec);
    let stopped = AtomicBool::new(false);
    let (sent, received) = thread::scope(|scope| {
        let talking = scope.spawn(|| talk(&mut callers, codec, &voice, &stopped));
        let waited = process::wait_for_parent();
        stopped.store(true, Ordering::Relaxed);
        waited.and(talking.join().map_err(|_| anyhow::anyhow!("the callers panicked")))
    })?;
    println!("{sent} {received}");
    Ok(())
}

fn talk(
    callers: &mut [Caller],
    codec: CodecKind,
    voice: &[Vec<u8>],
    stopped: &AtomicBool,
) -> (u64, u64) {
    let start = Instant::now();
    let calls = callers.len() as u32;
    let (mut sent, mut received, mut bytes) = (0, 0, [0; 1_500]);
    for n in 0u32.. {
        let (round, index) = (n / calls, n % calls);
        let due = start + FRAME * round + FRAME * index / calls;
        let early = due.saturating_duration_since(Instant::now());
        if early > STEP {
            for caller in callers.iter() {
                while caller.socket.recv(&mut bytes).is_ok() {
                    received += 1;
                }
            }
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let caller = &mut callers[index as usize];
        let header = RtpHeader {
            marker: round == 0,
            payload_type: payload_type(codec),
            seq: SeqNo(round as u16),
            time: RtpTime(round.wrapping_mul(codec.clock_hz() / 50)),
            ssrc: Ssrc(index + 1),
        };
        // Not all of them say the same at once.
        let payload = &voice[(round + index) as usize % voice.len()];
        caller.packet.resize(RtpHeader::LEN + payload.len(), 0);
        header.write(&mut caller.packet)[..payload.len()].copy_from_slice(payload);
        sent += u64::from(caller.socket.send(&caller.packet).is_ok());
    }
    (sent, received)
}

/// The one that caller and engine have agreed on.
pub(crate) const fn payload_type(codec: CodecKind) -> u8 {
    match codec {
        CodecKind::Opus => 111,
        _ => 0,
    }
}

const FRAME: Duration = Duration::from_millis(20);
/// Calls that are due within this time are sent together.
const STEP: Duration = Duration::from_micros(500);
