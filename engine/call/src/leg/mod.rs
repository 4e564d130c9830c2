//! RTP in and out of one leg: latching, receiving, sending, RTCP.
//!
//! A datagram is sorted before anything is kept of it: classify → parse → payload type →
//! direction → latch (`latch.rs` has the rules and their reasons) → SSRC. Whatever falls out on the
//! way is a counted [`DropReason`].

mod keypad;
mod latch;
mod random;
mod rtcp;
mod send;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use vox_rtp::event::{EventReceiver, PressUpdate, TelephoneEvent};
use vox_rtp::{ClockRate, DropReason, RtpHeader, RtpPacket, RtpTime, SeqNo, Ssrc};

use crate::jitter::Content;
use crate::shard::Context;
use crate::{Component, MediaSession, MediaTime, PacketMemory};

use keypad::Keypad;
pub(crate) use keypad::Turn;
pub(crate) use latch::Destination;
use latch::{Admission, Filter, Latch};
use random::Random;
use rtcp::{Route, Rtcp};
pub(crate) use send::{Place, Sender};

/// One leg: whom it listens to, and what it sends.
#[derive(Debug)]
pub(crate) struct Leg {
    latch: Latch,
    pub(crate) sender: Sender,
    pub(crate) keypad: Keypad,
    /// Apart, as is all that a packet of audio has no use for.
    presses: Box<EventReceiver>,
    rtcp: Rtcp,
    inbound: Inbound,
    /// What the host has not been told yet of its sockets, RTP and RTCP.
    filters: [Option<Filter>; 2],
}

/// A valid RTP packet of the stream we listen to.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) header: RtpHeader,
    pub(crate) content: Content,
    /// Where the payload is in the datagram.
    pub(crate) payload: Range<usize>,
    /// It does not go on where the last one stopped: what is filed of that is not to be played.
    pub(crate) new_stream: bool,
}

impl Leg {
    pub(crate) fn new(seed: u64, cname: [u8; 16]) -> Self {
        let mut random = Random::new(seed);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            latch: Latch::new(nowhere),
            sender: Sender::new(&mut random),
            keypad: Keypad::new(),
            presses: Box::new(EventReceiver::new(ClockRate::HZ_8000)),
            rtcp: Rtcp::new(cname, random),
            inbound: Inbound::default(),
            filters: [None; 2],
        }
    }

    /// Tells `memory` what sorting a datagram will touch.
    pub(crate) fn expect_datagram(&self, memory: &impl PacketMemory) {
        memory.expect(&self.latch);
        memory.expect(&self.inbound);
        memory.expect(&self.filters);
        self.rtcp.expect_packet(memory);
    }

    /// Tells `memory` what a turn will touch.
    pub(crate) fn expect_turn(&self, memory: &impl PacketMemory) {
        memory.expect(&self.latch);
        memory.expect(&self.sender);
        memory.expect(&self.keypad);
        memory.expect(&self.filters);
        self.rtcp.expect_turn(memory);
    }

    /// Sorts an RTP datagram.
    pub(crate) fn hear(
        &mut self,
        now: MediaTime,
        source: SocketAddr,
        bytes: &[u8],
        session: &MediaSession,
    ) -> Result<Heard, DropReason> {
        let (packet, content) = expected(bytes, session)?;
        let header = packet.header;
        let agrees = self.inbound.ssrc == Some(header.ssrc);
        let (admission, filter) = self.latch.admit(now, source, agrees);
        self.set_filter(filter);
        let new_stream = match admission {
            Admission::Refused => return Err(DropReason::WrongSource),
            Admission::Fresh => self.inbound.begin(header.ssrc),
            Admission::Known | Admission::Moved => self.inbound.follow(&header)?,
        };
        if new_stream {
            self.restart(session.codec().clock_hz());
        }
        self.rtcp.heard(now, &header, content);
        let start = packet.payload.as_ptr().addr() - bytes.as_ptr().addr();
        let payload = start..start + packet.payload.len();
        Ok(Heard { header, content, payload, new_stream })
    }

    /// Sorts an RTCP datagram and learns from it.
    pub(crate) fn hear_rtcp(
        &mut self,
        now: MediaTime,
        component: Component,
        source: SocketAddr,
        bytes: &[u8],
        session: &mut MediaSession,
    ) -> Result<(), DropReason> {
        let rtp_source = self.latch.source();
        let (admitted, filter) = match component {
            Component::Rtp => (source == rtp_source.unwrap_or(session.remote), None),
            Component::Rtcp => {
                self.rtcp.admit(source, session.remote_rtcp, rtp_source.map(|rtp| rtp.ip()))
            }
        };
        if !admitted {
            return Err(DropReason::WrongSource);
        }
        let told = self.rtcp.receive(now, bytes, self.sender.ssrc(), self.inbound.ssrc)?;
        self.inbound.over |= told.bye;
        session.encoder.set_expected_loss(self.rtcp.expected_loss());
        // Only now: what is no RTCP proves nothing about its sender.
        if let Some(peer) = filter {
            self.rtcp.latch(peer);
            self.filters[1] = Some(Filter::Peer(peer));
        }
        Ok(())
    }

    /// The first answer: reports begin.
    pub(crate) fn start_reports(&mut self, now: MediaTime) {
        self.rtcp.start(now);
    }

    /// Another stream is heard from now on, with this clock.
    pub(crate) fn restart(&mut self, clock_hz: u32) {
        let clock = ClockRate::new(clock_hz).unwrap_or(ClockRate::HZ_8000);
        self.rtcp.restart(clock);
        *self.presses = EventReceiver::new(clock);
    }

    /// The presses that begin with a telephone-event packet. One that holds more than
    /// [`PRESSES_MAX`] events is no keypad's: the rest is not looked at.
    pub(crate) fn hear_events(
        &mut self,
        time: RtpTime,
        payload: &[u8],
    ) -> Result<[Option<PressUpdate>; PRESSES_MAX], DropReason> {
        TelephoneEvent::parse(payload)?;
        let mut pressed = [None; PRESSES_MAX];
        for (place, (began, event)) in
            pressed.iter_mut().zip(TelephoneEvent::parse_all(payload, time))
        {
            *place = self.presses.receive(began, event).filter(|update| update.pressed);
        }
        Ok(pressed)
    }

    /// The peer's address, as signalled.
    pub(crate) fn signal(&mut self, remote: SocketAddr) {
        let filter = self.latch.signal(remote);
        self.set_filter(filter);
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, now: MediaTime) {
        let filter = self.latch.tick(now);
        self.set_filter(filter);
    }

    /// Where RTP goes; `None` while there is no usable address.
    pub(crate) fn destination(&self) -> Option<Destination> {
        self.latch.destination()
    }

    /// Tells the host what has changed of its sockets.
    pub(crate) fn connect<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>) {
        for (filter, component) in self.filters.iter_mut().zip([Component::Rtp, Component::Rtcp]) {
            match filter.take() {
                Some(Filter::Peer(peer)) => ctx.connect(component, Some(peer)),
                Some(Filter::Open) => ctx.connect(component, None),
                None => {}
            }
        }
    }

    /// Sends a report if it is due, or in any case with a goodbye.
    pub(crate) fn report<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        session: &mut MediaSession,
        bye: bool,
    ) {
        if !bye && !self.rtcp.is_due(ctx.now) {
            return;
        }
        if let Some(route) = self.route_rtcp(session) {
            self.rtcp.report(ctx, &self.sender, self.inbound.ssrc, route, bye);
            session.encoder.set_expected_loss(self.rtcp.expected_loss());
        }
    }

    /// Round trip by the peer's reports.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtcp.rtt()
    }

    fn set_filter(&mut self, filter: Option<Filter>) {
        let Some(filter) = filter else { return };
        self.filters[0] = Some(filter);
        // RTP has another host: RTCP on a port of its own has to be found anew.
        let host = self.latch.peer().map(|peer| peer.ip());
        if self.rtcp.peer().is_some_and(|peer| host.is_some_and(|host| peer.ip() != host)) {
            self.rtcp.unlatch();
            self.filters[1] = Some(Filter::Open);
        }
    }

    fn route_rtcp(&self, session: &MediaSession) -> Option<Route> {
        if session.rtcp_mux {
            let to = self.latch.destination()?;
            return Some(Route { component: Component::Rtp, to });
        }
        let to = match self.rtcp.peer() {
            Some(_) => Destination::Connected,
            None => Destination::of(session.remote_rtcp?)?,
        };
        Some(Route { component: Component::Rtcp, to })
    }
}

/// What a datagram is if it is what was agreed on.
fn expected<'a>(
    bytes: &'a [u8],
    session: &MediaSession,
) -> Result<(RtpPacket<'a>, Content), DropReason> {
    let packet = RtpPacket::parse(bytes)?;
    let payload_type = Some(packet.header.payload_type);
    let content = if payload_type == Some(session.payload_type) {
        Content::Speech
    } else if payload_type == session.event_payload_type {
        Content::TelephoneEvent
    } else if payload_type == session.noise_payload_type {
        Content::ComfortNoise
    } else {
        return Err(DropReason::UnknownPayloadType);
    };
    match session.direction.receives() {
        true => Ok((packet, content)),
        false => Err(DropReason::NotListening),
    }
}

/// Packed events (RFC 4733 §2.5.1.5) in one packet.
const PRESSES_MAX: usize = 8;

/// Which synchronisation source we follow.
///
/// The latched peer may begin another stream on the same port (a transfer, an announcement server).
/// Two packets in sequence show that it is one; a single one may be a stray of the old call.
#[derive(Debug, Default)]
struct Inbound {
    ssrc: Option<Ssrc>,
    candidate: Option<(Ssrc, SeqNo)>,
    /// The peer said goodbye in RTCP: any stream may follow.
    over: bool,
}

impl Inbound {
    /// Follows this one from now on; whether there was another.
    fn begin(&mut self, ssrc: Ssrc) -> bool {
        self.candidate = None;
        self.over = false;
        self.ssrc.replace(ssrc).is_some_and(|before| before != ssrc)
    }

    /// A packet of the believed source; whether another stream begins with it.
    fn follow(&mut self, header: &RtpHeader) -> Result<bool, DropReason> {
        let ssrc = header.ssrc;
        if self.ssrc == Some(ssrc) {
            self.candidate = None;
            return Ok(false);
        }
        let announced = self.candidate == Some((ssrc, header.seq));
        if announced || self.over || self.ssrc.is_none() {
            return Ok(self.begin(ssrc));
        }
        self.candidate = Some((ssrc, header.seq.next()));
        Err(DropReason::WrongSsrc)
    }
}

#[cfg(test)]
mod tests {
    use vox_rtp::RtpTime;

    use super::*;

    #[test]
    fn another_stream_is_followed_after_two_packets_in_sequence() {
        let (kept, changed, lost) = (Ok(false), Ok(true), Err(DropReason::WrongSsrc));
        type Packet = (u32, u16, Result<bool, DropReason>);
        let rows: &[(&str, &[Packet])] = &[
            ("one stream", &[(1, 7, kept), (1, 8, kept), (1, 20, kept)]),
            ("a new one", &[(1, 7, kept), (2, 900, lost), (2, 901, changed), (2, 902, kept)]),
            ("a stray", &[(1, 7, kept), (2, 900, lost), (1, 8, kept), (2, 901, lost)]),
            ("two strays", &[(1, 7, kept), (2, 900, lost), (3, 901, lost), (2, 901, lost)]),
            ("out of sequence", &[(1, 7, kept), (2, 900, lost), (2, 905, lost), (2, 906, changed)]),
            ("around the end", &[(1, 7, kept), (2, 65_535, lost), (2, 0, changed)]),
        ];
        for (name, packets) in rows {
            let mut inbound = Inbound::default();
            for &(ssrc, seq, expected) in *packets {
                let header = RtpHeader {
                    marker: false,
                    payload_type: 0,
                    seq: SeqNo(seq),
                    time: RtpTime(0),
                    ssrc: Ssrc(ssrc),
                };
                assert_eq!(inbound.follow(&header), expected, "{name}: {ssrc} {seq}");
            }
        }
    }
}
