//! The engine with one echo call for each caller.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use vox_benches::process;
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_engine::call::hearing::VadOptions;
use vox_engine::call::pipeline::Agent;
use vox_engine::call::{Direction, Limits, MediaSession};
use vox_engine::{CallOptions, Engine, EngineConfig, RecordingOptions};

use crate::Peers;
use crate::generator::payload_type;
use crate::side::Side;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Prints its ports, runs until its input closes, prints what it dropped.
pub(crate) fn run(side: Side, options: &Peers) -> Result<()> {
    let (engine, _events) = Engine::start(EngineConfig {
        bind: LOCALHOST,
        ports: 20_000..=29_999,
        cores: vec![options.core],
        calls_per_shard: options.peers.len(),
        port_quarantine: Duration::ZERO,
    })?;
    let hour = Duration::from_secs(3_600);
    let limits = Limits { answer: hour, no_audio: hour, duration: hour };
    let recordings = tempfile::tempdir()?;
    let vad = matches!(side, Side::Vad | Side::Recording).then(VadOptions::default);
    let mut ports = vec![];
    for &peer in &options.peers {
        let path = recordings.path().join(format!("{peer}.wav"));
        let recording = RecordingOptions { path, rate_hz: 8_000, channels: 2 };
        let recording = (side == Side::Recording).then_some(recording);
        let opened = engine.open(CallOptions { limits, recording, vad })?;
        engine.attach(opened.call, Agent::echo())?;
        engine.answer(opened.call, session(side.codec(), SocketAddr::new(LOCALHOST, peer)))?;
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

fn session(codec: CodecKind, remote: SocketAddr) -> MediaSession {
    MediaSession {
        remote,
        remote_rtcp: None,
        rtcp_mux: false,
        payload_type: payload_type(codec),
        event_payload_type: Some(101),
        noise_payload_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
        encoder: Encoder::new(codec),
        decoder: Decoder::new(codec),
    }
}
