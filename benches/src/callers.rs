//! The callers: one socket each, a packet every 20 ms, the calls spread evenly over that time. Once
//! a second each one speaks up for a moment, and listens when that comes back.

use std::io::{BufRead, stdin};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_rtp::{RtpHeader, RtpPacket, RtpTime, SeqNo, Ssrc};

use crate::process;
use crate::sip::{Dialog, Sip};

/// How many there are, and whom they call.
#[derive(Debug, Args)]
pub struct Callers {
    /// Calls at once.
    #[arg(long)]
    calls: usize,
    /// The SIP server to call; without one, a line of UDP ports is read.
    #[arg(long)]
    sip: Option<SocketAddr>,
    /// Whom to call there.
    #[arg(long, default_value = "echo")]
    user: String,
}

struct Caller {
    socket: UdpSocket,
    packet: [u8; PACKET_BYTES],
    /// When the caller last spoke up, until it comes back.
    spoke: Option<Instant>,
}

/// What all of them sent and heard.
#[derive(Debug, Default)]
struct Heard {
    sent: u64,
    received: u64,
    round_trips: Vec<Duration>,
}

/// Prints its ports, is answered (over SIP, or by a line of ports), says `ready`, runs until its
/// input closes, and prints packets sent and received and the round trips' percentiles.
pub fn run(options: &Callers) -> Result<()> {
    let mut callers = (0..options.calls).map(|_| Caller::new()).collect::<Result<Vec<_>>>()?;
    let ports = callers
        .iter()
        .map(|caller| Ok(caller.socket.local_addr()?.port()))
        .collect::<Result<Vec<_>>>()?;
    println!("{}", process::join(ports.iter().copied()));
    let sip = options.sip.map(Sip::new).transpose()?;
    let mut dialogs: Vec<Dialog> = vec![];
    let remotes = match &sip {
        Some(sip) => {
            for (index, &port) in ports.iter().enumerate() {
                dialogs.push(sip.call(index, &options.user, port)?);
            }
            dialogs.iter().map(|dialog| dialog.media).collect()
        }
        None => process::split(&stdin().lock().lines().next().context("no ports")??)?,
    };
    for (caller, port) in callers.iter_mut().zip(remotes) {
        caller.socket.connect((Ipv4Addr::LOCALHOST, port))?;
    }
    println!("ready");
    let stopped = AtomicBool::new(false);
    let mut heard = thread::scope(|scope| {
        let talking = scope.spawn(|| talk(&mut callers, &stopped));
        let waited = process::wait_for_parent();
        stopped.store(true, Ordering::Relaxed);
        waited.and(talking.join().map_err(|_| anyhow!("the callers panicked")))
    })?;
    if let Some(sip) = &sip {
        dialogs.iter().try_for_each(|dialog| sip.bye(dialog))?;
    }
    heard.round_trips.sort();
    let [p50, p95, p99] = [50, 95, 99].map(|percent| heard.percentile_ms(percent));
    println!("{} {} {p50} {p95} {p99}", heard.sent, heard.received);
    Ok(())
}

impl Caller {
    fn new() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, packet: [0; PACKET_BYTES], spoke: None })
    }

    fn listen(&mut self, heard: &mut Heard) {
        let mut bytes = [0; 512];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            heard.received += 1;
            let Some(spoke) = self.spoke else { continue };
            let Ok(packet) = RtpPacket::parse(&bytes[..length]) else { continue };
            if is_loud(packet.payload) {
                heard.round_trips.push(spoke.elapsed());
                self.spoke = None;
            }
        }
    }
}

impl Heard {
    fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.round_trips.len() * percent / 100).min(self.round_trips.len().max(1) - 1);
        self.round_trips.get(at).map_or(f64::NAN, |time| time.as_micros() as f64 / 1_000.0)
    }
}

fn talk(callers: &mut [Caller], stopped: &AtomicBool) -> Heard {
    let (loud, quiet) = (frame(8_000.0), frame(60.0));
    let mut heard = Heard::default();
    let start = Instant::now();
    let calls = callers.len() as u32;
    for n in 0u32.. {
        let (round, index) = (n / calls, n % calls);
        let due = start + FRAME * round + FRAME * index / calls;
        if due.saturating_duration_since(Instant::now()) > STEP {
            callers.iter_mut().for_each(|caller| caller.listen(&mut heard));
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let caller = &mut callers[index as usize];
        // Each at its own moment of the second.
        let turn = (round + index) % ROUNDS_PER_TURN;
        let payload = if turn < LOUD_ROUNDS { &loud } else { &quiet };
        caller.packet[RtpHeader::LEN..].copy_from_slice(payload);
        header(round, index).write(&mut caller.packet);
        if turn == 0 && round > SETTLED_ROUNDS {
            caller.spoke = Some(Instant::now());
        }
        heard.sent += u64::from(caller.socket.send(&caller.packet).is_ok());
    }
    heard
}

fn header(round: u32, index: u32) -> RtpHeader {
    RtpHeader {
        marker: round == 0,
        payload_type: 0,
        seq: SeqNo(round as u16),
        time: RtpTime(round.wrapping_mul(160)),
        ssrc: Ssrc(index + 1),
    }
}

/// 20 ms of a tone in µ-law.
fn frame(amplitude: f64) -> [u8; 160] {
    let tone = |i: u16| (amplitude * (f64::from(i) * std::f64::consts::TAU / 20.0).sin()) as i16;
    let pcm: Vec<i16> = (0..160).map(tone).collect();
    let mut payload = [0; 160];
    Encoder::new(CodecKind::Pcmu).encode(&pcm, &mut payload);
    payload
}

fn is_loud(payload: &[u8]) -> bool {
    let mut pcm = [0; 160];
    let samples = payload.len().min(160);
    let decoded = Decoder::new(CodecKind::Pcmu).decode(&payload[..samples], &mut pcm);
    decoded.is_ok() && pcm.iter().any(|sample| sample.unsigned_abs() > LOUD)
}

const PACKET_BYTES: usize = RtpHeader::LEN + 160;
const FRAME: Duration = Duration::from_millis(20);
/// Calls that are due within this time are sent together.
const STEP: Duration = Duration::from_micros(500);
/// Once a second
const ROUNDS_PER_TURN: u32 = 50;
/// for a fifth of it.
const LOUD_ROUNDS: u32 = 10;
/// Between the quiet and the loud tone.
const LOUD: u16 = 2_000;
/// Jitter buffers find their length first.
const SETTLED_ROUNDS: u32 = 100;
