//! One row for each thing that can be known before a step.
use crate::jitter::decide::{Action, Holds, Next, Phase, Situation, Wish, decide};

const FRAME: usize = 160;

fn talking() -> Situation {
    Situation {
        frame: FRAME,
        pending: 0,
        phase: Phase::Talkspurt,
        next: None,
        concealed: 0,
        packet: FRAME,
        wish: Wish::Steady,
    }
}

fn pausing() -> Situation {
    Situation { phase: Phase::Pause, ..talking() }
}

/// The packet that is expected, at its time.
fn expected() -> Next {
    Next { holds: Holds::Speech, hole: false, gap: 0, due: true, fec: false }
}

/// The packet after a lost one.
fn after_loss() -> Next {
    Next { hole: true, gap: FRAME as i64, ..expected() }
}

fn check(rows: &[(&str, Situation, Action)]) {
    for (what, situation, action) in rows {
        assert_eq!(decide(situation), *action, "{what}: {situation:?}");
    }
}

#[test]
fn before_and_between_talkspurts_a_packet_waits_until_it_is_due() {
    let early = Next { due: false, ..expected() };
    let noise = Next { holds: Holds::ComfortNoise, ..early };
    let event = Next { holds: Holds::Nothing, ..early };
    check(&[
        ("nothing came", pausing(), Action::Fill(FRAME)),
        ("a rest is pending", Situation { pending: 60, ..pausing() }, Action::Fill(100)),
        ("too early", Situation { next: Some(early), ..pausing() }, Action::Fill(FRAME)),
        ("due", Situation { next: Some(expected()), ..pausing() }, Action::Decode),
        ("due after a loss", Situation { next: Some(after_loss()), ..pausing() }, Action::Decode),
        ("noise is never early", Situation { next: Some(noise), ..pausing() }, Action::Absorb),
        ("nor is an event", Situation { next: Some(event), ..pausing() }, Action::Absorb),
        (
            "what is before the noise may still come",
            Situation { next: Some(Next { hole: true, ..noise }), ..pausing() },
            Action::Fill(FRAME),
        ),
    ]);
}

#[test]
fn in_a_talkspurt_the_expected_packet_is_decoded_and_a_leap_is_a_pause() {
    let at = |gap: i64| Situation { next: Some(Next { gap, ..expected() }), ..talking() };
    let noise = Next { holds: Holds::ComfortNoise, gap: 8_000, ..expected() };
    check(&[
        ("on time", at(0), Action::Decode),
        ("a sender's rounding", at(40), Action::Decode),
        ("timestamps went back", at(-8_000), Action::Decode),
        ("DTX", at(41), Action::Pause),
        ("DTX with noise", Situation { next: Some(noise), ..talking() }, Action::Absorb),
        ("enough pending", Situation { pending: FRAME, ..at(0) }, Action::Output),
        ("nearly enough", Situation { pending: FRAME - 1, ..at(0) }, Action::Decode),
    ]);
}

#[test]
fn in_a_stall_the_head_waits_behind_concealment_for_a_second() {
    check(&[
        ("all of a frame", talking(), Action::Conceal(FRAME)),
        ("most is missing", Situation { pending: 30, ..talking() }, Action::Conceal(FRAME)),
        ("half is pending", Situation { pending: 80, ..talking() }, Action::Conceal(80)),
        ("for long", Situation { concealed: 49 * FRAME, ..talking() }, Action::Conceal(FRAME)),
        ("too long", Situation { concealed: 50 * FRAME, ..talking() }, Action::Pause),
        (
            "the packet came: it is played, however late",
            Situation { concealed: 25 * FRAME, next: Some(expected()), ..talking() },
            Action::Decode,
        ),
    ]);
}

#[test]
fn a_loss_is_concealed_for_exactly_its_time() {
    let lost = |gap: usize, concealed: usize| Situation {
        next: Some(Next { gap: gap as i64, ..after_loss() }),
        concealed,
        ..talking()
    };
    let early = Next { due: false, ..after_loss() };
    check(&[
        ("one packet", lost(FRAME, 0), Action::Conceal(FRAME)),
        ("one packet, concealed before it showed", lost(FRAME, FRAME), Action::Decode),
        ("three packets", lost(3 * FRAME, FRAME), Action::Conceal(FRAME)),
        ("half a frame is left", lost(240, FRAME), Action::Conceal(80)),
        ("less than 5 ms is left", lost(200, FRAME), Action::Decode),
        (
            "the delay is too short anyway: wait for the missing packet",
            Situation { next: Some(early), concealed: FRAME, ..talking() },
            Action::Conceal(80),
        ),
        (
            "but not for ever",
            Situation { next: Some(early), concealed: 50 * FRAME, ..talking() },
            Action::Decode,
        ),
        (
            "before noise",
            Situation {
                next: Some(Next { holds: Holds::ComfortNoise, ..after_loss() }),
                concealed: FRAME,
                ..talking()
            },
            Action::Absorb,
        ),
    ]);
}

#[test]
fn fec_recovers_the_packet_before_the_one_that_carries_it() {
    let next = |gap: usize| Next { gap: gap as i64, fec: true, ..after_loss() };
    let lost = |gap, concealed| Situation { next: Some(next(gap)), concealed, ..talking() };
    check(&[
        ("one lost", lost(FRAME, 0), Action::Recover(FRAME)),
        ("two lost: the first is concealed", lost(2 * FRAME, 0), Action::Conceal(FRAME)),
        ("two lost: the second is recovered", lost(2 * FRAME, FRAME), Action::Recover(FRAME)),
        ("too late for it", lost(FRAME, FRAME), Action::Decode),
        ("recovered", lost(0, 0), Action::Decode),
        (
            "recovered, and the delay too short",
            Situation { next: Some(Next { due: false, ..next(0) }), ..talking() },
            Action::Decode,
        ),
    ]);
}

#[test]
fn stretching_looks_ahead_and_never_over_a_hole() {
    let full = Situation { pending: FRAME, next: Some(expected()), ..talking() };
    let shorter = Situation { wish: Wish::Shorter, ..full };
    let longer = Situation { wish: Wish::Longer, ..full };
    check(&[
        ("steady", full, Action::Output),
        ("longer", longer, Action::Lengthen),
        ("longer needs audio first", Situation { pending: 0, ..longer }, Action::Decode),
        ("shorter looks ahead", shorter, Action::Decode),
        ("shorter", Situation { pending: 2 * FRAME, ..shorter }, Action::Shorten),
        ("a hole ahead", Situation { next: Some(after_loss()), ..shorter }, Action::Output),
        ("nothing ahead", Situation { next: None, ..shorter }, Action::Output),
        (
            "nothing ahead, but enough",
            Situation { next: None, pending: 240, ..shorter },
            Action::Shorten,
        ),
    ]);
}
