//! For any arrivals: every buffer is released once, every frame is full, nothing panics.
use proptest::prelude::*;

use vox_codecs::CodecKind;

use super::rig::{Packet, Rig};
use crate::jitter::Content;

#[derive(Debug, Clone)]
enum Step {
    /// A packet: step of the number, step of the timestamp, content, bytes.
    File {
        seq: i16,
        time: i32,
        content: u8,
        len: usize,
    },
    Tick {
        after_us: u64,
    },
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let seq = prop_oneof![12 => Just(1i16), 3 => -5i16..8, 1 => any::<i16>()];
    let time = prop_oneof![12 => Just(160i32), 3 => -800i32..1_600, 1 => any::<i32>()];
    let len = prop_oneof![8 => Just(160usize), 2 => 0usize..400, 1 => 0usize..1_400];
    prop_oneof![
        10 => (seq, time, 0u8..12, len)
            .prop_map(|(seq, time, content, len)| Step::File { seq, time, content, len }),
        10 => prop_oneof![5 => Just(20_000u64), 1 => 0u64..3_000_000]
            .prop_map(|after_us| Step::Tick { after_us }),
        1 => Just(Step::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_arrivals_are_released_once_and_fill_every_frame(
        kind in prop_oneof![
            Just(CodecKind::Pcmu), Just(CodecKind::G722), Just(CodecKind::Opus)
        ],
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        // Two that differ only in what a frame holds before it is filled.
        let mut rig = Rig::new(kind);
        let mut twin = Rig::new(kind);
        twin.mark = -1;
        let mut now_us = 1_000_000;
        let mut last = Packet {
            sent_us: 0, seq: 65_530, time: 0, content: Content::Speech, payload: Vec::new(),
        };
        for step in steps {
            match step {
                Step::File { seq, time, content, len } => {
                    last.seq = last.seq.wrapping_add_signed(seq);
                    last.time = last.time.wrapping_add_signed(time);
                    last.content = match content {
                        0 => Content::ComfortNoise,
                        1 => Content::TelephoneEvent,
                        _ => Content::Speech,
                    };
                    last.payload = (0..len).map(|i| (i * 7) as u8).collect();
                    prop_assert_eq!(rig.file(now_us, &last), twin.file(now_us, &last));
                }
                Step::Tick { after_us } => {
                    now_us += after_us;
                    prop_assert_eq!(rig.tick(now_us), twin.tick(now_us));
                }
                Step::Reset => {
                    for rig in [&mut rig, &mut twin] {
                        rig.buffer.reset(kind.clock_hz(), kind.rate_hz(), &mut rig.memory);
                        prop_assert_eq!(rig.memory.held(), 0);
                    }
                }
            }
            prop_assert!(rig.memory.held() <= 129);
        }
        let stats = rig.buffer.stats();
        prop_assert!(stats.filed >= rig.memory.held().saturating_sub(1) as u64);
        rig.buffer.reset(kind.clock_hz(), kind.rate_hz(), &mut rig.memory);
        prop_assert_eq!(rig.memory.held(), 0);
    }
}
