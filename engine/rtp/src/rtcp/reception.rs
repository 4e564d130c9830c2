use core::time::Duration;

use super::report::{LOST_MAX, LOST_MIN};
use super::{NtpShort, NtpTime, ReportBlock};
use crate::{ClockRate, ExtendedSeq, RtpTime, SeqNo, Ssrc};

/// What we heard from one source: the sum behind the report blocks we send.
///
/// ```text
///             2 in sequence                gap of 3,000 or more
/// Probation ────────────────► Valid ──────────────────────────► Valid, one suspect packet
///     ▲  any other: again       ▲ ▲                                │           │
///     └──────────┘              │ └── any other packet ────────────┘           │
///                               └──── the suspect's successor: counts from zero┘
/// ```
///
/// Times are microseconds on any clock that never steps, the same for all calls.
#[derive(Debug, Clone)]
pub struct Reception {
    clock: ClockRate,
    /// `None` before the first packet.
    sequence: Option<Sequence>,
    /// What had been expected and received at the last report.
    reported: Tally,
    /// Interarrival jitter in 1/16 of a timestamp unit.
    jitter_16: u64,
    /// Arrival minus timestamp of the last timed packet, in timestamp units.
    transit: Option<u32>,
    /// The last sender report: when it was sent (its clock), when it came (ours).
    last_sr: Option<(NtpShort, u64)>,
}

impl Reception {
    /// Nothing heard yet. `clock` is that of the source's timestamps.
    pub const fn new(clock: ClockRate) -> Self {
        Self {
            clock,
            sequence: None,
            reported: Tally::ZERO,
            jitter_16: 0,
            transit: None,
            last_sr: None,
        }
    }

    /// Takes note of a packet, in order of arrival.
    pub fn receive(&mut self, seq: SeqNo, time: RtpTime, arrival_us: u64) -> Arrival {
        let arrival = self.receive_untimed(seq);
        if arrival != Arrival::Suspect {
            self.measure(time, arrival_us);
        }
        arrival
    }

    /// Takes note of a packet whose timestamp says nothing about when it was sent: a
    /// telephone-event keeps the timestamp of its beginning (RFC 4733 §2.2.1), which would look like
    /// jitter.
    pub fn receive_untimed(&mut self, seq: SeqNo) -> Arrival {
        let Some(sequence) = &mut self.sequence else {
            self.sequence = Some(Sequence::first(seq));
            return Arrival::Probation;
        };
        let arrival = sequence.update(seq);
        if arrival == Arrival::Restarted {
            self.reported = Tally::ZERO;
            self.transit = None;
        }
        arrival
    }

    /// Takes note of a sender report of the source.
    pub fn sender_report(&mut self, sent: NtpTime, arrival_us: u64) {
        self.last_sr = Some((sent.short(), arrival_us));
    }

    /// The block to send about the source, which is `ssrc`; closes the interval that its fraction is
    /// about. `None` while the source is on probation.
    ///
    /// There is a block even when nothing came since the last one: it is how a sender on hold, or one
    /// whose packets are all lost, still learns its round-trip time.
    pub fn report(&mut self, ssrc: Ssrc, now_us: u64) -> Option<ReportBlock> {
        let sequence = self.sequence.as_ref().filter(|sequence| sequence.is_valid())?;
        let tally = sequence.tally();
        let fraction_lost = tally.since(self.reported).fraction_lost();
        self.reported = tally;
        let (last_sr, delay_since_last_sr) = match self.last_sr {
            Some((sent, came_us)) => {
                let delay = Duration::from_micros(now_us.saturating_sub(came_us));
                (sent, NtpShort::from_duration(delay))
            }
            None => (NtpShort(0), NtpShort(0)),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: tally.lost().clamp(i64::from(LOST_MIN), i64::from(LOST_MAX)) as i32,
            highest_seq: sequence.highest.low_32(),
            jitter: self.jitter(),
            last_sr,
            delay_since_last_sr,
        })
    }

    /// Whether the source has shown two packets in sequence.
    pub fn is_valid(&self) -> bool {
        self.sequence.as_ref().is_some_and(Sequence::is_valid)
    }

    /// Packets received since the source began or restarted, duplicates included.
    pub fn received(&self) -> u64 {
        self.tally().received
    }

    /// Packets that the source has sent by its sequence numbers.
    pub fn expected(&self) -> u64 {
        self.tally().expected
    }

    /// Expected minus received: negative after duplicates.
    pub fn lost(&self) -> i64 {
        self.tally().lost()
    }

    /// Interarrival jitter in timestamp units (RFC 3550 §6.4.1).
    pub const fn jitter(&self) -> u32 {
        (self.jitter_16 >> 4) as u32
    }

    /// Interarrival jitter as time.
    pub const fn jitter_time(&self) -> Duration {
        // At most 2^31 units at 1 Hz: far from overflowing, and never negative.
        Duration::from_micros(self.clock.us_in_units(self.jitter() as i64) as u64)
    }

    fn tally(&self) -> Tally {
        self.sequence.as_ref().map_or(Tally::ZERO, Sequence::tally)
    }

    /// RFC 3550 §A.8, in sixteenths so that the gain of 1/16 needs no floating point.
    fn measure(&mut self, time: RtpTime, arrival_us: u64) {
        let transit = (self.clock.units_in_us(arrival_us) as u32).wrapping_sub(time.0);
        let Some(before) = self.transit.replace(transit) else {
            return;
        };
        let distance = (transit.wrapping_sub(before) as i32).unsigned_abs();
        // A sender that jumps to other timestamps is not late by hours: one such packet would
        // outweigh the jitter of the rest of the call.
        if u64::from(distance) > self.clock.units_in_ms(TRANSIT_JUMP_MS) {
            return;
        }
        self.jitter_16 += u64::from(distance);
        self.jitter_16 -= (self.jitter_16 - u64::from(distance) + 8) >> 4;
    }
}

/// What became of a packet in a source's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The source has not yet shown two packets in sequence.
    Probation,
    /// Counted as received.
    Counted,
    /// Too far from the others to be counted, unless its successor follows.
    Suspect,
    /// It followed a suspect packet: the source began anew, and so does the counting.
    Restarted,
}

/// The sequence numbers of a source (RFC 3550 §A.1).
#[derive(Debug, Clone)]
struct Sequence {
    base: ExtendedSeq,
    highest: ExtendedSeq,
    received: u64,
    /// Packets in sequence, in 1..=MIN_SEQUENTIAL.
    in_sequence: u8,
    /// What would follow the suspect packet, RFC 3550's `bad_seq`.
    after_suspect: Option<SeqNo>,
}

impl Sequence {
    const fn first(seq: SeqNo) -> Self {
        let first = ExtendedSeq::first(seq);
        Self { base: first, highest: first, received: 1, in_sequence: 1, after_suspect: None }
    }

    const fn is_valid(&self) -> bool {
        self.in_sequence >= MIN_SEQUENTIAL
    }

    fn update(&mut self, seq: SeqNo) -> Arrival {
        if self.is_valid() { self.update_valid(seq) } else { self.update_on_probation(seq) }
    }

    /// Unlike §A.1, the first packet of the sequence that ends the probation is counted too: the
    /// core has played it.
    fn update_on_probation(&mut self, seq: SeqNo) -> Arrival {
        if seq != self.highest.seq().next() {
            *self = Self::first(seq);
            return Arrival::Probation;
        }
        self.highest = self.highest.nearest(seq);
        self.received += 1;
        self.in_sequence += 1;
        if self.is_valid() { Arrival::Counted } else { Arrival::Probation }
    }

    fn update_valid(&mut self, seq: SeqNo) -> Arrival {
        let ahead = i32::from(seq.since(self.highest.seq()));
        if (1 - MISORDER_MAX..DROPOUT_MAX).contains(&ahead) {
            self.highest = self.highest.max(self.highest.nearest(seq));
            self.received += 1;
            return Arrival::Counted;
        }
        if self.after_suspect == Some(seq) {
            *self = Self { in_sequence: MIN_SEQUENTIAL, ..Self::first(seq) };
            return Arrival::Restarted;
        }
        self.after_suspect = Some(seq.next());
        Arrival::Suspect
    }

    const fn tally(&self) -> Tally {
        // Never negative: `highest` starts at `base` and only grows.
        let expected = (self.highest.0 - self.base.0 + 1) as u64;
        Tally { expected, received: self.received }
    }
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    expected: u64,
    received: u64,
}

impl Tally {
    const ZERO: Self = Self { expected: 0, received: 0 };

    const fn since(self, before: Self) -> Self {
        Self {
            expected: self.expected - before.expected,
            received: self.received - before.received,
        }
    }

    const fn lost(self) -> i64 {
        self.expected as i64 - self.received as i64
    }

    /// RFC 3550 §A.3: in 1/256, none when duplicates outweigh losses.
    const fn fraction_lost(self) -> u8 {
        match self.lost() {
            ..=0 => 0,
            // Below 256: only a packet received raises what is expected, so never all are lost.
            lost => ((lost as u64) * 256 / self.expected) as u8,
        }
    }
}

/// RFC 3550 §A.1: packets in sequence until a source is believed.
const MIN_SEQUENTIAL: u8 = 2;
/// §A.1: a gap this long is a restart rather than loss: a minute at 20 ms a packet.
const DROPOUT_MAX: i32 = 3_000;
/// §A.1: a packet this far behind is a restart rather than reordering.
const MISORDER_MAX: i32 = 100;
/// Longer than any network delays a packet that is still of use.
const TRANSIT_JUMP_MS: u32 = 10_000;
