use core::time::Duration;

use super::*;

const SOURCE: Ssrc = Ssrc(0x5555);

fn reception() -> Reception {
    Reception::new(ClockRate::HZ_8000)
}

/// Receives `seqs`, 20 ms apart by timestamp and by arrival.
fn receive(reception: &mut Reception, seqs: impl IntoIterator<Item = u16>) -> Arrival {
    let mut last = Arrival::Probation;
    for seq in seqs {
        let steps = u64::from(seq);
        last = reception.receive(SeqNo(seq), RtpTime(steps as u32 * 160), steps * 20_000);
    }
    last
}

fn report(reception: &mut Reception) -> ReportBlock {
    reception.report(SOURCE, 0).expect("valid")
}

#[test]
fn a_source_is_believed_after_two_packets_in_sequence() {
    use Arrival::{Counted, Probation};
    let rows: &[(&[u16], Arrival, u64)] = &[
        (&[7], Probation, 1),
        (&[7, 8], Counted, 2),
        (&[7, 9], Probation, 1),
        (&[7, 9, 10], Counted, 2),
        (&[7, 7], Probation, 1),
        (&[0xffff, 0], Counted, 2),
        (&[8, 7], Probation, 1),
    ];
    for (seqs, arrival, received) in rows {
        let mut reception = reception();
        assert_eq!(receive(&mut reception, seqs.iter().copied()), *arrival, "{seqs:?}");
        assert_eq!(reception.received(), *received, "{seqs:?}");
        assert_eq!(reception.is_valid(), *arrival == Counted);
        assert_eq!(reception.report(SOURCE, 0).is_some(), *arrival == Counted);
    }
    assert_eq!(reception().report(SOURCE, 0), None);
}

#[test]
fn loss_is_expected_minus_received() {
    type Sums = (u64, u64, i64);
    let rows: &[(&str, &[u16], Sums)] = &[
        ("none", &[1, 2, 3, 4], (4, 4, 0)),
        ("one", &[1, 2, 4], (4, 3, 1)),
        ("reordered", &[1, 2, 4, 3], (4, 4, 0)),
        ("duplicate", &[1, 2, 2], (2, 3, -1)),
        ("before the first", &[5, 6, 4], (2, 3, -1)),
        ("over the wrap", &[0xfffe, 0xffff, 1, 2], (5, 4, 1)),
        ("a gap of 2,999", &[1, 2, 3_001], (3_001, 3, 2_998)),
        ("99 behind", &[200, 201, 102], (2, 3, -1)),
    ];
    for (name, seqs, expected) in rows {
        let mut reception = reception();
        assert_eq!(receive(&mut reception, seqs.iter().copied()), Arrival::Counted, "{name}");
        let sums = (reception.expected(), reception.received(), reception.lost());
        assert_eq!(sums, *expected, "{name}");
    }
}

#[test]
fn a_jump_is_a_restart_only_when_its_successor_follows() {
    use Arrival::{Counted, Restarted, Suspect};
    let rows: &[(&[u16], Arrival, (u64, u64))] = &[
        (&[3_002], Suspect, (2, 2)),
        (&[40_000], Suspect, (2, 2)),
        (&[40_000, 40_002], Suspect, (2, 2)),
        (&[40_000, 3], Counted, (3, 3)),
        (&[40_000, 40_001], Restarted, (1, 1)),
        (&[40_000, 40_001, 40_002], Counted, (2, 2)),
        (&[65_438], Suspect, (2, 2)),
        (&[65_439], Counted, (2, 3)),
    ];
    for (seqs, arrival, sums) in rows {
        let mut reception = reception();
        receive(&mut reception, [1, 2]);
        assert_eq!(receive(&mut reception, seqs.iter().copied()), *arrival, "{seqs:?}");
        assert_eq!((reception.expected(), reception.received()), *sums, "{seqs:?}");
    }
}

#[test]
fn the_fraction_is_about_the_interval_and_the_sum_about_the_call() {
    let mut reception = reception();
    receive(&mut reception, (0..100).filter(|seq| seq % 4 != 3));
    let first = report(&mut reception);
    // The highest is 98: 99 expected, 75 received.
    assert_eq!((first.fraction_lost, first.cumulative_lost, first.highest_seq), (62, 24, 98));
    receive(&mut reception, 99..200);
    let second = report(&mut reception);
    assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 24));
    receive(&mut reception, [299]);
    let third = report(&mut reception);
    assert_eq!((third.fraction_lost, third.cumulative_lost), (253, 123));
    let nothing_new = report(&mut reception);
    assert_eq!((nothing_new.fraction_lost, nothing_new.cumulative_lost), (0, 123));
    receive(&mut reception, [299, 299, 299]);
    assert_eq!(report(&mut reception).fraction_lost, 0, "duplicates are no negative loss");
    assert_eq!(reception.lost(), 120);
}

#[test]
fn the_highest_number_carries_its_wraps() {
    let mut reception = reception();
    receive(&mut reception, (65_000..=65_535).chain(0..=65_535).chain(0..=7));
    assert_eq!(report(&mut reception).highest_seq, 2 << 16 | 7);
    assert_eq!(reception.lost(), 0);
}

#[test]
fn a_restart_forgets_what_was_lost_before() {
    let mut reception = reception();
    receive(&mut reception, [1, 2, 100, 101]);
    assert_ne!(report(&mut reception).cumulative_lost, 0);
    receive(&mut reception, [50_000, 50_001, 50_002, 50_004]);
    let block = report(&mut reception);
    assert_eq!((block.cumulative_lost, block.fraction_lost, block.highest_seq), (1, 64, 50_004));
}

/// The formula of RFC 3550 §6.4.1 in floating point.
fn jitter_of(transits: &[i64]) -> f64 {
    let mut jitter = 0.0;
    for pair in transits.windows(2) {
        jitter += ((pair[1] - pair[0]).abs() as f64 - jitter) / 16.0;
    }
    jitter
}

#[test]
fn jitter_follows_the_formula() {
    let rows: &[(&str, &[i64])] = &[
        ("steady", &[0; 50]),
        ("one late packet", &[0, 0, 400, 0, 0, 0]),
        ("alternating", &[0, 80, 0, 80, 0, 80, 0, 80, 0, 80, 0, 80, 0, 80, 0, 80, 0, 80]),
        ("drifting", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        ("a burst of 500 ms", &[0, 4_000, 3_840, 3_680, 3_520, 3_360, 0, 0, 0]),
    ];
    for (name, transits) in rows {
        let mut reception = reception();
        for (seq, transit) in (0_u16..).zip(*transits) {
            let units = i64::from(seq) * 160 + transit;
            let time = RtpTime(u32::MAX - 1_000).plus(i32::from(seq) * 160);
            reception.receive(SeqNo(seq), time, (units * 125) as u64);
        }
        let expected = jitter_of(transits);
        let off = (f64::from(reception.jitter()) - expected).abs();
        assert!(off <= 1.0, "{name}: {} instead of {expected}", reception.jitter());
    }
}

#[test]
fn a_timestamp_jump_is_no_jitter() {
    let mut reception = reception();
    for seq in 0..50 {
        let jump = if seq < 25 { 0 } else { 0x4000_0000 };
        let time = RtpTime(u32::from(seq) * 160 + jump);
        reception.receive(SeqNo(seq), time, u64::from(seq) * 20_000);
    }
    assert_eq!(reception.jitter(), 0);
}

#[test]
fn a_restart_with_other_timestamps_is_no_jitter() {
    let mut reception = reception();
    receive(&mut reception, 0..50);
    for seq in 30_000..30_050_u16 {
        // 5 s ahead: within what a network might do.
        let steps = u32::from(seq - 30_000) + 50;
        reception.receive(SeqNo(seq), RtpTime(steps * 160 + 40_000), u64::from(steps) * 20_000);
    }
    assert_eq!((reception.received(), reception.jitter()), (49, 0));
}

#[test]
fn untimed_packets_are_counted_but_not_measured() {
    let mut reception = reception();
    receive(&mut reception, [1, 2]);
    for seq in 3..20 {
        assert_eq!(reception.receive_untimed(SeqNo(seq)), Arrival::Counted);
    }
    receive(&mut reception, [20, 21]);
    assert_eq!((reception.jitter(), reception.lost(), reception.received()), (0, 0, 21));
    assert_eq!(reception.jitter_time(), Duration::ZERO);
}

#[test]
fn jitter_is_time_at_any_clock() {
    let mut reception = Reception::new(ClockRate::HZ_48000);
    for seq in 0..2_000_u16 {
        let late_us = u64::from(seq % 2) * 10_000;
        let time = RtpTime(u32::from(seq) * 960);
        reception.receive(SeqNo(seq), time, u64::from(seq) * 20_000 + late_us);
    }
    let jitter = reception.jitter_time().as_micros();
    assert!((9_900..=10_000).contains(&jitter), "{jitter} µs");
}

#[test]
fn the_last_sender_report_comes_back_with_its_delay() {
    let mut reception = reception();
    receive(&mut reception, [1, 2]);
    let block = report(&mut reception);
    assert_eq!((block.last_sr, block.delay_since_last_sr), (NtpShort(0), NtpShort(0)));
    reception.sender_report(NtpTime(0x1122_3344_5566_7788), 1_000_000);
    let block = reception.report(SOURCE, 3_500_000).expect("valid");
    assert_eq!(block.last_sr, NtpShort(0x3344_5566));
    assert_eq!(block.delay_since_last_sr.duration(), Duration::from_millis(2_500));
    assert_eq!(block.ssrc, SOURCE);
}
