use std::time::Duration;

use vox_rtp::{ClockRate, ExtendedSeq, ExtendedTime, RtpTime, SeqNo, Ssrc};

/// Counts what comes of one direction of a call: lost, out of order, twice, and its jitter.
///
/// Unlike the statistics behind RTCP reports (RFC 3550 §A.3), duplicates do not make up for losses.
/// A new source goes on where the last one ended.
#[derive(Debug, Clone)]
pub struct Tally {
    clock: ClockRate,
    source: Option<Source>,
    /// Of sources before this one.
    before: Counts,
    counts: Counts,
    jitter_q4: i64,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that should have come, by their sequence numbers.
    pub expected: u64,
    /// Packets that came, duplicates not counted.
    pub received: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came twice, or later than [`Tally::REMEMBERED`] packets after their place.
    pub duplicates: u64,
}

impl Counts {
    /// Packets that never came.
    pub const fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first of its source.
    First(Position),
    /// In its place.
    Counted(Position),
    /// Heard already.
    Duplicate,
    /// So far from all others that it is believed only when its successor follows.
    Suspect,
}

/// A packet's place in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Sequence number without wraps.
    pub index: i64,
    /// Timestamp without wraps.
    pub time: i64,
    /// How far it moved the stream's end: 1 in order, more after a loss, 0 or less behind a later
    /// packet.
    pub ahead: i64,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: Ssrc,
    first: i64,
    highest: ExtendedSeq,
    time: ExtendedTime,
    /// Bit n: the packet n before the highest has come.
    seen: u128,
    transit: i64,
    after_suspect: Option<SeqNo>,
}

impl Tally {
    /// How many packets back a duplicate is still told from a late one: 2.5 s.
    pub const REMEMBERED: i64 = 127;

    /// Nothing heard yet; `clock` is that of the timestamps.
    pub const fn new(clock: ClockRate) -> Self {
        let zero = Counts { expected: 0, received: 0, reordered: 0, duplicates: 0 };
        Self { clock, source: None, before: zero, counts: zero, jitter_q4: 0 }
    }

    /// Goes on with another clock: what comes next is a source of its own.
    pub fn change_clock(&mut self, clock: ClockRate) {
        self.before = self.counts();
        *self = Self { before: self.before, ..Self::new(clock) };
    }

    /// Takes note of a packet that arrived at `arrival_us` of any clock. `timed`: its timestamp says
    /// when it was sent, which that of a telephone-event does not.
    pub fn receive(
        &mut self,
        ssrc: Ssrc,
        seq: SeqNo,
        time: RtpTime,
        arrival_us: u64,
        timed: bool,
    ) -> Place {
        let arrival = (arrival_us * u64::from(self.clock.hz()) / 1_000_000) as i64;
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) else {
            return self.begin(ssrc, seq, time, arrival);
        };
        let index = source.highest.nearest(seq).0;
        let ahead = index - source.highest.0;
        if !(-DROPOUT_MAX..=DROPOUT_MAX).contains(&ahead) {
            if source.after_suspect == Some(seq) {
                return self.begin(ssrc, seq, time, arrival);
            }
            source.after_suspect = Some(seq.next());
            return Place::Suspect;
        }
        if !source.mark(ahead) {
            self.counts.duplicates += 1;
            return Place::Duplicate;
        }
        self.counts.received += 1;
        self.counts.reordered += u64::from(ahead < 0);
        source.highest = source.highest.max(ExtendedSeq(index));
        self.counts.expected = (source.highest.0 - source.first + 1) as u64;
        let position = source.position(index, time, ahead);
        if timed {
            // RFC 3550 §A.8: J += (|D| - J) / 16, kept times 16.
            let transit = arrival - position.time;
            let distance = (transit - source.transit).abs();
            self.jitter_q4 += distance - self.jitter_q4 / 16;
            source.transit = transit;
        }
        Place::Counted(position)
    }

    /// What was counted so far.
    pub const fn counts(&self) -> Counts {
        Counts {
            expected: self.before.expected + self.counts.expected,
            received: self.before.received + self.counts.received,
            reordered: self.before.reordered + self.counts.reordered,
            duplicates: self.before.duplicates + self.counts.duplicates,
        }
    }

    /// Interarrival jitter (RFC 3550 §A.8) now.
    pub fn jitter(&self) -> Duration {
        Duration::from_secs_f64(self.jitter_q4 as f64 / 16.0 / f64::from(self.clock.hz()))
    }

    fn begin(&mut self, ssrc: Ssrc, seq: SeqNo, time: RtpTime, arrival: i64) -> Place {
        self.before = self.counts();
        self.counts = Counts { expected: 1, received: 1, ..Counts::default() };
        let (highest, time) = (ExtendedSeq::first(seq), ExtendedTime::first(time));
        self.source = Some(Source {
            ssrc,
            first: highest.0,
            highest,
            time,
            seen: 1,
            transit: arrival - time.0,
            after_suspect: None,
        });
        Place::First(Position { index: highest.0, time: time.0, ahead: 1 })
    }
}

impl Source {
    /// Notes that the packet `ahead` of the highest has come; `false` when it had before, or when
    /// that is not known any more.
    fn mark(&mut self, ahead: i64) -> bool {
        match ahead {
            1.. => {
                self.seen = self.seen.checked_shl(ahead as u32).unwrap_or(0) | 1;
                true
            }
            OLDEST..=0 => {
                let bit = 1 << -ahead;
                let new = self.seen & bit == 0;
                self.seen |= bit;
                // Before the first that was heard: nobody expected it.
                self.first = self.first.min(self.highest.0 + ahead);
                new
            }
            _ => false,
        }
    }

    fn position(&mut self, index: i64, time: RtpTime, ahead: i64) -> Position {
        let time = self.time.nearest(time);
        if ahead > 0 {
            self.time = time;
        }
        Position { index, time: time.0, ahead }
    }
}

const OLDEST: i64 = -Tally::REMEMBERED;
/// RFC 3550 §A.1: a gap this long is a restart rather than loss: a minute at 20 ms a packet.
const DROPOUT_MAX: i64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence numbers as they come, 20 ms apart.
    fn count(seqs: &[u16]) -> Counts {
        let mut tally = Tally::new(ClockRate::HZ_8000);
        for (n, &seq) in seqs.iter().enumerate() {
            let time = RtpTime(u32::from(seq).wrapping_mul(160));
            tally.receive(Ssrc(1), SeqNo(seq), time, n as u64 * 20_000, true);
        }
        tally.counts()
    }

    #[test]
    fn loss_reordering_and_duplicates_are_told_apart() {
        for (seqs, expected) in [
            (&[][..], (0, 0, 0, 0)),
            (&[7], (1, 1, 0, 0)),
            (&[1, 2, 3, 4], (4, 4, 0, 0)),
            (&[1, 2, 4, 5], (5, 4, 0, 0)),
            (&[1, 3, 2, 4], (4, 4, 1, 0)),
            (&[1, 2, 2, 3, 1], (3, 3, 0, 2)),
            (&[65_534, 65_535, 0, 1], (4, 4, 0, 0)),
            (&[5, 4, 6], (3, 3, 1, 0)),
            // A stranger in between, and a source that begins anew.
            (&[1, 2, 30_000, 3], (3, 3, 0, 0)),
            (&[1, 2, 30_000, 30_001, 30_002], (4, 4, 0, 0)),
            // Too late to tell whether it came before.
            (&[1, 2, 4, 200, 3], (200, 4, 0, 1)),
        ] {
            let counts = count(seqs);
            let found = (counts.expected, counts.received, counts.reordered, counts.duplicates);
            assert_eq!(found, expected, "{seqs:?}");
        }
    }

    #[test]
    fn a_new_source_goes_on_counting() {
        let mut tally = Tally::new(ClockRate::HZ_8000);
        for (ssrc, seq) in [(1, 10), (1, 12), (2, 500), (2, 501)] {
            tally.receive(Ssrc(ssrc), SeqNo(seq), RtpTime(0), 0, true);
        }
        assert_eq!((tally.counts().expected, tally.counts().lost()), (5, 1));
    }

    #[test]
    fn jitter_is_that_of_the_rfc() {
        let mut tally = Tally::new(ClockRate::HZ_8000);
        for n in 0..500u64 {
            let late = if n % 2 == 0 { 0 } else { 10_000 };
            let time = RtpTime(n as u32 * 160);
            tally.receive(Ssrc(1), SeqNo(n as u16), time, n * 20_000 + late, true);
        }
        // Every difference is 10 ms.
        assert!((9_000..=10_000).contains(&tally.jitter().as_micros()), "{:?}", tally.jitter());
    }
}
