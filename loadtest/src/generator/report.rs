use std::time::Duration;

use vox_codecs::CodecKind;

use crate::media::Counts;

/// What one leg was like.
#[derive(Debug, Clone, PartialEq)]
pub struct LegReport {
    /// The codec agreed on last; `None`: it was never started.
    pub codec: Option<CodecKind>,
    /// From [`Leg::start`](super::Leg::start) to the end, or to [`Leg::vanish`](super::Leg::vanish).
    pub duration: Duration,
    /// What we said.
    pub said: Said,
    /// What we heard, counted. Expected is also what should have come while the peer was
    /// [`muted`](Self::muted).
    pub heard: Counts,
    /// Datagrams that were no packets of this call.
    pub strangers: u64,
    /// Packets that our own kernel had no room for; among the lost ones.
    pub dropped_here: u64,
    /// Interarrival jitter at the end (RFC 3550 §A.8).
    pub jitter: Duration,
    /// How late packets came, against their own timestamps and the fastest packet, the peer's clock
    /// drift taken out.
    pub late: LateBuckets,
    /// Longest time without a packet while we listened: before the first, between two, or after
    /// the last one.
    pub longest_gap: Duration,
    /// How long nothing came any more at the end, or at all, while we listened; zero when that was
    /// less than 2 s.
    pub muted: Duration,
    /// From the start to the first packet.
    pub first_packet: Option<Duration>,
    /// From the start to the first packet with something to be heard in it.
    pub first_audio: Option<Duration>,
    /// What there was to be heard.
    pub sound: Sound,
    /// Markers that came back.
    pub round_trips: RoundTrips,
    /// Digits that the peer pressed (RFC 4733), at most 32.
    pub digits: String,
    /// Conversational quality of what we heard by the E-model (ITU-T G.107), 1.0..=4.5: its loss is
    /// what a phone with the best constant playout delay would have missed, its delay half the round
    /// trip (if that is known) and that playout delay.
    pub mos: f64,
}

/// What a leg said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Packets that the kernel was given.
    pub sent: u64,
    /// Packets that the leg's own bad network lost; not among `sent`.
    pub lost_on_purpose: u64,
    /// Packets that were not made in time, or that the kernel did not take: the generator was the
    /// limit.
    pub skipped: u64,
    /// Markers in what was sent.
    pub markers: u64,
    /// There was speech in it: the leg was neither a silent one nor an echo.
    pub speech: bool,
}

/// What there was to be heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sound {
    /// No packet came.
    #[default]
    Nothing,
    /// Packets came, none of them with more than silence (−50 dBov) in it.
    Silence,
    /// Something.
    Audible,
}

/// Round trips by markers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// Markers that came back.
    pub count: u64,
    /// Fastest.
    pub min: Duration,
    /// Slowest.
    pub max: Duration,
    /// Of all of them together.
    pub sum: Duration,
}

impl RoundTrips {
    /// The mean; `None` when no marker came back.
    pub fn mean(&self) -> Option<Duration> {
        Some(self.sum / u32::try_from(self.count).ok().filter(|&count| count > 0)?)
    }

    pub(super) fn record(&mut self, round_trip: Duration) {
        self.min = if self.count == 0 { round_trip } else { self.min.min(round_trip) };
        self.max = self.max.max(round_trip);
        self.sum += round_trip;
        self.count += 1;
    }
}

impl LegReport {
    /// Of a leg that was never started.
    pub(super) fn unstarted() -> Self {
        Self {
            codec: None,
            duration: Duration::ZERO,
            said: Said::default(),
            heard: Counts::default(),
            strangers: 0,
            dropped_here: 0,
            jitter: Duration::ZERO,
            late: LateBuckets::default(),
            longest_gap: Duration::ZERO,
            muted: Duration::ZERO,
            first_packet: None,
            first_audio: None,
            sound: Sound::Nothing,
            round_trips: RoundTrips::default(),
            digits: String::new(),
            mos: 1.0,
        }
    }

    /// Whether we sent and heard nothing, or nothing any more, or (having spoken) only silence.
    pub fn is_one_way(&self) -> bool {
        let deaf = match self.sound {
            Sound::Nothing => true,
            Sound::Silence => self.said.speech || !self.muted.is_zero(),
            Sound::Audible => !self.muted.is_zero(),
        };
        self.said.sent > 0 && deaf
    }

    /// Whether our own words came back.
    pub fn is_echoed(&self) -> bool {
        self.round_trips.count > 0
    }
}

/// A histogram of lateness in a fixed size: four buckets to each doubling from 64 µs to 4 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateBuckets {
    counts: [u32; Self::BUCKETS],
}

impl LateBuckets {
    /// How many buckets there are.
    pub const BUCKETS: usize = 66;

    /// Adds a packet that came this much late.
    pub fn record(&mut self, late_us: u64) {
        self.counts[Self::bucket(late_us)] += 1;
    }

    /// Packets in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Each bucket that has any: its upper bound, and its packets. Ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(bucket, &count)| (Self::upper(bucket), u64::from(count)))
    }

    /// Packets that came later than `limit`, a bucket's bound (else those of its bucket count, too).
    pub fn later_than(&self, limit: Duration) -> u64 {
        self.iter().filter(|(upper, _)| *upper > limit).map(|(_, count)| count).sum()
    }

    /// The upper bound that this share (0..=1) of the packets keeps; zero without packets.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut sum = 0;
        let reached = self.iter().find(|(_, count)| {
            sum += count;
            sum >= wanted
        });
        reached.map_or(Duration::ZERO, |(upper, _)| upper)
    }

    /// Below 64 µs: 0. Then two bits behind the leading one tell the bucket.
    const fn bucket(late_us: u64) -> usize {
        if late_us < FIRST_US {
            return 0;
        }
        let octave = late_us.ilog2() as usize;
        let quarter = (late_us >> (octave - 2)) as usize & 3;
        let bucket = (octave - FIRST_US.ilog2() as usize) * 4 + quarter + 1;
        if bucket < Self::BUCKETS { bucket } else { Self::BUCKETS - 1 }
    }

    const fn upper(bucket: usize) -> Duration {
        let quarters = 4 + (bucket % 4) as u64;
        Duration::from_micros((FIRST_US * quarters / 4) << (bucket / 4))
    }
}

impl Default for LateBuckets {
    fn default() -> Self {
        Self { counts: [0; Self::BUCKETS] }
    }
}

const FIRST_US: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_one_begins() {
        for bucket in 0..LateBuckets::BUCKETS - 1 {
            let upper = LateBuckets::upper(bucket).as_micros() as u64;
            assert_eq!(LateBuckets::bucket(upper - 1), bucket, "{upper} µs");
            assert_eq!(LateBuckets::bucket(upper), bucket + 1, "{upper} µs");
        }
        assert_eq!(LateBuckets::bucket(u64::MAX), LateBuckets::BUCKETS - 1);
        assert!(LateBuckets::upper(LateBuckets::BUCKETS - 1) > Duration::from_secs(4));
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut late = LateBuckets::default();
        assert_eq!(late.quantile(0.5), Duration::ZERO);
        (1..=10_000).for_each(|n| late.record(n * 10));
        for (share, exact_ms) in [(0.5, 50.0), (0.9, 90.0), (0.999, 99.9)] {
            let found_ms = late.quantile(share).as_secs_f64() * 1e3;
            assert!((exact_ms..exact_ms * 1.25).contains(&found_ms), "{share}: {found_ms}");
        }
        let limit = late.quantile(0.5);
        let later = late.later_than(limit);
        assert_eq!(later, 10_000 - (limit.as_micros() as u64 - 1) / 10, "exact at a bound");
    }

    #[test]
    fn round_trips_have_a_mean_once_there_are_any() {
        let mut trips = RoundTrips::default();
        assert_eq!(trips.mean(), None);
        [30, 10, 20].into_iter().for_each(|ms| trips.record(Duration::from_millis(ms)));
        assert_eq!(trips.mean(), Some(Duration::from_millis(20)));
        assert_eq!((trips.min.as_millis(), trips.max.as_millis(), trips.count), (10, 30, 3));
    }
}
