use std::time::Duration;

use hdrhistogram::Histogram;

/// What happened since the figures were taken last (or since the start).
#[derive(Debug, Clone)]
pub struct Interval {
    /// Of all threads together.
    pub totals: Totals,
    /// What each thread cost.
    pub threads: Vec<ThreadInterval>,
}

/// What a thread cost in an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThreadInterval {
    /// The core it is pinned to.
    pub core: Option<usize>,
    /// Length of the interval.
    pub length: Duration,
    /// Processor time, user and kernel.
    pub cpu: Duration,
    /// Time in which it wanted to run and another did (the scheduler's run queue); zero where the
    /// kernel does not count it.
    pub waiting: Duration,
    /// Legs open at its end.
    pub legs: usize,
    /// It died, by a bug; its legs are silent.
    pub died: bool,
}

/// Packets of all legs of a thread or a generator in an interval. Histograms are in microseconds,
/// with two significant digits, up to [`Totals::MICROS_MAX`].
#[derive(Debug, Clone)]
pub struct Totals {
    /// Packets that the kernel was given.
    pub sent: u64,
    /// Packets that the legs' own bad networks lost.
    pub lost_on_purpose: u64,
    /// Packets that the kernel did not take.
    pub send_dropped: u64,
    /// Packets that were so late that they were not made at all.
    pub skipped: u64,
    /// Packets that came, duplicates not counted.
    pub received: u64,
    /// Packets that should have come, by their sequence numbers. Those under way are not in it, so
    /// that over a short interval a few more may be received than expected.
    pub expected: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Datagrams that were no packets of a leg's call.
    pub strangers: u64,
    /// Packets that the generator's own kernel had no room for; known when their leg ends.
    pub dropped_here: u64,
    /// How often receiving stopped because every buffer was full. The packets wait in their sockets.
    pub receive_overruns: u64,
    /// Wake-ups more than 2 ms late.
    pub late_wake_ups: u64,
    /// How late packets came, against their own timestamps and their leg's fastest packet.
    pub late: Histogram<u64>,
    /// How late our packets left, against their 20 ms grid: until the kernel had taken the batch that
    /// they were in.
    pub send_late: Histogram<u64>,
    /// Marker to marker.
    pub round_trip: Histogram<u64>,
}

impl Totals {
    /// What is longer counts as this long.
    pub const MICROS_MAX: u64 = 60_000_000;

    /// Packets that never came.
    pub const fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// Adds another interval's or thread's figures.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.sent, other.sent),
            (&mut self.lost_on_purpose, other.lost_on_purpose),
            (&mut self.send_dropped, other.send_dropped),
            (&mut self.skipped, other.skipped),
            (&mut self.received, other.received),
            (&mut self.expected, other.expected),
            (&mut self.reordered, other.reordered),
            (&mut self.duplicates, other.duplicates),
            (&mut self.strangers, other.strangers),
            (&mut self.dropped_here, other.dropped_here),
            (&mut self.receive_overruns, other.receive_overruns),
            (&mut self.late_wake_ups, other.late_wake_ups),
        ] {
            *sum += more;
        }
        for (sum, more) in [
            (&mut self.late, &other.late),
            (&mut self.send_late, &other.send_late),
            (&mut self.round_trip, &other.round_trip),
        ] {
            // Fails only for values beyond a histogram's bounds, which all have in common.
            let _ = sum.add(more);
        }
    }
}

impl Default for Totals {
    /// Nothing happened.
    fn default() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, Self::MICROS_MAX, 2).expect("bounds and digits in range")
        };
        Self {
            sent: 0,
            lost_on_purpose: 0,
            send_dropped: 0,
            skipped: 0,
            received: 0,
            expected: 0,
            reordered: 0,
            duplicates: 0,
            strangers: 0,
            dropped_here: 0,
            receive_overruns: 0,
            late_wake_ups: 0,
            late: histogram(),
            send_late: histogram(),
            round_trip: histogram(),
        }
    }
}

impl Default for Interval {
    /// Nothing happened, nowhere.
    fn default() -> Self {
        Self { totals: Totals::default(), threads: Vec::new() }
    }
}
