//! A world of one shard with scripted callers, in virtual time.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

mod caller;
mod memory;

use std::net::SocketAddr;
use std::time::Duration;

use vox_call::hearing::Vad;
use vox_call::pipeline::{Agent, Tap};
use vox_call::{
    Call, CallId, CallSetup, Command, Component, Direction, Ending, Event, Input, LegKey, Limits,
    MediaSession, MediaTime, Output, Quality, Reason, Shard,
};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_rtp::RtpPacket;

pub(crate) use caller::Caller;
pub(crate) use memory::Memory;

/// A shard, its memory, and everything it put out so far.
pub(crate) struct World {
    pub(crate) shard: Shard,
    pub(crate) memory: Memory,
    pub(crate) now: MediaTime,
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<Event>,
    /// `Connect` outputs in order.
    pub(crate) connects: Vec<(LegKey, Component, Option<SocketAddr>)>,
    pub(crate) unlistened: Vec<LegKey>,
    legs: Vec<(CallId, LegKey)>,
}

/// A datagram that the shard sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) at: MediaTime,
    pub(crate) leg: LegKey,
    pub(crate) component: Component,
    pub(crate) to: Option<SocketAddr>,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    /// As RTP; `None` for RTCP.
    pub(crate) fn rtp(&self) -> Option<RtpPacket<'_>> {
        let rtp = vox_rtp::classify(&self.bytes) == vox_rtp::Datagram::Rtp;
        rtp.then(|| RtpPacket::parse(&self.bytes).unwrap())
    }
}

impl World {
    pub(crate) fn new(capacity: usize) -> Self {
        Self::with_buffers(capacity, 512)
    }

    /// With this many receive buffers.
    pub(crate) fn with_buffers(capacity: usize, buffers: usize) -> Self {
        Self {
            shard: Shard::new(capacity),
            memory: Memory::new(buffers, 64),
            now: MediaTime::from_micros(1_000_000),
            sent: Vec::new(),
            events: Vec::new(),
            connects: Vec::new(),
            unlistened: Vec::new(),
            legs: Vec::new(),
        }
    }

    /// Opens a call and answers it with an echo.
    pub(crate) fn echo(&mut self, id: u64, session: MediaSession) -> CallId {
        let call = self.open(id, LIMITS, None);
        self.attach(call, Agent::echo());
        self.answer(call, session);
        call
    }

    pub(crate) fn open(&mut self, id: u64, limits: Limits, tap: Option<Box<Tap>>) -> CallId {
        self.open_with(id, limits, tap, None)
    }

    pub(crate) fn open_with(
        &mut self,
        id: u64,
        limits: Limits,
        tap: Option<Box<Tap>>,
        vad: Option<Box<Vad>>,
    ) -> CallId {
        let call = CallId(id);
        let setup = CallSetup { call, limits, seed: id, cname: *b"0123456789abcdef", tap, vad };
        self.command(Command::Open(Call::new(setup)));
        call
    }

    pub(crate) fn answer(&mut self, call: CallId, session: MediaSession) {
        self.command(Command::Answer { call, session: Box::new(session) });
    }

    pub(crate) fn attach(&mut self, call: CallId, agent: Agent) {
        self.command(Command::Attach { call, agent: Box::new(agent) });
    }

    pub(crate) fn close(&mut self, call: CallId, reason: Reason) {
        self.command(Command::Close { call, reason });
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.shard.handle(self.now, Input::Command(command), &mut self.memory);
        self.drain();
    }

    /// A datagram for a call's RTP port.
    pub(crate) fn deliver(&mut self, call: CallId, from: SocketAddr, datagram: &[u8]) {
        self.deliver_to(self.leg(call), Component::Rtp, from, datagram);
    }

    pub(crate) fn deliver_to(
        &mut self,
        leg: LegKey,
        component: Component,
        source: SocketAddr,
        datagram: &[u8],
    ) {
        let buf = self.memory.receive(datagram).expect("a free receive buffer");
        let input = Input::Datagram { leg, component, source, buf };
        self.shard.handle(self.now, input, &mut self.memory);
        self.drain();
    }

    /// Lets time pass, with a host that is never late.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.shard.next_tick().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = end;
    }

    /// Lets time pass, and has the host look only at the end of it.
    pub(crate) fn stall(&mut self, time: Duration) {
        self.now = self.now + time;
        while self.shard.next_tick().is_some_and(|due| due <= self.now) {
            self.tick();
        }
    }

    pub(crate) fn tick(&mut self) {
        self.shard.handle(self.now, Input::Tick, &mut self.memory);
        self.drain();
    }

    /// The leg a call was given.
    pub(crate) fn leg(&self, call: CallId) -> LegKey {
        self.try_leg(call).expect("the call was opened")
    }

    /// The leg it was given last, if it was ever opened.
    pub(crate) fn try_leg(&self, call: CallId) -> Option<LegKey> {
        self.legs.iter().rev().find(|(id, _)| *id == call).map(|(_, leg)| *leg)
    }

    /// RTP sent to a call's peer.
    pub(crate) fn rtp(&self, call: CallId) -> impl Iterator<Item = (&Sent, RtpPacket<'_>)> {
        let leg = self.leg(call);
        let of_call = self.sent.iter().filter(move |sent| sent.leg == leg);
        of_call.filter_map(|sent| Some((sent, sent.rtp()?)))
    }

    /// How a call ended, if it has; fails when that was said twice.
    pub(crate) fn ending(&self, call: CallId) -> Option<Ending> {
        let mut endings = self.events.iter().filter_map(|event| match event {
            Event::Ended { call: id, ending, .. } if *id == call => Some(*ending),
            _ => None,
        });
        let ending = endings.next();
        assert!(endings.next().is_none(), "{call:?} ended twice");
        ending
    }

    /// A call's quality now.
    pub(crate) fn quality(&mut self, call: CallId) -> Quality {
        self.command(Command::Query { call });
        match self.events.last() {
            Some(Event::Report { call: id, quality }) if *id == call => *quality,
            other => panic!("a report was expected, found {other:?}"),
        }
    }

    /// Digits heard, in order.
    pub(crate) fn digits(&self) -> String {
        let digit = |event: &Event| match event {
            Event::Digit { digit, .. } => Some(*digit),
            _ => None,
        };
        self.events.iter().filter_map(digit).collect()
    }

    fn drain(&mut self) {
        loop {
            match self.shard.poll() {
                Output::Idle(next) => {
                    assert_eq!(next, self.shard.next_tick());
                    return;
                }
                Output::Listen { call, leg } => self.legs.push((call, leg)),
                Output::Unlisten { leg } => self.unlistened.push(leg),
                Output::Connect { leg, component, peer } => {
                    self.connects.push((leg, component, peer));
                }
                Output::Event(event) => self.events.push(event),
                Output::Send { leg, component, slot, len, to } => {
                    let bytes = self.memory.sent_bytes(&slot, len).to_vec();
                    self.sent.push(Sent { at: self.now, leg, component, to, bytes });
                    self.memory.sent(slot);
                }
            }
        }
    }
}

/// What a call is opened with when a test says nothing else.
pub(crate) const LIMITS: Limits = Limits {
    answer: Duration::from_secs(60),
    no_audio: Duration::from_secs(15),
    duration: Duration::from_secs(600),
};

/// An agreement with a peer at this address: events as 101, no comfort noise, RTCP one port above.
pub(crate) fn session(codec: CodecKind, remote: &str) -> MediaSession {
    let remote: SocketAddr = remote.parse().unwrap();
    MediaSession {
        remote,
        remote_rtcp: Some(SocketAddr::new(remote.ip(), remote.port() + 1)),
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

pub(crate) fn payload_type(codec: CodecKind) -> u8 {
    match codec {
        CodecKind::Pcmu => 0,
        CodecKind::Pcma => 8,
        CodecKind::G722 => 9,
        CodecKind::Opus => 111,
        CodecKind::L16 => 97,
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
