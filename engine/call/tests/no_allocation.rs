//! After construction the core does not touch the allocator: not for packets, ticks or reports.

mod common;

use std::time::Duration;

use common::{Caller, LIMITS, Memory, ms, session};
use vox_call::hearing::{Vad, VadOptions};
use vox_call::pipeline::{Agent, AgentLine, BargeIn, PortOptions, Prompt, agent_port, tap};
use vox_call::{
    Call, CallId, CallSetup, Command, Component, Digits, Event, Input, LegKey, MediaSession,
    MediaTime, Output, Reason, Shard,
};
use vox_codecs::CodecKind;
use vox_heap::{touched, watch};
use vox_rtp::Ssrc;
use vox_rtp::rtcp::CompoundWriter;

#[global_allocator]
static ALLOCATOR: vox_heap::Counting = vox_heap::Counting;

/// A shard whose `handle` and `poll` are watched; what comes out is dropped unwatched, as a host
/// does it elsewhere.
struct Watched {
    shard: Shard,
    memory: Memory,
    now: MediaTime,
    legs: Vec<LegKey>,
    ended: u64,
    sent: u64,
}

impl Watched {
    fn new(capacity: usize) -> Self {
        Self {
            shard: Shard::new(capacity),
            memory: Memory::new(512, 64),
            now: MediaTime::from_micros(1_000_000),
            legs: Vec::new(),
            ended: 0,
            sent: 0,
        }
    }

    fn handle(&mut self, input: Input) {
        watch(|| self.shard.handle(self.now, input, &mut self.memory));
        loop {
            match watch(|| self.shard.poll()) {
                Output::Idle(_) => return,
                Output::Send { slot, .. } => {
                    self.sent += 1;
                    self.memory.sent(slot);
                }
                Output::Listen { leg, .. } => self.legs.push(leg),
                Output::Event(Event::Ended { .. }) => self.ended += 1,
                _ => {}
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.handle(Input::Command(command));
    }

    fn receive(&mut self, leg: LegKey, component: Component, from: &str, datagram: &[u8]) {
        let buf = self.memory.receive(datagram).unwrap();
        let source = from.parse().unwrap();
        self.handle(Input::Datagram { leg, component, source, buf });
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.shard.next_tick().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.handle(Input::Tick);
        }
        self.now = end;
    }

    fn open(&mut self, id: u64, agent: Agent, agreed: MediaSession) -> LegKey {
        self.open_with(id, agent, agreed, None)
    }

    fn open_with(
        &mut self,
        id: u64,
        agent: Agent,
        agreed: MediaSession,
        vad: Option<Box<Vad>>,
    ) -> LegKey {
        let call = CallId(id);
        let (recording, _) = tap(50, 16_000);
        let tap = Some(Box::new(recording));
        let setup = CallSetup { call, limits: LIMITS, seed: id, cname: [b'c'; 16], tap, vad };
        self.command(Command::Open(Call::new(setup)));
        self.command(Command::Attach { call, agent: Box::new(agent) });
        self.command(Command::Answer { call, session: Box::new(agreed) });
        *self.legs.last().unwrap()
    }
}

const AGENTS: [fn() -> Agent; 6] = [
    Agent::silent,
    Agent::echo,
    || Agent::tone(8_000, 440.0),
    || Agent::play(prompt(8_000), true),
    || Agent::play(prompt(16_000), false),
    || Agent::play(prompt(48_000), true),
];

fn prompt(rate_hz: u32) -> Prompt {
    Prompt { samples: vec![1_000; 8_000].into(), rate_hz }
}

/// What the network does to a stream in this test.
fn arrives(n: usize) -> &'static [i64] {
    match n % 50 {
        // Lost, twice, and overtaken.
        7 => &[],
        9 => &[0, 0],
        20 => &[],
        21 => &[0, -1],
        _ => &[0],
    }
}

#[test]
fn packets_ticks_and_reports_never_touch_the_allocator() {
    const PEER: &str = "192.0.2.7:4000";
    let mut rows = 0;
    for codec in [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus] {
        for (n, agent) in AGENTS.iter().enumerate() {
            for events in [Some(101), None] {
                let mut world = Watched::new(4);
                let agreed = MediaSession { event_payload_type: events, ..session(codec, PEER) };
                let leg = world.open(1, agent(), agreed);
                let call = CallId(1);
                let mut caller = Caller::new(codec, PEER);
                let packets: Vec<_> = (0..400).map(|_| caller.speech()).collect();
                for n in 0..400_usize {
                    for &offset in arrives(n) {
                        let at = (n as i64 + offset) as usize;
                        world.receive(leg, Component::Rtp, PEER, &packets[at]);
                    }
                    if n == 100 {
                        let digits = Digits::new("12#").unwrap();
                        world.command(Command::Digits { call, digits });
                        let prompt =
                            Prompt { samples: vec![5; 3_000].into(), rate_hz: codec.rate_hz() };
                        world.command(Command::Play { call, id: 1, prompt });
                        world.command(Command::Query { call });
                    }
                    if n == 150 {
                        let mut report = [0; 100];
                        let writer =
                            CompoundWriter::receiver_report(&mut report, Ssrc(1), &[]).unwrap();
                        let len = writer.finish();
                        world.receive(leg, Component::Rtcp, "192.0.2.7:4001", &report[..len]);
                    }
                    world.run(ms(20));
                }
                world.command(Command::Close { call, reason: Reason::CallerHungUp });
                assert_eq!(world.ended, 1, "{codec:?}");
                assert!(world.sent >= 400, "{codec:?}: {} packets sent", world.sent);
                world.memory.assert_all_back();
                assert_eq!(touched(), 0, "{codec:?}, agent {n}, events {events:?}");
                rows += 1;
            }
        }
    }
    assert_eq!(rows, 4 * 6 * 2);
}

/// The ends of a call with an agent elsewhere, and what its brain does: it talks without a pause,
/// sets marks, and clears now and then. Not watched: the line is control's.
fn brain(line: &mut AgentLine, turn: u32) {
    let (mut frames, mut tidings) = (0, 0);
    line.hear(|_| frames += 1);
    line.tidings(|_| tidings += 1);
    line.say(&[900; 400]);
    line.mark(turn);
    if turn % 70 == 69 {
        line.clear();
    }
}

#[test]
fn nor_does_an_agent_elsewhere_while_its_caller_barges_in() {
    const PEER: &str = "192.0.2.7:4000";
    for (codec, rate_hz, neural) in [
        (CodecKind::Pcmu, 8_000, true),
        (CodecKind::Pcmu, 16_000, false),
        (CodecKind::G722, 16_000, true),
        (CodecKind::Opus, 8_000, false),
    ] {
        let mut world = Watched::new(4);
        let (port, mut line) = agent_port(PortOptions {
            rate_hz,
            barge_in: Some(BargeIn::default()),
            ahead_max: Duration::from_secs(10),
        });
        let vad = Vad::new(VadOptions { neural, ..VadOptions::default() });
        let agreed = session(codec, PEER);
        let leg = world.open_with(1, Agent::port(port), agreed, Some(Box::new(vad)));
        let mut caller = Caller::new(codec, PEER);
        let packets: Vec<_> = (0..600)
            .map(|n| if n % 100 < 50 { caller.speech() } else { caller.silence() })
            .collect();
        for (turn, packet) in (0..).zip(&packets) {
            world.receive(leg, Component::Rtp, PEER, packet);
            world.run(ms(20));
            brain(&mut line, turn);
        }
        let call = CallId(1);
        world.command(Command::Query { call });
        world.command(Command::Close { call, reason: Reason::CallerHungUp });
        assert!(line.is_closed() && line.played() > 0, "{codec:?}");
        assert_eq!(touched(), 0, "{codec:?}, {rate_hz} Hz, neural {neural}");
    }
}

#[test]
fn nor_does_a_table_through_which_many_calls_pass() {
    const PEER: &str = "192.0.2.7:4000";
    let mut world = Watched::new(8);
    for round in 0..500 {
        let calls: Vec<_> = (0..9).map(|n| 1 + round * 9 + n).collect();
        for &id in &calls {
            world.open(id, Agent::echo(), session(CodecKind::Pcmu, PEER));
        }
        world.run(ms(40));
        for &id in &calls {
            world.command(Command::Close { call: CallId(id), reason: Reason::CallerHungUp });
        }
    }
    assert_eq!((world.ended, touched()), (4_500, 0));
}

#[test]
fn the_counter_counts() {
    let boxed = watch(|| Box::new(5));
    drop(boxed);
    assert_eq!(touched(), 1);
}
