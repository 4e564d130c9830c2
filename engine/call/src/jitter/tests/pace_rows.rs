//! Hysteresis and manners of the pace.
use vox_codecs::dsp::stretch::Eagerness;

use crate::jitter::decide::Wish;
use crate::jitter::pace::{Pace, Reading};

/// With a target of 10 ms.
fn reading(slack_ms: i64, quiet: bool) -> Reading {
    Reading {
        delay_us: slack_ms * 1_000,
        slack_us: slack_ms * 1_000,
        target_us: 10_000,
        frame_us: 20_000,
        quiet,
    }
}

/// Feeds slacks, all in a pause or all in speech, and expects the wishes.
fn check(quiet: bool, slacks_ms: &[i64], wishes: &[Wish]) {
    let mut pace = Pace::default();
    let asked: Vec<_> = slacks_ms.iter().map(|&slack| pace.ask(&reading(slack, quiet))).collect();
    assert_eq!(asked, wishes, "{slacks_ms:?}");
}

#[test]
fn a_delay_near_its_target_is_left_alone() {
    use Wish::{Longer, Steady};
    for quiet in [false, true] {
        check(quiet, &[10, 29, 39, 10], &[Steady; 4]);
        // One late tick is no reason, a few are.
        check(quiet, &[9, 10, 9, 9], &[Steady, Steady, Steady, Longer]);
        check(quiet, &[40, 40, 40, 40, 39, 40], &[Steady; 6]);
    }
}

#[test]
fn once_begun_it_goes_on_until_the_delay_is_where_it_began() {
    use Wish::{Longer, Shorter, Steady};
    check(false, &[9, 9, 9, 10, 9], &[Steady, Longer, Longer, Steady, Steady]);
    let wishes = [Steady, Steady, Steady, Steady, Shorter, Shorter, Shorter, Steady, Steady];
    check(true, &[60, 60, 60, 60, 60, 35, 30, 29, 35], &wishes);
}

/// When the first of 1,000 ticks asks for shortening, and how many do.
fn shortens(slack_ms: i64, quiet: impl Fn(usize) -> bool) -> (Option<usize>, usize) {
    let mut pace = Pace::default();
    let asks = (0..1_000).filter(|&tick| {
        let wish = pace.ask(&reading(slack_ms, quiet(tick)));
        if wish == Wish::Shorter {
            pace.stretched();
        }
        wish == Wish::Shorter
    });
    let asks: Vec<_> = asks.collect();
    (asks.first().copied(), asks.len())
}

#[test]
fn a_long_delay_shrinks_in_pauses_and_in_speech_only_when_none_comes() {
    assert_eq!(shortens(500, |_| true), (Some(4), 996), "a pause");
    assert_eq!(shortens(500, |tick| tick % 3 > 0), (Some(354), 323), "stop consonants");
    assert_eq!(shortens(500, |tick| tick == 203), (Some(354), 323), "speech, far off");
    assert_eq!(shortens(50, |_| false), (Some(354), 162), "speech, not far off");
}

#[test]
fn in_a_pause_one_stretch_follows_another_but_not_below_the_target() {
    let mut pace = Pace::default();
    let far = reading(500, true);
    while pace.ask(&far) != Wish::Shorter {}
    assert_eq!(pace.eagerness(), Eagerness::Eager);
    let again = (0..20).take_while(|_| pace.ask_again(&far) == Wish::Shorter).count();
    assert_eq!(again, 7);
    assert_eq!(pace.ask(&far), Wish::Shorter);
    assert_eq!(pace.ask_again(&reading(29, true)), Wish::Steady, "it is short enough");
    assert_eq!(pace.ask_again(&reading(500, false)), Wish::Steady, "the pause is over");
}
