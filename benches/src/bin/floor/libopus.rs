//! libopus alone: for each caller a decode and an encode every 20 ms, in the slices of 2 ms that
//! the engine works in, and nothing else.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use vox_benches::process;
use vox_codecs::{CodecKind, Decoder, Encoder};

use crate::{Peers, voice};

/// Prints a port for each caller, where nobody listens; runs until its input closes.
pub(crate) fn run(options: &Peers) -> Result<()> {
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = deaf.local_addr()?.port();
    println!("{}", process::join(options.peers.iter().map(|_| port)));
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let working = scope.spawn(|| work(options.peers.len(), &stopped));
        process::wait_for_parent()?;
        stopped.store(true, Ordering::Relaxed);
        working.join().map_err(|_| anyhow!("libopus panicked"))
    })
}

fn work(calls: usize, stopped: &AtomicBool) {
    let packets = voice::packets(CodecKind::Opus);
    let new = |_| (Decoder::new(CodecKind::Opus), Encoder::new(CodecKind::Opus));
    let mut codecs: Vec<_> = (0..calls).map(new).collect();
    let (mut pcm, mut payload) = ([0; 320], [0; 1_500]);
    let start = Instant::now();
    for slice in 0u32.. {
        if stopped.load(Ordering::Relaxed) {
            break;
        }
        let (frame, part) = ((slice / SLICES) as usize, (slice % SLICES) as usize);
        for (call, (decoder, encoder)) in codecs.iter_mut().enumerate().skip(part) {
            if call % SLICES as usize == part {
                let packet = &packets[(frame + call) % packets.len()];
                let decoded = decoder.decode(packet, &mut pcm).is_ok();
                assert!(decoded && encoder.encode(&pcm, &mut payload) > 0, "our own packets");
            }
        }
        let due = start + SLICE * (slice + 1);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

const SLICES: u32 = 10;
const SLICE: Duration = Duration::from_millis(2);
