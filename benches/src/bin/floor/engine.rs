//! The engine with one G.711 echo call for each caller.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use vox_benches::process;
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_engine::call::pipeline::Agent;
use vox_engine::call::{Direction, Limits, MediaSession};
use vox_engine::{CallOptions, Engine, EngineConfig};

use crate::Peers;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Prints its ports, runs until its input closes, prints what it dropped.
pub(crate) fn run(options: &Peers) -> Result<()> {
    let (engine, _events) = Engine::start(EngineConfig {
        bind: LOCALHOST,
        ports: 20_000..=29_999,
        cores: vec![options.core],
        calls_per_shard: options.peers.len(),
        port_quarantine: Duration::ZERO,
    })?;
    let hour = Duration::from_secs(3_600);
    let limits = Limits { answer: hour, no_audio: hour, duration: hour };
    let mut ports = vec![];
    for &peer in &options.peers {
        let opened = engine.open(CallOptions { limits, recording: None, vad: None })?;
        engine.attach(opened.call, Agent::echo())?;
        engine.answer(opened.call, session(SocketAddr::new(LOCALHOST, peer)))?;
        ports.push(opened.rtp.port());
    }
    println!("{}", process::join(ports));
    process::wait_for_parent()?;
    let stats = engine.stats();
    let lost: u64 = stats.dropped.iter().sum::<u64>() + stats.send_failed + stats.skipped_frames;
    println!("{lost} dropped, {} late slices", stats.late_ticks);
    engine.stop();
    Ok(())
}

fn session(remote: SocketAddr) -> MediaSession {
    MediaSession {
        remote,
        remote_rtcp: None,
        rtcp_mux: false,
        payload_type: 0,
        event_payload_type: Some(101),
        noise_payload_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
        encoder: Encoder::new(CodecKind::Pcmu),
        decoder: Decoder::new(CodecKind::Pcmu),
    }
}
