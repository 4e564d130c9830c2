//! RTCP of a leg: reports every five seconds or so, what the peer reports, goodbyes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use vox_rtp::rtcp::{
    Compound, CompoundWriter, NtpShort, NtpTime, Reception, ReportBlock, RtcpPacket, SenderInfo,
    WriteError, report_interval,
};
use vox_rtp::{ClockRate, DropReason, RtpHeader, Ssrc};

use super::latch::Destination;
use super::random::Random;
use super::send::Sender;
use crate::jitter::Content;
use crate::shard::Context;
use crate::{Component, MediaTime, PacketMemory};

/// What we report of the peer's stream, and know from its reports.
#[derive(Debug)]
pub(crate) struct Rtcp {
    reception: Reception,
    cname: [u8; 16],
    random: Random,
    /// When the next report is due; `None` before the first answer.
    next: Option<MediaTime>,
    /// Packets we had sent at the last report and the one before.
    packets_then: [u32; 2],
    /// When our last sender reports were sent, newest first; 0 is none.
    stamps: [NtpShort; 4],
    rtt: Option<Duration>,
    /// Loss to be expected on the way to the peer, in percent.
    loss: u8,
    /// The peer the RTCP port is connected to, when RTCP has one of its own.
    peer: Option<SocketAddr>,
}

/// Where reports go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) component: Component,
    pub(crate) to: Destination,
}

/// What a valid compound said that concerns others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The stream we hear is over.
    pub(crate) bye: bool,
}

impl Rtcp {
    pub(crate) fn new(cname: [u8; 16], random: Random) -> Self {
        Self {
            reception: Reception::new(ClockRate::HZ_8000),
            cname,
            random,
            next: None,
            packets_then: [0; 2],
            stamps: [NtpShort(0); 4],
            rtt: None,
            loss: 0,
            peer: None,
        }
    }

    /// Another stream is heard from now on.
    pub(crate) fn restart(&mut self, clock: ClockRate) {
        self.reception = Reception::new(clock);
    }

    /// Takes note of an RTP packet.
    pub(crate) fn heard(&mut self, now: MediaTime, header: &RtpHeader, content: Content) {
        match content {
            Content::TelephoneEvent => self.reception.receive_untimed(header.seq),
            _ => self.reception.receive(header.seq, header.time, now.micros()),
        };
    }

    /// Whether a datagram on the RTCP port is from the peer, and whom to latch to when it is valid.
    /// Symmetric RTCP: the first source on the host that RTP comes from, or the very address that
    /// was signalled, is believed and stays until RTP moves.
    pub(crate) fn admit(
        &self,
        source: SocketAddr,
        signalled: Option<SocketAddr>,
        rtp_host: Option<IpAddr>,
    ) -> (bool, Option<SocketAddr>) {
        if self.peer.is_some() {
            return (self.peer == Some(source), None);
        }
        if Some(source) != signalled && Some(source.ip()) != rtp_host {
            return (false, None);
        }
        (true, Some(source))
    }

    /// Believes this peer from now on.
    pub(crate) fn latch(&mut self, peer: SocketAddr) {
        self.peer = Some(peer);
    }

    /// Believes nobody.
    pub(crate) fn unlatch(&mut self) {
        self.peer = None;
    }

    /// The peer the RTCP port is connected to.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Reads a compound from the peer, whose stream is `heard` and which hears us as `ours`.
    pub(crate) fn receive(
        &mut self,
        now: MediaTime,
        bytes: &[u8],
        ours: Ssrc,
        heard: Option<Ssrc>,
    ) -> Result<Told, DropReason> {
        let mut told = Told::default();
        for packet in Compound::parse(bytes)?.packets() {
            match packet {
                RtcpPacket::SenderReport(report) => {
                    if Some(report.ssrc) == heard {
                        self.reception.sender_report(report.info.ntp, now.micros());
                    }
                    self.learn(now, report.blocks.about(ours));
                }
                RtcpPacket::ReceiverReport(report) => self.learn(now, report.blocks.about(ours)),
                RtcpPacket::Bye(bye) => told.bye |= bye.sources().any(|ssrc| Some(ssrc) == heard),
                RtcpPacket::Sdes(_) | RtcpPacket::Unknown(_) => {}
            }
        }
        Ok(told)
    }

    /// Tells `memory` what an RTP packet will touch.
    pub(crate) fn expect_packet(&self, memory: &impl PacketMemory) {
        memory.expect(&self.reception);
    }

    /// Tells `memory` what a turn without a report will touch.
    pub(crate) fn expect_turn(&self, memory: &impl PacketMemory) {
        memory.expect(&self.next);
    }

    /// Round trip by the peer's last report.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Loss to be expected on the way to the peer, in percent: what it reports, or what we see of
    /// its own packets where that is more. Half of it is forgotten with each report that knows of
    /// less.
    pub(crate) fn expected_loss(&self) -> u8 {
        self.loss
    }

    /// Sets the clock of the reports going, at the first answer.
    pub(crate) fn start(&mut self, now: MediaTime) {
        self.next = Some(now + report_interval(true, self.random.next() as u32));
    }

    /// Whether a report is due; then the next one is set.
    pub(crate) fn is_due(&mut self, now: MediaTime) -> bool {
        let due = self.next.is_some_and(|at| now >= at);
        if due {
            self.next = Some(now + report_interval(false, self.random.next() as u32));
        }
        due
    }

    /// Sends a report, with a goodbye in it when `bye`.
    pub(crate) fn report<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        sender: &Sender,
        heard: Option<Ssrc>,
        route: Route,
        bye: bool,
    ) {
        let Some(slot) = ctx.memory.acquire() else {
            ctx.counters.no_send_slot += 1;
            return;
        };
        let block = heard.and_then(|ssrc| self.reception.report(ssrc, ctx.now.micros()));
        let out = ctx.memory.slot(&slot);
        self.note_loss(block);
        let Ok(len) = self.write(ctx.now, out, sender, block.as_slice(), bye) else {
            // A send slot is larger than the largest of our reports: 28 + 24 + 28 + 8 bytes.
            return ctx.memory.discard(slot);
        };
        ctx.counters.rtcp_sent += 1;
        ctx.send(route.component, slot, len, route.to);
    }

    fn write(
        &mut self,
        now: MediaTime,
        out: &mut [u8],
        sender: &Sender,
        blocks: &[ReportBlock],
        bye: bool,
    ) -> Result<usize, WriteError> {
        let ssrc = sender.ssrc();
        let (packets, octets) = sender.sent();
        // RFC 3550 §6.4: an SR when anything was sent since the report before the last.
        let report = if packets == self.packets_then[1] {
            CompoundWriter::receiver_report(out, ssrc, blocks)?
        } else {
            let ntp = ntp(now);
            self.stamps.rotate_right(1);
            self.stamps[0] = ntp.short();
            let info = SenderInfo { ntp, rtp: sender.time(), packets, octets };
            CompoundWriter::sender_report(out, ssrc, &info, blocks)?
        };
        self.packets_then = [packets, self.packets_then[0]];
        let report = report.cname(ssrc, &self.cname)?;
        let report = if bye { report.bye(&[ssrc], &[])? } else { report };
        Ok(report.finish())
    }

    fn note_loss(&mut self, block: Option<ReportBlock>) {
        if let Some(block) = block {
            self.loss = percent(block.fraction_lost).max(self.loss / 2);
        }
    }

    /// A block about us: only one that quotes a report of ours tells the round trip.
    fn learn(&mut self, now: MediaTime, block: Option<ReportBlock>) {
        self.note_loss(block);
        let quotes_ours = |block: &ReportBlock| self.stamps.contains(&block.last_sr);
        let block = block.filter(quotes_ours);
        if let Some(rtt) = block.and_then(|block| block.round_trip(ntp(now))) {
            self.rtt = Some(rtt);
        }
    }
}

/// In percent, rounded up.
fn percent(fraction_lost: u8) -> u8 {
    (u32::from(fraction_lost) * 100).div_ceil(256) as u8
}

/// RFC 3550 §4 allows a clock that is not wall-clock time, as long as it does not step.
fn ntp(now: MediaTime) -> NtpTime {
    NtpTime::from_unix(Duration::from_micros(now.micros()))
}
