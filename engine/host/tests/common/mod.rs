//! An engine on loopback, and callers that are nothing but plain sockets.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use vox_codecs::CodecKind;
use vox_codecs::codec::{Decoder, Encoder};
use vox_engine::call::pipeline::Agent;
use vox_engine::call::{CallId, Direction, Event, Limits, MediaSession, Reason};
use vox_engine::{CallOptions, Engine, EngineConfig, EngineEvent, Events, RecordingOptions};
use vox_rtp::{RtpHeader, RtpPacket, RtpTime, SeqNo, Ssrc};

pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running engine and everything it has said so far.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) events: Events,
    pub(crate) heard: Vec<EngineEvent>,
}

impl Rig {
    /// One unpinned shard for `calls` calls.
    pub(crate) fn new(calls: usize) -> Self {
        let (engine, events) = Engine::start(EngineConfig {
            bind: LOCALHOST,
            ports: ports_for(calls),
            cores: vec![],
            calls_per_shard: calls,
            port_quarantine: Duration::ZERO,
        })
        .unwrap();
        Self { engine, events, heard: vec![] }
    }

    /// A call that echoes what `caller` says, from the next slice on.
    pub(crate) fn echo(&self, caller: &Caller, recording: Option<RecordingOptions>) -> Live {
        let opened =
            self.engine.open(CallOptions { limits: LIMITS, recording, vad: None }).unwrap();
        self.engine.attach(opened.call, Agent::echo()).unwrap();
        self.engine.answer(opened.call, session(caller.address())).unwrap();
        Live { call: opened.call, rtp: opened.rtp }
    }

    /// So many callers with an echo each.
    pub(crate) fn echoes(&self, calls: usize) -> Vec<(Caller, Live)> {
        let one = || {
            let caller = Caller::new();
            let live = self.echo(&caller, None);
            (caller, live)
        };
        std::iter::repeat_with(one).take(calls).collect()
    }

    /// Waits until an event that `wanted` accepts was said; it stays in `heard`.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&EngineEvent) -> bool,
    ) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.heard.iter().position(&mut wanted) {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what} in {:?}", self.stats_and_events());
            self.events.wait(Duration::from_millis(100));
            self.drain();
        }
    }

    pub(crate) fn drain(&mut self) {
        self.events.drain(|event| self.heard.push(event));
    }

    pub(crate) fn wait_for_end(&mut self, of: CallId) -> Reason {
        let at = self.wait_for(
            "Ended",
            |event| matches!(event, EngineEvent::Call(Event::Ended { call, .. }) if *call == of),
        );
        match &self.heard[at] {
            EngineEvent::Call(Event::Ended { ending, .. }) => ending.reason,
            other => panic!("{other:?}"),
        }
    }

    /// Hangs up, and waits for the end.
    pub(crate) fn hang_up(&mut self, call: CallId) {
        self.engine.close(call, Reason::CallerHungUp).unwrap();
        assert_eq!(self.wait_for_end(call), Reason::CallerHungUp);
    }

    fn stats_and_events(&self) -> String {
        let kinds: Vec<String> = self
            .heard
            .iter()
            .map(|event| format!("{event:?}").chars().take(60).collect())
            .collect();
        format!("{kinds:?} {:?}", self.engine.stats())
    }
}

/// Waits until `holds`, polling what has no event of its own.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// A call, as its caller knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    pub(crate) call: CallId,
    pub(crate) rtp: SocketAddr,
}

/// A caller who speaks PCMU from one socket and listens on it.
pub(crate) struct Caller {
    pub(crate) socket: UdpSocket,
    encoder: Encoder,
    decoder: Decoder,
    sent: u32,
    ssrc: u32,
    /// Everything heard so far, in order of arrival.
    pub(crate) audio: Vec<i16>,
    pub(crate) packets: usize,
}

impl Caller {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let ssrc = u32::from(socket.local_addr().unwrap().port());
        let (encoder, decoder) = (Encoder::new(CodecKind::Pcmu), Decoder::new(CodecKind::Pcmu));
        Self { socket, encoder, decoder, sent: 0, ssrc, audio: vec![], packets: 0 }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends the next 20 ms of a tone.
    pub(crate) fn say(&mut self, to: SocketAddr) {
        let pcm: Vec<i16> = (0..160).map(|i| tone(self.sent * 160 + i)).collect();
        let header = RtpHeader {
            marker: self.sent == 0,
            payload_type: 0,
            seq: SeqNo(self.sent as u16),
            time: RtpTime(self.sent * 160),
            ssrc: Ssrc(self.ssrc),
        };
        let mut packet = [0; 172];
        let payload = header.write(&mut packet);
        assert_eq!(self.encoder.encode(&pcm, payload), 160);
        self.socket.send_to(&packet, to).unwrap();
        self.sent += 1;
    }

    /// Takes what has arrived.
    pub(crate) fn hear(&mut self) {
        let mut bytes = [0; 2_000];
        while let Ok(len) = self.socket.recv(&mut bytes) {
            let Ok(packet) = RtpPacket::parse(&bytes[..len]) else { continue };
            if packet.header.payload_type != 0 {
                continue;
            }
            let mut pcm = [0; 1_000];
            let samples = self.decoder.decode(packet.payload, &mut pcm).unwrap();
            self.audio.extend_from_slice(&pcm[..samples]);
            self.packets += 1;
        }
    }

    /// Whether the last 200 ms that were heard are the tone, loud and clear.
    pub(crate) fn hears_the_tone(&self) -> bool {
        let Some(recent) = self.audio.last_chunk::<1_600>() else { return false };
        is_the_tone(recent)
    }
}

/// Lets all callers talk, 20 ms at a time, until `done` says so.
pub(crate) fn talk(
    callers: &mut [(Caller, Live)],
    mut done: impl FnMut(&mut [(Caller, Live)]) -> bool,
) {
    let start = Instant::now();
    for tick in 0u32.. {
        assert!(start.elapsed() < PATIENCE, "the callers talk for ever");
        for (caller, live) in callers.iter_mut() {
            caller.say(live.rtp);
            caller.hear();
        }
        if done(callers) {
            return;
        }
        let next = start + tick * Duration::from_millis(20);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Nearly all of the energy is at the caller's 400 Hz.
pub(crate) fn is_the_tone(audio: &[i16]) -> bool {
    let (mut sine, mut cosine, mut energy) = (0.0, 0.0, 0.0);
    for (i, &sample) in audio.iter().enumerate() {
        let angle = f64::from(TONE_HZ) * std::f64::consts::TAU * i as f64 / 8_000.0;
        let sample = f64::from(sample);
        sine += sample * angle.sin();
        cosine += sample * angle.cos();
        energy += sample * sample;
    }
    let count = audio.len() as f64;
    let at_tone = (sine * sine + cosine * cosine) * 2.0 / count;
    energy / count > 1e6 && at_tone > 0.95 * energy
}

pub(crate) fn session(remote: SocketAddr) -> MediaSession {
    MediaSession {
        remote,
        remote_rtcp: None,
        rtcp_mux: true,
        payload_type: 0,
        event_payload_type: Some(101),
        noise_payload_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
        encoder: Encoder::new(CodecKind::Pcmu),
        decoder: Decoder::new(CodecKind::Pcmu),
    }
}

/// RTP ports for `calls` calls that no other test of this machine uses: below those that the
/// kernel hands out, in a part chosen by process.
pub(crate) fn ports_for(calls: usize) -> RangeInclusive<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = (calls as u16 * 2 + 1) & !1;
    let part = 12_000 + (std::process::id() % 16) as u16 * 1_000;
    let first = part + NEXT.fetch_add(width, Ordering::Relaxed);
    first..=first + width - 1
}

/// Limits that no test reaches unless it means to.
pub(crate) const LIMITS: Limits = Limits {
    answer: Duration::from_secs(60),
    no_audio: Duration::from_secs(60),
    duration: Duration::from_secs(600),
};

fn tone(sample: u32) -> i16 {
    let period = 8_000 / TONE_HZ;
    let angle = std::f64::consts::TAU * f64::from(sample % period) / f64::from(period);
    (8_000.0 * angle.sin()) as i16
}

const TONE_HZ: u32 = 400;
