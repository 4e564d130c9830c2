//! How late packets come, and how long the buffer should therefore wait for them.
use std::time::Duration;

use crate::{MediaTime, PacketMemory};

/// Learns the network's delay and sets the target from it.
///
/// A packet's *transit* is its arrival minus its place on the stream's timeline. Its *lateness* is
/// its transit above the fastest one of the last few seconds, which follows clock drift and changes
/// of the route. The target is a high quantile of a histogram of latenesses that forgets, lifted
/// at once when packets come later than that twice within a few seconds.
///
/// Packets in a row that come later than the target, none later than the first, were held up by
/// one event, and count once: after a stall the delay is long anyway, and a target that remembers
/// every packet of it would keep the delay long for seconds.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    floor: Floor,
    /// The transit that latenesses count from: the floor, in steps of a bin.
    origin_us: i64,
    lateness: Histogram,
    peaks: Peaks,
    last: Option<Observed>,
    event: Option<Event>,
    target_us: i64,
    jitter: JitterCounts,
}

#[derive(Debug, Clone, Copy)]
struct Observed {
    arrived_us: i64,
    position_us: i64,
}

/// Packets that were late together.
#[derive(Debug, Clone, Copy)]
struct Event {
    began_us: i64,
    /// The latest packet of it.
    number: i64,
    lateness_us: i64,
}

impl DelayEstimator {
    pub(super) fn new() -> Self {
        Self {
            floor: Floor::new(),
            origin_us: 0,
            lateness: Histogram::new(),
            peaks: Peaks::default(),
            last: None,
            event: None,
            target_us: TARGET_MIN_US,
            jitter: JitterCounts::new(),
        }
    }

    /// Forgets the network, not the statistics.
    pub(super) fn restart(&mut self) {
        self.floor = Floor::new();
        self.lateness.clear();
        self.peaks.clear();
        self.last = None;
        self.event = None;
        self.target_us = TARGET_MIN_US;
    }

    /// Takes note of packet `number`, which stands at `position_us` and came now.
    pub(super) fn observe(&mut self, now: MediaTime, number: i64, position_us: i64) {
        let arrived_us = now.micros() as i64;
        let transit_us = arrived_us - position_us;
        self.floor.observe(arrived_us, transit_us);
        self.follow_floor();
        let lateness_us = transit_us - self.origin_us;
        let mut spacing_us = 0;
        if let Some(last) = self.last {
            spacing_us = position_us - last.position_us;
            let interval_us = arrived_us - last.arrived_us;
            self.jitter.count((interval_us - spacing_us).unsigned_abs());
        }
        self.last = Some(Observed { arrived_us, position_us });
        if self.is_new(number, lateness_us, arrived_us) {
            self.lateness.add(lateness_us, spacing_us);
            self.aim(arrived_us);
        }
    }

    /// Tells `memory` which counts the next packet will touch, if it is like most.
    pub(super) fn expect_counts(&self, memory: &impl PacketMemory) {
        memory.expect(&self.lateness.weights[self.lateness.bin]);
        memory.expect(&self.jitter.bins[0]);
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

    /// What was late by the old floor is less so by a higher one, as after a change of the route.
    fn follow_floor(&mut self) {
        let moved_us = self.floor.transit_us() - self.origin_us;
        if self.last.is_none() {
            self.origin_us += moved_us;
        }
        let bins = moved_us.div_euclid(Histogram::BIN_US);
        if self.last.is_none() || bins == 0 {
            return;
        }
        let moved_us = bins * Histogram::BIN_US;
        self.origin_us += moved_us;
        self.lateness.shift_down(bins);
        self.peaks.shift_down(moved_us);
        if let Some(event) = &mut self.event {
            event.lateness_us -= moved_us;
        }
    }

    /// Whether the packet tells something new, rather than being late with the one before it.
    fn is_new(&mut self, number: i64, lateness_us: i64, now_us: i64) -> bool {
        if lateness_us <= self.target_us {
            return true;
        }
        if let Some(event) = self.event.as_mut().filter(|event| event.number + 1 == number) {
            event.number = number;
            let goes_on = lateness_us <= event.lateness_us + EVENT_TOLERANCE_US
                && now_us - event.began_us < EVENT_MAX_US;
            if goes_on {
                event.lateness_us = lateness_us;
                return false;
            }
        }
        self.event = Some(Event { began_us: now_us, number, lateness_us });
        self.peaks.add(now_us, lateness_us);
        true
    }

    fn aim(&mut self, now_us: i64) {
        let usual = self.lateness.quantile_us();
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

/// Latenesses in bins of [`Histogram::BIN_US`], the older ones weighing less, and a quantile of
/// them that is kept up to date by a step or two for each packet.
#[derive(Debug)]
struct Histogram {
    weights: Box<[f32]>,
    total: f32,
    /// Weight of the next packet. Growing it is forgetting the others, without touching them.
    next: f32,
    /// The bin that holds the quantile.
    bin: usize,
    /// The weight of the bins above it.
    above: f32,
}

impl Histogram {
    const BIN_US: i64 = 2_000;
    const BINS: usize = 256;
    /// Share of packets that the target waits for.
    const QUANTILE: f32 = 0.97;
    /// After this much audio a packet weighs a third.
    const MEMORY_US: i64 = 4_000_000;
    const SPACING_MAX_US: i64 = 100_000;
    const WEIGHT_MAX: f32 = 1e6;

    fn new() -> Self {
        Self { weights: vec![0.0; Self::BINS].into(), total: 0.0, next: 1.0, bin: 0, above: 0.0 }
    }

    fn clear(&mut self) {
        self.weights.fill(0.0);
        (self.total, self.next, self.bin, self.above) = (0.0, 1.0, 0, 0.0);
    }

    /// Adds a packet that stands `spacing_us` behind the one before it.
    fn add(&mut self, lateness_us: i64, spacing_us: i64) {
        let bin = (lateness_us / Self::BIN_US).clamp(0, Self::BINS as i64 - 1) as usize;
        self.weights[bin] += self.next;
        self.total += self.next;
        if bin > self.bin {
            self.above += self.next;
        }
        let spacing_us = spacing_us.clamp(0, Self::SPACING_MAX_US);
        self.next *= 1.0 + spacing_us as f32 / Self::MEMORY_US as f32;
        if self.next > Self::WEIGHT_MAX {
            self.scale_down();
        }
        self.follow();
    }

    /// The upper edge of the quantile's bin.
    fn quantile_us(&self) -> i64 {
        (self.bin as i64 + 1) * Self::BIN_US
    }

    /// Moves all weights down by so many bins, or up by a negative number.
    fn shift_down(&mut self, bins: i64) {
        let by = bins.unsigned_abs().min(Self::BINS as u64) as usize;
        if bins > 0 {
            let out: f32 = self.weights[..by].iter().sum();
            self.weights.copy_within(by.., 0);
            self.weights[Self::BINS - by..].fill(0.0);
            self.weights[0] += out;
        } else {
            let out: f32 = self.weights[Self::BINS - by..].iter().sum();
            self.weights.copy_within(..Self::BINS - by, by);
            self.weights[..by].fill(0.0);
            self.weights[Self::BINS - 1] += out;
        }
        self.bin = 0;
        self.above = self.weights[1..].iter().sum();
        self.follow();
    }

    /// Moves the quantile to where it is now.
    fn follow(&mut self) {
        let wanted = self.total * (1.0 - Self::QUANTILE);
        while self.above > wanted && self.bin + 1 < Self::BINS {
            self.bin += 1;
            self.above -= self.weights[self.bin];
        }
        while self.bin > 0 && self.above + self.weights[self.bin] <= wanted {
            self.above += self.weights[self.bin];
            self.bin -= 1;
        }
    }

    /// Keeps weights in range; the sums lose what rounding has added up.
    fn scale_down(&mut self) {
        for weight in &mut self.weights {
            *weight /= self.next;
        }
        self.total = self.weights.iter().sum();
        self.above = self.weights[self.bin + 1..].iter().sum();
        self.next = 1.0;
    }
}

/// The latest few packets that came later than the target.
#[derive(Debug, Default)]
struct Peaks {
    /// Arrival and lateness; the oldest is overwritten.
    recent: Box<[(i64, i64); 8]>,
    at: usize,
    /// When the latest came; without a recent one the others need no look.
    latest_us: i64,
}

impl Peaks {
    /// Peaks further apart than this have nothing to do with each other.
    const SPAN_US: i64 = 4_000_000;

    fn clear(&mut self) {
        *self.recent = Default::default();
        (self.at, self.latest_us) = (0, 0);
    }

    fn add(&mut self, now_us: i64, lateness_us: i64) {
        self.recent[self.at] = (now_us, lateness_us);
        self.latest_us = now_us;
        self.at = (self.at + 1) % self.recent.len();
    }

    fn shift_down(&mut self, by_us: i64) {
        for (_, lateness) in self.recent.iter_mut().filter(|(_, lateness)| *lateness > 0) {
            *lateness = (*lateness - by_us).max(0);
        }
    }

    /// The lateness that was reached at least twice lately; one peak alone says nothing.
    fn repeated_us(&self, now_us: i64) -> i64 {
        if now_us - self.latest_us >= Self::SPAN_US {
            return 0;
        }
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

/// Covers the host's own batching of arrivals (2 ms) and the timers of a good network.
pub(super) const TARGET_MIN_US: i64 = 4_000;
/// A conversation does not bear more. What comes later in order is still played, for the head of
/// the line waits; what is overtaken by so much is lost.
const TARGET_MAX_US: i64 = 240_000;
/// The host sees arrivals in batches.
const EVENT_TOLERANCE_US: i64 = 5_000;
/// What lasts longer is how the network is now.
const EVENT_MAX_US: i64 = 700_000;
