use core::time::Duration;

/// How long to wait until the next report (RFC 3550 §6.2 and §6.3.1): 5 s, half of that before the
/// first one, times a factor between 0.5 and 1.5 that `random` chooses evenly, so that reports of
/// many calls do not fall into step.
///
/// The share of bandwidth never stretches it: two parties at 64 kbit/s would be allowed a report
/// every half second. And the compensation by e − 3/2 is left out, because it corrects the timer
/// reconsideration that two parties do not need.
pub const fn report_interval(first: bool, random: u32) -> Duration {
    let base_us = if first { INTERVAL_US / 2 } else { INTERVAL_US };
    Duration::from_micros(base_us / 2 + ((base_us * random as u64) >> 32))
}

const INTERVAL_US: u64 = 5_000_000;
