//! What the playout counts, for as long as the call lasts.
use std::time::Duration;

use super::JitterStats;

/// Sums in microseconds: the sample rate may change in mid-call.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) concealed_us: u64,
    pub(super) shortened_us: u64,
    pub(super) lengthened_us: u64,
    delay_us: u64,
    delay_sum_us: u64,
    delays: u64,
}

impl Tally {
    /// Takes the delay of a tick down.
    pub(super) fn delay(&mut self, delay_us: i64) {
        self.delay_us = delay_us.max(0) as u64;
        self.delay_sum_us += self.delay_us;
        self.delays += 1;
    }

    pub(super) fn add_to(&self, stats: &mut JitterStats) {
        stats.concealed = Duration::from_micros(self.concealed_us);
        stats.shortened = Duration::from_micros(self.shortened_us);
        stats.lengthened = Duration::from_micros(self.lengthened_us);
        stats.delay_now = Duration::from_micros(self.delay_us);
        let mean_us = self.delay_sum_us.checked_div(self.delays).unwrap_or(0);
        stats.delay_mean = Duration::from_micros(mean_us);
    }
}
