use std::net::SocketAddr;
use std::time::Duration;

use vox_call::hearing::{Vad, VadOptions};
use vox_call::pipeline::{Agent, AgentLine, BargeIn, PortOptions, agent_port};
use vox_call::{
    Call, CallId, CallSetup, Command, Component, Direction, Input, LegKey, Limits, MediaSession,
    MediaTime, Output, PacketMemory, Shard,
};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};

use crate::{Memory, packets};

/// Who is at the other end of a [`World`]'s calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// An agent in the shard that gives back what it hears.
    Echo,
    /// An agent elsewhere that does so.
    Port,
    /// The same, with voice activity detection and barge-in.
    PortWithVad,
}

/// A shard with calls that all talk, without any I/O. A frame of 20 ms is [`arrive`](Self::arrive),
/// [`datagrams`](Self::datagrams), [`ticks`](Self::ticks), in this order.
#[derive(Debug)]
pub struct World {
    shard: Shard,
    memory: Memory,
    kind: CodecKind,
    answers: Answers,
    lines: Vec<AgentLine>,
    legs: Vec<LegKey>,
    packets: Vec<Vec<u8>>,
    now: MediaTime,
    rounds: u32,
    sent: usize,
}

impl World {
    /// So many answered calls, past the start of their jitter buffers.
    ///
    /// # Panics
    /// When a call does not answer.
    pub fn new(kind: CodecKind, calls: u16, answers: Answers) -> Self {
        let mut world = Self {
            shard: Shard::new(usize::from(calls)),
            // A call's jitter buffer holds a few packets; a slice's sends wait together.
            memory: Memory::new(calls * 16, calls * 2),
            kind,
            answers,
            lines: Vec::new(),
            legs: Vec::new(),
            packets: packets(kind, PAYLOAD_TYPE, 500),
            now: MediaTime::from_micros(1_000_000),
            rounds: 0,
            sent: 0,
        };
        for call in 0..calls {
            world.open(CallId(call.into()));
        }
        assert_eq!(world.legs.len(), usize::from(calls));
        for _ in 0..50 {
            world.round();
        }
        let sent = world.sent;
        world.round();
        assert_eq!(world.sent - sent, usize::from(calls), "every call answers");
        world
    }

    /// A packet for each call, in its receive buffer; what agents elsewhere say meanwhile.
    pub fn arrive(&mut self) -> Vec<Input> {
        self.think();
        let datagram = self.datagram();
        let arrive = |(n, leg): (usize, &LegKey)| Input::Datagram {
            leg: *leg,
            component: Component::Rtp,
            source: peer(n as u16),
            buf: self.memory.receive(&datagram),
        };
        self.legs.iter().enumerate().map(arrive).collect()
    }

    /// The shard gets the packets: latch, parse, file.
    pub fn datagrams(&mut self, arrived: Vec<Input>) {
        for input in arrived {
            self.shard.handle(self.now, input, &mut self.memory);
            self.drain();
        }
    }

    /// All slices of the 20 ms grid, once round: jitter buffer, decode, level, digits, agent, encode,
    /// RTP.
    ///
    /// # Panics
    /// When a call ended.
    pub fn ticks(&mut self) {
        let end = self.now + FRAME;
        while let Some(due) = self.shard.next_tick().filter(|due| *due < end) {
            self.shard.handle(due, Input::Tick, &mut self.memory);
            self.drain();
        }
        assert_eq!(self.shard.calls(), self.legs.len(), "a call ended");
        self.now = end;
        self.rounds += 1;
    }

    fn round(&mut self) {
        let arrived = self.arrive();
        self.datagrams(arrived);
        self.ticks();
    }

    fn open(&mut self, call: CallId) {
        let setup = CallSetup {
            call,
            limits: LIMITS,
            seed: call.0,
            cname: *b"0123456789abcdef",
            tap: None,
            vad: (self.answers == Answers::PortWithVad)
                .then(|| Box::new(Vad::new(VadOptions::default()))),
        };
        let agent = self.agent();
        let session = Box::new(session(self.kind, peer(call.0 as u16)));
        self.command(Command::Open(Call::new(setup)));
        self.command(Command::Attach { call, agent: Box::new(agent) });
        self.command(Command::Answer { call, session });
    }

    fn agent(&mut self) -> Agent {
        if self.answers == Answers::Echo {
            return Agent::echo();
        }
        let (port, line) = agent_port(PortOptions {
            rate_hz: self.kind.rate_hz(),
            barge_in: (self.answers == Answers::PortWithVad).then(BargeIn::default),
            ahead_max: Duration::from_secs(10),
        });
        self.lines.push(line);
        Agent::port(port)
    }

    /// What agents elsewhere do on threads of their own.
    fn think(&mut self) {
        let mut frame = [0; 320];
        for line in &mut self.lines {
            let mut len = 0;
            line.hear(|heard| {
                len = heard.samples.len();
                frame[..len].copy_from_slice(heard.samples);
            });
            line.tidings(|_| ());
            line.say(&frame[..len]);
        }
    }

    fn command(&mut self, command: Command) {
        self.shard.handle(self.now, Input::Command(command), &mut self.memory);
        self.drain();
    }

    /// The next packet of the stream; all calls hear the same.
    fn datagram(&self) -> Vec<u8> {
        let mut datagram = self.packets[self.rounds as usize % self.packets.len()].clone();
        let header = RtpHeader {
            marker: false,
            payload_type: PAYLOAD_TYPE,
            seq: SeqNo(self.rounds as u16),
            time: RtpTime(self.rounds.wrapping_mul(self.kind.clock_hz() / 50)),
            ssrc: Ssrc(0xca11_e400),
        };
        header.write(&mut datagram);
        datagram
    }

    fn drain(&mut self) {
        loop {
            match self.shard.poll() {
                Output::Idle(_) => return,
                Output::Listen { leg, .. } => self.legs.push(leg),
                Output::Send { slot, .. } => {
                    self.sent += 1;
                    self.memory.discard(slot);
                }
                Output::Connect { .. } | Output::Unlisten { .. } | Output::Event(_) => {}
            }
        }
    }
}

/// Where a call's peer is.
fn peer(call: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 20_000 + call))
}

fn session(kind: CodecKind, remote: SocketAddr) -> MediaSession {
    MediaSession {
        remote,
        remote_rtcp: None,
        rtcp_mux: false,
        payload_type: PAYLOAD_TYPE,
        event_payload_type: Some(101),
        noise_payload_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
        encoder: Encoder::new(kind),
        decoder: Decoder::new(kind),
    }
}

const FRAME: Duration = Duration::from_millis(20);
const PAYLOAD_TYPE: u8 = 96;
/// Virtual time runs far ahead of ours: no call may reach its end.
const LIMITS: Limits = Limits {
    answer: Duration::from_secs(60),
    no_audio: Duration::from_secs(15),
    duration: Duration::from_secs(1_000_000),
};
