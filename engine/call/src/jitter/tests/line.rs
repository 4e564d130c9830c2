//! The timeline and the ring: numbers without end, and what may be filed where.
use vox_rtp::{DropReason, RtpHeader, RtpTime, SeqNo, Ssrc};

use crate::jitter::Content;
use crate::jitter::ring::{Filed, Ring};
use crate::jitter::timeline::{Numbered, Timeline};
use crate::{MediaTime, RxBuf};

fn header(seq: u16, time: u32) -> RtpHeader {
    RtpHeader {
        marker: false,
        payload_type: 0,
        seq: SeqNo(seq),
        time: RtpTime(time),
        ssrc: Ssrc(1),
    }
}

fn filed(index: u16) -> Filed {
    Filed {
        payload: RxBuf { index, offset: 0, len: 0 },
        content: Content::Speech,
        position: 0,
        arrived: MediaTime::default(),
    }
}

#[test]
fn numbers_go_on_where_sequence_numbers_wrap() {
    let mut line = Timeline::new(8_000, 8_000);
    assert_eq!(line.number(SeqNo(65_534)), Numbered::First(0));
    line.advance(&header(65_534, 0), 0);
    for (seq, expected) in [
        (65_535, Numbered::At { number: 1, advance: 1 }),
        (0, Numbered::At { number: 2, advance: 2 }),
        (125, Numbered::At { number: 127, advance: 127 }),
        (126, Numbered::Jump),
        (65_534, Numbered::At { number: 0, advance: 0 }),
        (65_533, Numbered::At { number: -1, advance: -1 }),
        (65_406, Numbered::Jump),
        (30_000, Numbered::Jump),
    ] {
        assert_eq!(line.number(SeqNo(seq)), expected, "{seq}");
    }
    assert_eq!(line.carry_on(SeqNo(634)), (1, 635), "a long loss");
    assert_eq!(line.carry_on(SeqNo(30_000)), (1, 0), "a restart");
}

#[test]
fn positions_follow_the_clock_and_the_rate_of_each_codec() {
    for (clock_hz, rate_hz, ticks, samples) in
        [(8_000, 8_000, 160, 160), (8_000, 16_000, 160, 320), (48_000, 16_000, 960, 320)]
    {
        let mut line = Timeline::new(clock_hz, rate_hz);
        assert_eq!(line.position(RtpTime(5)), None);
        line.anchor(RtpTime(u32::MAX - 10), 1_000);
        let next = RtpTime(u32::MAX - 10).plus(ticks);
        assert_eq!(line.position(next), Some(1_000 + samples), "{clock_hz} {rate_hz}");
        let before = RtpTime(u32::MAX - 10).plus(-ticks);
        assert_eq!(line.position(before), Some(1_000 - samples), "{clock_hz} {rate_hz}");
    }
}

#[test]
fn the_ring_tells_duplicates_late_packets_and_overflow_apart() {
    let mut ring = Ring::new();
    ring.restart(100, |_| unreachable!("it is empty"));
    for number in [100, 101, 103, 227] {
        assert_eq!(ring.check(number), Ok(()));
        ring.file(number, filed(number as u16));
    }
    let took: Vec<_> = (0..3)
        .map(|_| ring.take().map(|(missing, filed)| (missing, filed.payload.index)))
        .collect();
    assert_eq!(took, [Some((0, 100)), Some((0, 101)), Some((1, 103))]);
    for (number, expected) in [
        (99, Err(DropReason::Late)),
        (100, Err(DropReason::Duplicate)),
        (102, Err(DropReason::Late)),
        (103, Err(DropReason::Duplicate)),
        (104, Ok(())),
        (227, Err(DropReason::Duplicate)),
        (231, Ok(())),
        (232, Err(DropReason::Overflow)),
        (-60, Err(DropReason::Late)),
    ] {
        assert_eq!(ring.check(number), expected, "{number}");
    }
    assert!(ring.came_late(102), "it was given up");
    assert!(!ring.came_late(99), "it was before the stream's beginning");
    assert_eq!(ring.check(102), Err(DropReason::Duplicate), "a second copy");
    assert_eq!(ring.take().map(|(missing, _)| missing), Some(123));
    assert!(ring.take().is_none());
}
