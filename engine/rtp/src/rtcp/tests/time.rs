use core::time::Duration;

use super::*;

#[test]
fn unix_time_becomes_ntp_time() {
    for (since_1970, expected) in [
        (Duration::ZERO, 2_208_988_800 << 32),
        (Duration::from_millis(500), 2_208_988_800 << 32 | 1 << 31),
        // 2001-01-01T00:00:00Z is 3,187,296,000 s after 1900.
        (Duration::from_secs(978_307_200), 3_187_296_000 << 32),
        // The seconds wrap on 2036-02-07T06:28:16Z.
        (Duration::from_secs(2_085_978_496), 0),
        (Duration::new(2_085_978_495, 999_999_999), 0xffff_ffff_ffff_fffb),
    ] {
        assert_eq!(NtpTime::from_unix(since_1970), NtpTime(expected), "{since_1970:?}");
    }
    assert_eq!(NtpTime(0x1122_3344_5566_7788).short(), NtpShort(0x3344_5566));
}

#[test]
fn short_durations_round_down_and_saturate() {
    for (duration, units) in [
        (Duration::ZERO, 0),
        (Duration::from_secs(1), 65_536),
        (Duration::from_millis(5_250), 344_064),
        (Duration::from_nanos(15_258), 0),
        (Duration::from_nanos(15_259), 1),
        (Duration::from_secs(65_536), u32::MAX),
        (Duration::MAX, u32::MAX),
    ] {
        assert_eq!(NtpShort::from_duration(duration), NtpShort(units), "{duration:?}");
    }
    assert_eq!(NtpShort(344_064).duration(), Duration::from_millis(5_250));
}

#[test]
fn round_trip_is_what_remains_of_now_minus_report_minus_delay() {
    let ms = |units: u64| Some(Duration::from_nanos(units * 1_000_000_000 / 65_536));
    // RFC 3550 Figure 2: 46864.500 s now, LSR 46853.125 s, DLSR 5.250 s: 6.125 s.
    let now = NtpTime(0xb710_8000 << 16);
    let rows = [
        (0xb705_2000, 0x0005_4000, Some(Duration::from_millis(6_125))),
        (0xb710_8000, 0, Some(Duration::ZERO)),
        (0xb710_8000, 1, Some(Duration::ZERO)),
        (0xb710_8000, 66, Some(Duration::ZERO)),
        (0xb710_8000, 67, None),
        (0xb711_8000, 0, None),
        (0xb710_7fff, 0, ms(1)),
        (0, 0, None),
        (0, 0xb710_8000, None),
    ];
    for (lsr, dlsr, expected) in rows {
        let block =
            ReportBlock { last_sr: NtpShort(lsr), delay_since_last_sr: NtpShort(dlsr), ..BLOCK };
        assert_eq!(block.round_trip(now), expected, "LSR {lsr:#x} DLSR {dlsr:#x}");
    }
    let wrapped = ReportBlock {
        last_sr: NtpShort(0xffff_f000),
        delay_since_last_sr: NtpShort(0x800),
        ..BLOCK
    };
    assert_eq!(wrapped.round_trip(NtpTime(0x1000 << 16)), ms(0x1800));
}

#[test]
fn the_interval_is_five_seconds_give_or_take_a_half() {
    for (first, random, us) in [
        (false, 0, 2_500_000),
        (false, 1 << 31, 5_000_000),
        (false, u32::MAX, 7_499_999),
        (true, 0, 1_250_000),
        (true, 1 << 31, 2_500_000),
        (true, u32::MAX, 3_749_999),
    ] {
        assert_eq!(report_interval(first, random), Duration::from_micros(us));
    }
}
