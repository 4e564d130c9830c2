//! Reception statistics over whatever sequence numbers and timestamps a peer makes up.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use vox_rtp::rtcp::{Arrival, Reception};
use vox_rtp::{ClockRate, RtpTime, SeqNo, Ssrc};

/// Steps mostly forward by one, sometimes by a little, sometimes anywhere.
fn steps() -> impl Strategy<Value = Vec<(i16, u32, u64, bool)>> {
    let step = prop_oneof![6 => Just(1), 2 => -5..6_i16, 1 => any::<i16>()];
    let time = prop_oneof![4 => 0..400_u32, 1 => any::<u32>()];
    vec((step, time, 0..1_000_000_u64, prop::bool::weighted(0.02)), 0..400)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(1_000) })]

    #[test]
    fn sums_stay_consistent_whatever_comes(
        steps in steps(), hz in any::<u32>(), first: u16, origin_us in any::<u64>(),
    ) {
        let Some(clock) = ClockRate::new(hz) else { return Ok(()) };
        let mut reception = Reception::new(clock);
        let (mut seq, mut time, mut now_us) = (SeqNo(first), RtpTime(0), origin_us);
        for (step, time_step, us, report) in steps {
            seq = seq.plus(step);
            time = RtpTime(time.0.wrapping_add(time_step));
            now_us = now_us.saturating_add(us);
            let before = reception.received();
            let arrival = reception.receive(seq, time, now_us);
            let received = reception.received();
            match arrival {
                Arrival::Probation => prop_assert!(!reception.is_valid()),
                Arrival::Counted => prop_assert_eq!(received, before + 1),
                Arrival::Suspect => prop_assert_eq!(received, before),
                Arrival::Restarted => prop_assert_eq!(received, 1),
            }
            prop_assert_eq!(reception.lost(), reception.expected() as i64 - received as i64);
            if report && let Some(block) = reception.report(Ssrc(1), now_us) {
                prop_assert_eq!(i64::from(block.cumulative_lost), reception.lost());
                prop_assert_eq!(block.jitter, reception.jitter());
            }
        }
    }

    /// The sums of RFC 3550 §A.3 by plain counting, over a network that loses, copies and reorders.
    #[test]
    fn loss_is_what_was_sent_and_did_not_come(
        first: u16, sent in 2..2_000_usize, fates in vec((0..8_u8, 0..20_usize), 2_000),
    ) {
        // The first two come in order: the source is believed from them on.
        let mut arriving = vec![(0, 0), (1, 1)];
        for (n, (fate, delay)) in (2..sent).zip(fates) {
            let copies = match fate {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            arriving.extend((0..copies).map(|_| (n + delay, n)));
        }
        arriving.sort_by_key(|(at, _)| *at);
        let mut reception = Reception::new(ClockRate::HZ_8000);
        for (at, n) in &arriving {
            let seq = SeqNo(first.wrapping_add(*n as u16));
            reception.receive(seq, RtpTime(*n as u32 * 160), *at as u64 * 20_000);
        }
        let highest = arriving.iter().map(|(_, n)| *n).max().expect("two at least");
        prop_assert_eq!(reception.expected(), highest as u64 + 1);
        prop_assert_eq!(reception.received(), arriving.len() as u64);
        let block = reception.report(Ssrc(1), 0).expect("valid");
        prop_assert_eq!(block.highest_seq, u32::from(first) + highest as u32);
        let lost = highest as i64 + 1 - arriving.len() as i64;
        prop_assert_eq!(i64::from(block.cumulative_lost), lost);
        let fraction = (lost.max(0) * 256 / (highest as i64 + 1)) as u8;
        prop_assert_eq!(block.fraction_lost, fraction);
    }
}
