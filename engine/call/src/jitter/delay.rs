//! How late packets come, and how long the buffer should therefore wait for them.
use std::time::Duration;

use crate::MediaTime;

/// Learns the network's delay and sets the target from it.
///
/// A packet's *transit* is its arrival minus its place on the stream's timeline. Its *lateness* is
/// its transit above the fastest one of the last few seconds, which follows clock drift and changes
/// of the route. The target is a high quantile of a histogram of latenesses that forgets, lifted
/// at once when packets come later than that twice within a few seconds.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    floor: Floor,
    lateness: Histogram,
    peaks: Peaks,
    last: Option<Observed>,
    target_us: i64,
    jitter: JitterCounts,
}

#[derive(Debug, Clone, Copy)]
struct Observed {
    number: i64,
    arrived_us: i64,
    position_us: i64,
    /// Whether it came later than the target.
    peak: bool,
}

impl DelayEstimator {
    pub(super) fn new() -> Self {
        Self {
            floor: Floor::new(),
            lateness: Histogram::new(),
            peaks: Peaks::default(),
            last: None,
            target_us: TARGET_MIN_US,
            jitter: JitterCounts::new(),
        }
    }

    /// Forgets the network, not the statistics.
    pub(super) fn restart(&mut self) {
        self.floor = Floor::new();
        self.lateness.clear();
        self.peaks = Peaks::default();
        self.last = None;
        self.target_us = TARGET_MIN_US;
    }

    /// Takes note of packet `number`, which stands at `position_us` and came now.
    pub(super) fn observe(&mut self, now: MediaTime, number: i64, position_us: i64) {
        let arrived_us = now.micros() as i64;
        let transit_us = arrived_us - position_us;
        self.floor.observe(arrived_us, transit_us);
        let lateness_us = transit_us - self.floor.transit_us();
        let mut same_cause = false;
        if let Some(last) = self.last {
            let spacing_us = position_us - last.position_us;
            let interval_us = arrived_us - last.arrived_us;
            self.jitter.count((interval_us - spacing_us).unsigned_abs());
            // A packet that comes on its predecessor's heels was held up by the same stall. The
            // stall counts once, or a single one would raise the delay for seconds.
            same_cause = number == last.number + 1 && interval_us < spacing_us / 4;
        }
        if !same_cause {
            self.lateness.add(lateness_us);
        }
        let peak = lateness_us > self.target_us;
        if peak && !(same_cause && self.last.is_some_and(|last| last.peak)) {
            self.peaks.add(arrived_us, lateness_us);
        }
        self.last = Some(Observed { number, arrived_us, position_us, peak });
        self.aim(arrived_us);
    }

    /// Transit of the fastest packet lately; `None` before the first.
    pub(super) fn floor_us(&self) -> Option<i64> {
        self.last.map(|_| self.floor.transit_us())
    }

    /// How long after the fastest packet's arrival a packet should still find its turn to come.
    pub(super) fn target_us(&self) -> i64 {
        self.target_us
    }

    /// Interarrival jitter below which `share` of the packets stayed.
    pub(super) fn jitter(&self, share: f32) -> Duration {
        self.jitter.quantile(share)
    }

    fn aim(&mut self, now_us: i64) {
        let usual = self.lateness.quantile_us(QUANTILE);
        let peak = self.peaks.repeated_us(now_us);
        self.target_us = usual.max(peak).clamp(TARGET_MIN_US, TARGET_MAX_US);
    }
}

/// The smallest transit of the last [`Floor::SPANS`] seconds or so.
#[derive(Debug)]
struct Floor {
    /// The smallest of each span, the present one first.
    spans: [i64; Self::SPANS],
    began_us: i64,
}

impl Floor {
    const SPANS: usize = 4;
    const SPAN_US: i64 = 1_000_000;

    fn new() -> Self {
        Self { spans: [i64::MAX; Self::SPANS], began_us: 0 }
    }

    fn observe(&mut self, now_us: i64, transit_us: i64) {
        if now_us - self.began_us >= Self::SPAN_US {
            self.spans.rotate_right(1);
            self.spans[0] = i64::MAX;
            self.began_us = now_us;
        }
        self.spans[0] = self.spans[0].min(transit_us);
    }

    /// Meaningful after the first [`observe`](Self::observe).
    fn transit_us(&self) -> i64 {
        self.spans.iter().copied().min().unwrap_or(0)
    }
}

/// Latenesses in bins of [`Histogram::BIN_US`], the older ones weighing less.
#[derive(Debug)]
struct Histogram {
    weights: Box<[f32]>,
    total: f32,
    /// Weight of the next packet. Growing it is forgetting the others, without touching them.
    next: f32,
}

impl Histogram {
    const BIN_US: i64 = 2_000;
    const BINS: usize = 256;
    /// A packet loses 0.5 % of its weight with each that follows: a memory of about 200 packets.
    const GROWTH: f32 = 1.0 / 0.995;
    const WEIGHT_MAX: f32 = 1e6;

    fn new() -> Self {
        Self { weights: vec![0.0; Self::BINS].into(), total: 0.0, next: 1.0 }
    }

    fn clear(&mut self) {
        self.weights.fill(0.0);
        self.total = 0.0;
        self.next = 1.0;
    }

    fn add(&mut self, lateness_us: i64) {
        let bin = (lateness_us / Self::BIN_US).clamp(0, Self::BINS as i64 - 1);
        self.weights[bin as usize] += self.next;
        self.total += self.next;
        self.next *= Self::GROWTH;
        if self.next > Self::WEIGHT_MAX {
            self.scale_down();
        }
    }

    /// The upper edge of the bin that holds the quantile.
    fn quantile_us(&self, share: f32) -> i64 {
        let mut above = self.total * (1.0 - share);
        for (bin, weight) in self.weights.iter().enumerate().rev() {
            above -= weight;
            if above < 0.0 {
                return (bin as i64 + 1) * Self::BIN_US;
            }
        }
        0
    }

    fn scale_down(&mut self) {
        for weight in &mut self.weights {
            *weight /= self.next;
        }
        self.total = self.weights.iter().sum();
        self.next = 1.0;
    }
}

/// The latest few packets that came later than the target.
#[derive(Debug, Default)]
struct Peaks {
    /// Arrival and lateness; the oldest is overwritten.
    recent: [(i64, i64); 8],
    at: usize,
}

impl Peaks {
    /// Peaks further apart than this have nothing to do with each other.
    const SPAN_US: i64 = 4_000_000;

    fn add(&mut self, now_us: i64, lateness_us: i64) {
        self.recent[self.at] = (now_us, lateness_us);
        self.at = (self.at + 1) % self.recent.len();
    }

    /// The lateness that was reached at least twice lately; one peak alone says nothing.
    fn repeated_us(&self, now_us: i64) -> i64 {
        let (mut highest, mut second) = (0, 0);
        for &(_, lateness) in self.recent.iter().filter(|(at, _)| now_us - at < Self::SPAN_US) {
            if lateness > highest {
                (highest, second) = (lateness, highest);
            } else if lateness > second {
                second = lateness;
            }
        }
        second
    }
}

/// Interarrival jitter (RFC 3550 §6.4.1, |D(i−1, i)|) of the whole call.
#[derive(Debug)]
struct JitterCounts {
    /// By [`JitterCounts::BIN_US`]; the last one is "more".
    bins: Box<[u32]>,
    total: u64,
}

impl JitterCounts {
    const BIN_US: u64 = 500;
    const BINS: usize = 512;

    fn new() -> Self {
        Self { bins: vec![0; Self::BINS].into(), total: 0 }
    }

    fn count(&mut self, jitter_us: u64) {
        let bin = (jitter_us / Self::BIN_US).min(Self::BINS as u64 - 1);
        self.bins[bin as usize] += 1;
        self.total += 1;
    }

    fn quantile(&self, share: f32) -> Duration {
        let wanted = (self.total as f64 * f64::from(share)).ceil() as u64;
        let mut below = 0;
        for (bin, &count) in self.bins.iter().enumerate() {
            below += u64::from(count);
            if below >= wanted.max(1) {
                // The middle of the bin.
                return Duration::from_micros(bin as u64 * Self::BIN_US + Self::BIN_US / 2);
            }
        }
        Duration::ZERO
    }
}

/// Share of packets that the target waits for.
const QUANTILE: f32 = 0.97;
/// Covers the host's own batching of arrivals (2 ms) and the timers of a good network.
const TARGET_MIN_US: i64 = 4_000;
/// The end of the histogram's range. A ring of 10 ms packets holds twice this.
const TARGET_MAX_US: i64 = 500_000;
