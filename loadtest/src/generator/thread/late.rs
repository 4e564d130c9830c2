/// How late packets come: against their own timestamps, relative to the fastest packet.
///
/// The fastest packet's transit time is the base. Two clocks never run alike, so the base rises by
/// half a per mille of the time: a peer whose clock is up to that much slower is not late for it, and
/// one whose clock is faster sets a new base with each packet. For packets that are all on time the
/// error is 10 µs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lateness {
    /// Arrival minus timestamp of the fastest packet, in µs.
    base: Option<i64>,
    /// Arrival of the newest packet.
    newest_us: u64,
}

impl Lateness {
    /// How late a packet is, µs, whose timestamp is `time_us`. `restarts`: the sender says that its
    /// timestamps may have jumped (the marker bit). `None`: it is the first, or they have.
    pub(super) fn of(&mut self, arrival_us: u64, time_us: i64, restarts: bool) -> Option<u64> {
        let transit = arrival_us as i64 - time_us;
        let since = arrival_us.saturating_sub(self.newest_us);
        self.newest_us = self.newest_us.max(arrival_us);
        let Some(base) = self.base else {
            self.base = Some(transit);
            return None;
        };
        let base = base + (since / RISE) as i64;
        let late = transit - base;
        let jumped = late > JUMP_US || (restarts && late > TALKSPURT_US);
        self.base = Some(if jumped { transit } else { base.min(transit) });
        (!jumped).then_some(late.max(0) as u64)
    }

    /// The stream begins anew.
    pub(super) fn restart(&mut self) {
        self.base = None;
    }
}

/// 500 ppm.
const RISE: u64 = 2_000;
/// Later than any network makes a packet: the timestamps have jumped.
const JUMP_US: i64 = 5_000_000;
/// A talkspurt that begins this late is placed anew, as a receiver would (RFC 3551 §4.1).
const TALKSPURT_US: i64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The latest of a minute of packets, after the first ten seconds, with a sender's clock that is
    /// `ppm` slower than ours and `extra_us` more for packet n.
    fn latest(ppm: i64, extra_us: impl Fn(u64) -> u64) -> u64 {
        let mut lateness = Lateness::default();
        let late = (0..3_000u64).filter_map(|n| {
            let sent_us = n * 20_000;
            let arrival = sent_us as i64 + sent_us as i64 * ppm / 1_000_000;
            let late = lateness.of(arrival as u64 + extra_us(n), sent_us as i64, false)?;
            (n > 500).then_some(late)
        });
        late.max().unwrap()
    }

    #[test]
    fn drift_is_taken_out_and_lateness_is_not() {
        for (ppm, allowed_us) in [(0, 10), (200, 10), (490, 10), (-300, 10), (1_000, 35_000)] {
            assert!(latest(ppm, |_| 0) <= allowed_us, "{ppm} ppm: {}", latest(ppm, |_| 0));
        }
        for (every, late_us) in [(100, 5_000), (10, 30_000), (2, 80_000)] {
            let found = latest(200, |n| if n % every == 1 { late_us } else { 0 });
            assert!(late_us.abs_diff(found) < 50, "{late_us}: {found}");
        }
    }

    #[test]
    fn a_jump_of_timestamps_is_no_lateness() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.of(1_000, 0, true), None);
        assert_eq!(lateness.of(21_000, 20_000, false), Some(0));
        assert_eq!(lateness.of(41_000 + 100_000, 40_000, false), Some(99_940), "late");
        assert_eq!(lateness.of(161_000, 60_000, true), None, "a talkspurt of its own");
        assert_eq!(lateness.of(10_161_000, 80_000, false), None, "a jump");
        assert_eq!(lateness.of(10_181_000, 100_000, false), Some(0));
    }
}
