//! How much a server may say.

use std::time::Duration;

use tokio::time::Instant;

/// Messages that may come now: so many a second, and some seconds' worth at once.
#[derive(Debug)]
pub(super) struct Credit {
    left: u32,
    counted: Instant,
}

impl Credit {
    /// Messages a second. A call needs a few; the list of a room that fills needs more.
    pub(super) const RATE: u32 = 200;
    const MOST: u32 = 10 * Self::RATE;

    pub(super) fn new(now: Instant) -> Self {
        Self { left: Self::MOST, counted: now }
    }

    /// One message came. `false` when it is one too many.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted).min(Duration::from_secs(60));
        let earned = (passed.as_millis() as u32 * Self::RATE) / 1_000;
        if earned > 0 {
            self.left = (self.left + earned).min(Self::MOST);
            self.counted = now;
        }
        self.left.checked_sub(1).map(|left| self.left = left).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_a_flood_is_not() {
        let start = Instant::now();
        let mut credit = Credit::new(start);
        assert!((0..Credit::MOST).all(|_| credit.take(start)));
        assert!(!credit.take(start));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..1_000).filter(|_| credit.take(later)).count(), Credit::RATE as usize);
    }

    #[test]
    fn a_steady_stream_below_the_rate_never_ends() {
        let start = Instant::now();
        let mut credit = Credit::new(start);
        let step = Duration::from_micros(1_000_000 / u64::from(Credit::RATE) + 100);
        assert!((0..100_000).all(|nth| credit.take(start + step * nth)));
    }
}
