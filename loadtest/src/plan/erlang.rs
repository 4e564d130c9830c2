//! Erlang's formulas: how many channels carry a traffic.
//!
//! Traffic is in erlang (E): calls that would be up at once on average if none were turned away.
//! Callers are many and independent of each other (Poisson); the formulas hold for every
//! distribution of hold times with that mean (B), or an exponential one (C).

/// Share of calls that find all of `channels` taken and go away (Erlang B), 0..=1.
///
/// By the recursion over the inverse, which neither overflows nor cancels:
/// 1/B(0) = 1, 1/B(n) = 1 + n/A · 1/B(n-1).
pub fn blocking(erlang: f64, channels: u64) -> f64 {
    if erlang <= 0.0 {
        return if channels == 0 { 1.0 } else { 0.0 };
    }
    let mut inverse = 1.0;
    for n in 1..=channels {
        inverse = 1.0 + n as f64 / erlang * inverse;
        if inverse.is_infinite() {
            return 0.0;
        }
    }
    1.0 / inverse
}

/// Share of calls that have to wait for one of `channels` (Erlang C), 0..=1; all of them when there
/// is more traffic than channels.
pub fn waiting(erlang: f64, channels: u64) -> f64 {
    let (channels_f, blocked) = (channels as f64, blocking(erlang, channels));
    if channels_f <= erlang {
        return 1.0;
    }
    channels_f * blocked / (channels_f - erlang * (1.0 - blocked))
}

/// Share of calls that a channel takes within `wait`, both times in the same unit, 0..=1.
pub fn served_within(erlang: f64, channels: u64, hold: f64, wait: f64) -> f64 {
    let spare = channels as f64 - erlang;
    if spare <= 0.0 {
        return 0.0;
    }
    1.0 - waiting(erlang, channels) * (-spare * wait / hold).exp()
}

/// The fewest channels of which no more than this share of calls finds all taken; `None` above
/// [`CHANNELS_MAX`].
pub fn channels_for_blocking(erlang: f64, blocked: f64) -> Option<u64> {
    let mut inverse = 1.0;
    if erlang <= 0.0 {
        return Some(0);
    }
    for n in 0..=CHANNELS_MAX {
        if n > 0 {
            inverse = 1.0 + n as f64 / erlang * inverse;
        }
        if 1.0 / inverse <= blocked {
            return Some(n);
        }
    }
    None
}

/// The fewest channels that serve such a share of calls within `wait`.
pub fn channels_for_waiting(erlang: f64, hold: f64, wait: f64, share: f64) -> Option<u64> {
    // More channels serve more: the fewest are found by doubling and bisection.
    let enough = |channels: u64| served_within(erlang, channels, hold, wait) >= share;
    let mut low = erlang.floor().max(0.0) as u64;
    let mut high = low + 1;
    while !enough(high) {
        (low, high) = (high, high.checked_mul(2)?);
        if high > 2 * CHANNELS_MAX {
            return None;
        }
    }
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if enough(middle) { high = middle } else { low = middle }
    }
    (high <= CHANNELS_MAX).then_some(high)
}

/// More than this is not planned for.
pub const CHANNELS_MAX: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The most traffic that `channels` carry at this blocking.
    fn traffic(channels: u64, blocked: f64) -> f64 {
        let (mut low, mut high) = (0.0, 2.0 * channels as f64 + 10.0);
        while high - low > 1e-6 {
            let middle = f64::midpoint(low, high);
            if blocking(middle, channels) < blocked { low = middle } else { high = middle }
        }
        low
    }

    #[test]
    fn erlang_b_is_that_of_the_printed_tables() {
        // Channels, blocking, traffic in erlang, as printed in tables of Erlang B everywhere.
        for (channels, blocked, erlang) in [
            (1, 0.01, 0.0101),
            (5, 0.01, 1.36),
            (10, 0.001, 3.09),
            (10, 0.01, 4.46),
            (10, 0.02, 5.08),
            (20, 0.001, 9.41),
            (20, 0.01, 12.03),
            (50, 0.001, 32.51),
            (50, 0.01, 37.90),
            (100, 0.001, 75.24),
            (100, 0.01, 84.06),
            (100, 0.02, 87.97),
        ] {
            let found = traffic(channels, blocked);
            let digit = if erlang < 1.0 { 5e-5 } else { 5e-3 };
            assert!((found - erlang).abs() <= digit, "{channels} at {blocked}: {found}");
        }
        for (erlang, blocked, channels) in [(10.0, 0.01, 18), (100.0, 0.01, 117), (0.0, 0.01, 0)] {
            assert_eq!(channels_for_blocking(erlang, blocked), Some(channels), "{erlang} E");
        }
    }

    #[test]
    fn large_traffic_neither_overflows_nor_takes_long() {
        let channels = channels_for_blocking(100_000.0, 0.001).expect("possible");
        assert!((100_000..100_900).contains(&channels), "{channels}");
        assert!(blocking(100_000.0, channels) <= 0.001);
        assert!(blocking(100_000.0, channels - 1) > 0.001);
        assert_eq!(blocking(1.0, 1_000), 0.0);
        assert_eq!(channels_for_blocking(1e9, 0.001), None);
        assert_eq!(channels_for_waiting(1e9, 1.0, 1.0, 0.9), None);
    }

    #[test]
    fn erlang_c_follows_from_b_and_bounds_it() {
        for erlang in [0.5, 5.0, 17.3, 200.0] {
            for more in 1..40 {
                let channels = erlang as u64 + more;
                let (b, c) = (blocking(erlang, channels), waiting(erlang, channels));
                // C = B / (1 - ρ (1 - B)).
                let used = erlang / channels as f64;
                assert!((c - b / (1.0 - used * (1.0 - b))).abs() < 1e-12);
                assert!(b <= c && c <= 1.0, "{erlang} {channels}: {b} {c}");
            }
        }
        // One channel: those who wait are those who find it taken, ρ of them.
        assert!((waiting(0.7, 1) - 0.7).abs() < 1e-12);
        assert_eq!(waiting(3.0, 3), 1.0);
        let channels = channels_for_waiting(100.0, 180.0, 20.0, 0.8).expect("possible");
        assert!(served_within(100.0, channels, 180.0, 20.0) >= 0.8);
        assert!(served_within(100.0, channels - 1, 180.0, 20.0) < 0.8);
    }
}
