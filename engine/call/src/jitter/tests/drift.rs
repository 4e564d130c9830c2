//! Clocks that differ, for an hour.
use std::time::Duration;

use vox_codecs::CodecKind;

use super::network::Random;
use super::rig::{Rig, encode, voice};
use crate::jitter::Played;

/// An hour of packets from a clock that is `ppm` fast, with 2 ms of jitter.
fn check(ppm: i64) {
    let kind = CodecKind::Pcmu;
    let minute = encode(kind, 20, &voice(8_000, 60));
    let mut rig = Rig::new(kind);
    let mut random = Random(11);
    let (mut index, mut made_up, mut delay_max) = (0u64, 0, Duration::ZERO);
    let sent_us = |index: u64| {
        let span_us = index as i64 * 20_000;
        (1_000_000 + span_us - span_us * ppm / 1_000_000) as u64
    };
    let mut next_us = sent_us(0);
    for tick in 0..180_000u64 {
        let now_us = 1_007_000 + tick * 20_000;
        while next_us <= now_us {
            let mut packet = minute[index as usize % minute.len()].clone();
            packet.seq = index as u16;
            packet.time = (index * 160) as u32;
            assert_eq!(rig.file(next_us, &packet), Ok(()));
            index += 1;
            next_us = sent_us(index) + random.below(2_000);
        }
        if rig.tick(now_us).0 == Played::Concealed {
            made_up += 1;
        }
        delay_max = delay_max.max(rig.buffer.stats().delay_now);
    }
    let stats = rig.buffer.stats();
    let what = format!("{ppm} ppm: made up {made_up}, at most {delay_max:?}, {stats:?}");
    assert_eq!((stats.lost, stats.late), (0, 0), "{what}");
    assert!(made_up <= 5, "{what}");
    assert!(delay_max <= Duration::from_millis(60), "{what}");
    // An hour at 200 ppm is 720 ms; what stretching did is that, give or take a frame or two.
    let stretched_ms = stats.shortened.as_millis() as i64 - stats.lengthened.as_millis() as i64;
    let made_up_ms = stats.concealed.as_millis() as i64;
    assert!((stretched_ms - made_up_ms - ppm * 36 / 10).abs() <= 60, "{what}");
}

#[test]
fn drift_of_200_ppm_neither_loses_nor_grows_for_an_hour() {
    for ppm in [-200, 200] {
        check(ppm);
    }
}

#[test]
fn equal_clocks_are_never_stretched() {
    check(0);
}
