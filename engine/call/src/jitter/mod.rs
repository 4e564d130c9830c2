//! The jitter buffer: packets are filed on arrival and played on the tick.
//!
//! ```text
//! file ─► timeline (number, position) ─► delay (lateness → target) ─► ring
//! play ─► look ─► decide ─► do (playout: decode | conceal | stretch …) ─► … ─► 20 ms
//! ```
//!
//! Read `decide.rs` first: it says what a missing packet means, and everything else serves it.
//! Nothing here allocates after construction, reads a clock, or copies a packet.
mod decide;
mod delay;
mod pace;
mod playout;
mod redundancy;
mod ring;
mod tally;
mod timeline;

#[cfg(test)]
mod tests;

use std::time::Duration;

use vox_codecs::Decoder;
use vox_rtp::{DropReason, RtpHeader};

use self::delay::DelayEstimator;
use self::playout::Playout;
use self::ring::{Filed, Ring};
use self::timeline::{Numbered, Timeline};
use crate::{MediaTime, PacketMemory, RxBuf};

/// What a filed packet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Audio of the negotiated codec.
    Speech,
    /// A comfort-noise update (RFC 3389).
    ComfortNoise,
    /// A telephone-event (RFC 4733): it takes a sequence number, so that it is no loss, and holds
    /// no audio. Its timestamp is the start of the event and says nothing about jitter.
    TelephoneEvent,
}

/// A packet to be filed; the buffer's `offset..offset+len` are narrowed to the *payload*.
#[derive(Debug)]
pub struct Arrival {
    /// Its header.
    pub header: RtpHeader,
    /// What it holds.
    pub content: Content,
    /// The payload, where it was received.
    pub payload: RxBuf,
}

/// What one tick of the buffer was made of; of several, the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Played {
    /// Nothing to play yet (before the first packet, or the talkspurt is over): silence.
    Silence,
    /// Comfort noise of a DTX pause.
    ComfortNoise,
    /// Decoded audio (perhaps stretched).
    Speech,
    /// Made up for something lost or late.
    Concealed,
}

/// Counters for the call's quality.
#[derive(Debug, Clone, Copy, Default)]
pub struct JitterStats {
    /// Valid packets filed.
    pub filed: u64,
    /// Never came, by sequence number (those recovered by FEC included).
    pub lost: u64,
    /// Too late.
    pub late: u64,
    /// Twice.
    pub duplicates: u64,
    /// Out of order.
    pub reordered: u64,
    /// Recovered by FEC.
    pub recovered: u64,
    /// Played as lost, for the codec could not make sense of them.
    pub undecodable: u64,
    /// Made-up audio.
    pub concealed: Duration,
    /// Interarrival jitter median.
    pub jitter_p50: Duration,
    /// 95th percentile.
    pub jitter_p95: Duration,
    /// Playout delay now (oldest packet's wait, plus decoded samples not yet played).
    pub delay_now: Duration,
    /// Mean.
    pub delay_mean: Duration,
    /// Target now.
    pub target: Duration,
    /// Audio removed by time stretching.
    pub shortened: Duration,
    /// Audio inserted.
    pub lengthened: Duration,
}

/// The jitter buffer of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    timeline: Timeline,
    delay: DelayEstimator,
    ring: Ring,
    playout: Playout,
    /// A packet after a jump of the sequence numbers. Its successor shows whether the sender
    /// restarted or a stray came in.
    probation: Option<Arrival>,
    stats: JitterStats,
}

impl JitterBuffer {
    /// For a stream with an RTP clock of `clock_hz` and audio at `rate_hz` (8,000 or 16,000); the
    /// only place that allocates.
    pub fn new(clock_hz: u32, rate_hz: u32) -> Self {
        Self {
            timeline: Timeline::new(clock_hz, rate_hz),
            delay: DelayEstimator::new(),
            ring: Ring::new(),
            playout: Playout::new(rate_hz),
            probation: None,
            stats: JitterStats::default(),
        }
    }

    /// Files a packet. On `Err` the payload was released already.
    pub fn file(
        &mut self,
        now: MediaTime,
        arrival: Arrival,
        memory: &mut impl PacketMemory,
    ) -> Result<(), DropReason> {
        match self.timeline.number(arrival.header.seq) {
            Numbered::First(number) => {
                self.ring.restart(number, |buf| memory.release(buf));
                self.file_newer(now, arrival, number, memory)
            }
            Numbered::At { number, advance } => {
                self.end_probation(memory);
                if advance > 0 {
                    self.file_newer(now, arrival, number, memory)
                } else {
                    self.file_older(now, arrival, number, memory)
                }
            }
            Numbered::Jump => self.file_jump(now, arrival, memory),
        }
    }

    /// Fills `pcm` with the next 20 ms. `decoder` is the stream's own, at the buffer's rate.
    pub fn play(
        &mut self,
        now: MediaTime,
        decoder: &mut Decoder,
        memory: &mut impl PacketMemory,
        pcm: &mut [i16],
    ) -> Played {
        let Self { playout, ring, delay, stats, .. } = self;
        playout.play(playout::Tick { now, ring, delay, stats, decoder, memory }, pcm)
    }

    /// Tells `memory` what filing a packet will touch here.
    pub fn expect_datagram(&self, memory: &impl PacketMemory) {
        memory.expect(&self.timeline);
        memory.expect(&self.delay);
        memory.expect(&self.ring);
        memory.expect(&self.probation);
        memory.expect(&self.stats.filed);
    }

    /// Tells `memory` what playing will touch here.
    pub fn expect_turn(&self, memory: &impl PacketMemory) {
        memory.expect(&self.playout);
        memory.expect(&self.delay);
        memory.expect(&self.ring);
    }

    /// Tells `memory` what filing the next packet will touch behind the pointers here.
    pub fn expect_file(&self, memory: &impl PacketMemory) {
        self.delay.expect_counts(memory);
        if let Some(number) = self.timeline.newest_number() {
            self.ring.expect(number + 1, memory);
        }
    }

    /// Tells `memory` what playing will touch behind the pointers here.
    pub fn expect_play(&self, memory: &impl PacketMemory) {
        self.ring.expect(self.ring.head(), memory);
        self.playout.expect(memory);
    }

    /// Tells `memory` that the next packet's payload will be read.
    pub fn expect_packet(&self, memory: &impl PacketMemory) {
        if let Some((_, filed)) = self.ring.next() {
            memory.expect_received(&filed.payload);
        }
    }

    /// Gives up the oldest packet that waits; whether there was one.
    pub fn shed(&mut self, memory: &mut impl PacketMemory) -> bool {
        let Some((missing, filed)) = self.ring.take() else { return false };
        self.stats.lost += u64::from(missing) + 1;
        memory.release(filed.payload);
        true
    }

    /// Forgets the stream (new SSRC, codec change, close), releasing what it holds. Statistics stay.
    pub fn reset(&mut self, clock_hz: u32, rate_hz: u32, memory: &mut impl PacketMemory) {
        self.end_probation(memory);
        self.ring.restart(0, |buf| memory.release(buf));
        self.timeline = Timeline::new(clock_hz, rate_hz);
        self.delay.restart();
        self.playout.restart(rate_hz);
    }

    /// Statistics so far.
    pub fn stats(&self) -> JitterStats {
        let mut stats = self.stats;
        self.playout.add_to(&mut stats);
        stats.jitter_p50 = self.delay.jitter(0.5);
        stats.jitter_p95 = self.delay.jitter(0.95);
        stats.target = Duration::from_micros(self.delay.target_us() as u64);
        stats
    }

    /// Files a packet with a higher number than all before.
    fn file_newer(
        &mut self,
        now: MediaTime,
        arrival: Arrival,
        number: i64,
        memory: &mut impl PacketMemory,
    ) -> Result<(), DropReason> {
        let position = match arrival.content {
            // Its timestamp is the start of the event.
            Content::TelephoneEvent => self.timeline.newest_position().unwrap_or(0),
            Content::Speech | Content::ComfortNoise => {
                let position = self.settle(now, self.timeline.position(arrival.header.time));
                self.timeline.anchor(arrival.header.time, position);
                self.delay.observe(now, number, self.playout.micros(position));
                position
            }
        };
        self.timeline.advance(&arrival.header, number);
        self.put(now, arrival, number, position, memory)
    }

    /// Files a packet that a newer one overtook, or a copy.
    fn file_older(
        &mut self,
        now: MediaTime,
        arrival: Arrival,
        number: i64,
        memory: &mut impl PacketMemory,
    ) -> Result<(), DropReason> {
        if number < self.ring.head() && !self.playout.has_started() {
            self.ring.rewind(number);
        }
        let claimed = self.timeline.position(arrival.header.time);
        let newest = self.timeline.newest_position().unwrap_or(0);
        let position = claimed.filter(|&at| self.is_plausible(now, at)).unwrap_or(newest);
        if self.ring.check(number) != Err(DropReason::Duplicate) {
            self.stats.reordered += 1;
            if arrival.content != Content::TelephoneEvent {
                self.delay.observe(now, number, self.playout.micros(position));
            }
        }
        self.put(now, arrival, number, position, memory)
    }

    /// Holds a packet whose number is far from all others until its successor confirms it. Then
    /// the line goes on behind the newest packet, and nothing that waits is thrown away.
    fn file_jump(
        &mut self,
        now: MediaTime,
        arrival: Arrival,
        memory: &mut impl PacketMemory,
    ) -> Result<(), DropReason> {
        let confirms = |first: &Arrival| first.header.seq.next() == arrival.header.seq;
        if !self.probation.as_ref().is_some_and(confirms) {
            self.end_probation(memory);
            self.probation = Some(arrival);
            return Ok(());
        }
        let Some(first) = self.probation.take() else { return Ok(()) };
        let (number, lost) = self.timeline.carry_on(first.header.seq);
        self.stats.lost += lost as u64;
        let filed = self.file_newer(now, first, number, memory);
        self.file_newer(now, arrival, number + 1, memory).and(filed)
    }

    fn put(
        &mut self,
        now: MediaTime,
        arrival: Arrival,
        number: i64,
        position: i64,
        memory: &mut impl PacketMemory,
    ) -> Result<(), DropReason> {
        let Arrival { content, payload, .. } = arrival;
        if self.ring.check(number) == Err(DropReason::Overflow) {
            self.make_room(number, memory);
        }
        if let Err(reason) = self.ring.check(number) {
            match reason {
                DropReason::Duplicate => self.stats.duplicates += 1,
                DropReason::Late => self.count_late(number),
                _ => {}
            }
            memory.release(payload);
            return Err(reason);
        }
        self.ring.file(number, Filed { payload, content, position, arrived: now });
        self.stats.filed += 1;
        Ok(())
    }

    /// A packet beyond the ring's end pushes the oldest ones out: after a burst that is longer than
    /// the ring, or a gap, what is said now is worth more than what was said then.
    fn make_room(&mut self, number: i64, memory: &mut impl PacketMemory) {
        let head = number - Ring::SLOTS + 1;
        while self.ring.head() < head {
            match self.ring.take() {
                Some((missing, filed)) => {
                    self.stats.lost += u64::from(missing) + 1;
                    memory.release(filed.payload);
                }
                None => self.stats.lost += self.ring.skip_to(head),
            }
        }
    }

    fn count_late(&mut self, number: i64) {
        self.stats.late += 1;
        // It was counted as lost when the head passed it.
        if self.ring.came_late(number) {
            self.stats.lost = self.stats.lost.saturating_sub(1);
        }
    }

    /// The position of a newer packet: where its timestamp says, unless that is absurd at this
    /// time (a frozen or restarted clock, RFC 3550 §5.1). Then it is where it would be had it come as
    /// fast as any, but behind all others.
    fn settle(&self, now: MediaTime, claimed: Option<i64>) -> i64 {
        let (Some(claimed), Some(newest)) = (claimed, self.timeline.newest_position()) else {
            return 0;
        };
        if self.is_plausible(now, claimed) {
            return claimed;
        }
        let fastest_us = now.micros() as i64 - self.delay.floor_us().unwrap_or(0);
        self.playout.samples(fastest_us).max(newest + self.playout.packet() as i64)
    }

    fn is_plausible(&self, now: MediaTime, position: i64) -> bool {
        let Some(floor_us) = self.delay.floor_us() else { return true };
        let transit_us = now.micros() as i64 - self.playout.micros(position);
        (transit_us - floor_us).abs() <= TRANSIT_STEP_US
    }

    fn end_probation(&mut self, memory: &mut impl PacketMemory) {
        if let Some(stray) = self.probation.take() {
            memory.release(stray.payload);
        }
    }
}

/// A transit that differs more than this from the fastest one is no delay: nothing waits so long.
const TRANSIT_STEP_US: i64 = 1_000_000;
