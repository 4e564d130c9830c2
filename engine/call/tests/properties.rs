//! Whatever arrives, in whatever order: no panic, every buffer back exactly once, every call ended
//! exactly once.

mod common;

use std::net::SocketAddr;

use common::{Caller, World, ms, session};
use proptest::prelude::*;
use vox_call::pipeline::{Agent, Prompt, tap};
use vox_call::{
    CallId, Command, Component, Digits, Direction, Event, LegKey, Limits, MediaSession, Reason,
};
use vox_codecs::CodecKind;
use vox_rtp::Ssrc;
use vox_rtp::rtcp::CompoundWriter;

/// Something that happens to a shard of [`CAPACITY`] calls.
#[derive(Debug, Clone)]
enum Step {
    Open(u64),
    Answer {
        call: u64,
        codec: usize,
        direction: usize,
        host: u8,
        ptime_ms: u8,
        mux: bool,
    },
    Attach {
        call: u64,
        agent: usize,
    },
    Play(u64, usize),
    Record(u64, bool),
    Digits(u64),
    Close(u64),
    Query(u64),
    /// Any bytes.
    Bytes {
        call: u64,
        host: u8,
        rtcp: bool,
        bytes: Vec<u8>,
    },
    /// RTP with a good header and any payload; `jump` moves sequence and time.
    Rtp {
        call: u64,
        host: u8,
        payload_type: u8,
        ssrc: u8,
        jump: i16,
        payload: Vec<u8>,
    },
    /// Sound RTCP, perhaps with a goodbye.
    Report {
        call: u64,
        host: u8,
        ssrc: u8,
        bye: bool,
    },
    /// A datagram for any leg at all.
    Stray(u16, u32),
    Wait(u64),
    Stall(u64),
    Exhaust(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop_oneof![8 => 1..=2_u64, 1 => 3..=6_u64];
    let host = || prop_oneof![8 => Just(0), 1 => 1..3_u8];
    let bytes = prop::collection::vec(any::<u8>(), 0..120);
    prop_oneof![
        2 => call.clone().prop_map(Step::Open),
        1 => (call.clone(), 0..4_usize, 0..6_usize, host(), any::<u8>(), any::<bool>()).prop_map(
            |(call, codec, direction, host, ptime_ms, mux)| {
                Step::Answer { call, codec, direction, host, ptime_ms, mux }
            }
        ),
        2 => (call.clone(), 0..5_usize).prop_map(|(call, agent)| Step::Attach { call, agent }),
        1 => (call.clone(), 0..2_000_usize).prop_map(|(call, len)| Step::Play(call, len)),
        1 => (call.clone(), any::<bool>()).prop_map(|(call, on)| Step::Record(call, on)),
        1 => call.clone().prop_map(Step::Digits),
        1 => (1..=30_u64).prop_map(Step::Close),
        1 => call.clone().prop_map(Step::Query),
        4 => (call.clone(), host(), any::<bool>(), bytes.clone()).prop_map(
            |(call, host, rtcp, bytes)| Step::Bytes { call, host, rtcp, bytes }
        ),
        // The first bytes of RTCP, so that more of it gets past the classification.
        2 => (call.clone(), host(), 200..=206_u8, bytes.clone()).prop_map(
            |(call, host, kind, mut bytes)| {
                bytes.splice(0..0, [0x81, kind, 0, (bytes.len() / 4) as u8]);
                bytes.truncate(4 + (bytes.len() - 4) / 4 * 4);
                Step::Bytes { call, host, rtcp: true, bytes }
            }
        ),
        2 => (call.clone(), host(), 0..2_u8, any::<bool>()).prop_map(
            |(call, host, ssrc, bye)| Step::Report { call, host, ssrc, bye }
        ),
        40 => (call, host(), 0..10_u8, ssrc(), jump(), bytes).prop_map(
            |(call, host, payload_type, ssrc, jump, payload)| {
                Step::Rtp { call, host, payload_type, ssrc, jump, payload }
            }
        ),
        1 => (any::<u16>(), 0..4_u32).prop_map(|(slot, generation)| Step::Stray(slot, generation)),
        20 => (0..30_u64).prop_map(Step::Wait),
        1 => prop_oneof![9 => 0..60_u64, 1 => 0..2_500_u64].prop_map(Step::Stall),
        1 => (0..5_u8).prop_map(|n| Step::Exhaust(n == 0)),
    ]
}

fn ssrc() -> impl Strategy<Value = u8> {
    prop_oneof![20 => Just(0), 1 => 0..3_u8]
}

fn jump() -> impl Strategy<Value = i16> {
    prop_oneof![20 => Just(0), 3 => -5..5_i16, 1 => any::<i16>()]
}

fn host(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host + 1], 4_000))
}

fn agreed(codec: usize, direction: usize, at: u8, ptime_ms: u8, mux: bool) -> MediaSession {
    let codec = CODECS[codec];
    let direction = match direction {
        0 => Direction::SendOnly,
        1 => Direction::RecvOnly,
        2 => Direction::Inactive,
        _ => Direction::SendRecv,
    };
    let remote = host(at).to_string();
    let noise_payload_type = Some(13);
    MediaSession {
        direction,
        ptime_ms,
        rtcp_mux: mux,
        noise_payload_type,
        ..session(codec, &remote)
    }
}

fn agent(kind: usize) -> Agent {
    match kind {
        0 => Agent::silent(),
        1 => Agent::echo(),
        2 => Agent::tone(16_000, 300.0),
        _ => {
            let prompt = Prompt { samples: vec![1; 1_000].into(), rate_hz: 8_000 };
            Agent::play(prompt, kind == 3)
        }
    }
}

const CODECS: [CodecKind; 4] = [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus];
const CAPACITY: usize = 4;
const SHORT: Limits = Limits { answer: ms(3_000), no_audio: ms(2_000), duration: ms(9_000) };

/// A world, what was asked of it, and one stream per call.
struct Run {
    world: World,
    /// By call id; the codec is the one last answered with.
    streams: Vec<Caller>,
    opened: u64,
}

impl Run {
    fn new() -> Self {
        let streams = (0..7).map(|_| Caller::new(CodecKind::Pcmu, "192.0.2.1:4000")).collect();
        let mut run = Self { world: World::new(CAPACITY), streams, opened: 0 };
        for call in 1..=2 {
            run.apply(Step::Open(call));
            let (codec, direction, host, ptime_ms, mux) = (call as usize, 3, 0, 20, false);
            run.apply(Step::Answer { call, codec, direction, host, ptime_ms, mux });
        }
        run
    }

    /// A call's leg: the present one, or one long gone.
    fn leg(&self, call: u64) -> LegKey {
        self.world.try_leg(CallId(call)).unwrap_or(LegKey { slot: 0, generation: 0 })
    }

    fn apply(&mut self, step: Step) {
        let world = &mut self.world;
        match step {
            Step::Open(id) => {
                self.opened += 1;
                let (recording, _) = tap(20, 8_000);
                world.open(id, SHORT, Some(Box::new(recording)));
            }
            Step::Answer { call, codec, direction, host, ptime_ms, mux } => {
                self.streams[call as usize].codec = CODECS[codec];
                world.answer(CallId(call), agreed(codec, direction, host, ptime_ms, mux));
            }
            Step::Attach { call, agent: kind } => world.attach(CallId(call), agent(kind)),
            Step::Play(call, len) => {
                let prompt = Prompt { samples: vec![7; len].into(), rate_hz: 8_000 };
                world.command(Command::Play { call: CallId(call), id: 1, prompt });
            }
            Step::Record(call, on) => {
                let tap = on.then(|| Box::new(tap(5, 8_000).0));
                world.command(Command::Record { call: CallId(call), tap });
            }
            Step::Digits(call) => {
                let digits = Digits::new("0123456789*#ABCD").unwrap();
                world.command(Command::Digits { call: CallId(call), digits });
            }
            Step::Close(call) => world.close(CallId(call), Reason::CallerHungUp),
            Step::Query(call) => world.command(Command::Query { call: CallId(call) }),
            Step::Wait(time) => world.run(ms(time)),
            Step::Stall(time) => world.stall(ms(time)),
            Step::Exhaust(on) => world.memory.exhausted = on,
            Step::Stray(slot, generation) => {
                let leg = LegKey { slot, generation };
                world.deliver_to(leg, Component::Rtp, host(0), &[0x80; 40]);
            }
            Step::Report { call, host: at, ssrc, bye } => {
                let mut bytes = [0; 100];
                let ssrc = Ssrc(ssrc.into());
                let report = CompoundWriter::receiver_report(&mut bytes, ssrc, &[]).unwrap();
                let report = if bye { report.bye(&[ssrc], b"").unwrap() } else { report };
                let len = report.finish();
                let leg = self.leg(call);
                self.world.deliver_to(leg, Component::Rtcp, host(at), &bytes[..len]);
            }
            Step::Bytes { call, host: at, rtcp, bytes } => {
                let component = if rtcp { Component::Rtcp } else { Component::Rtp };
                let leg = self.leg(call);
                self.world.deliver_to(leg, component, host(at), &bytes);
            }
            Step::Rtp { call, host: at, payload_type, ssrc, jump, payload } => {
                let stream = &mut self.streams[call as usize];
                stream.ssrc = ssrc.into();
                stream.seq = stream.seq.wrapping_add_signed(jump);
                stream.time = stream.time.wrapping_add_signed(i32::from(jump) * 160);
                stream.payload_type = match payload_type {
                    0 => 101,
                    1 => 13,
                    2 => 55,
                    _ => common::payload_type(stream.codec),
                };
                let packet = stream.packet(&payload);
                let leg = self.leg(call);
                self.world.deliver_to(leg, Component::Rtp, host(at), &packet);
            }
        }
        let counters = self.world.shard.counters();
        assert_eq!(counters.buffers_held, self.world.memory.held() as u64);
        assert_eq!(counters.faults, 0);
        assert_eq!(counters.opened - counters.ended, self.world.shard.calls() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_breaks_and_nothing_is_lost(steps in prop::collection::vec(step(), 1..400)) {
        let mut run = Run::new();
        for step in steps {
            run.apply(step);
        }
        // Every state has a deadline: whoever is left over ends by itself.
        run.world.run(SHORT.answer + SHORT.duration + ms(20));
        prop_assert_eq!(run.world.shard.calls(), 0);
        prop_assert_eq!(run.world.shard.next_tick(), None);
        run.world.memory.assert_all_back();
        let is_end = |event: &&Event| matches!(event, Event::Ended { .. });
        prop_assert_eq!(run.world.events.iter().filter(is_end).count() as u64, run.opened);
        let legs = run.world.unlistened.len() as u64;
        prop_assert_eq!(legs, run.world.shard.counters().opened);
    }
}
