//! Hysteresis of the pace.
use crate::jitter::decide::Wish;
use crate::jitter::pace::{Pace, Reading};

fn reading(slack_ms: i64, target_ms: i64) -> Reading {
    Reading {
        delay_us: slack_ms * 1_000,
        slack_us: slack_ms * 1_000,
        target_us: target_ms * 1_000,
        frame_us: 20_000,
    }
}

/// Feeds slacks (target 10 ms) and expects the wishes.
fn check(slacks_ms: &[i64], wishes: &[Wish]) {
    let mut pace = Pace::default();
    let asked: Vec<_> = slacks_ms.iter().map(|&slack| pace.ask(&reading(slack, 10))).collect();
    assert_eq!(asked, wishes, "{slacks_ms:?}");
}

#[test]
fn a_delay_near_its_target_is_left_alone() {
    use Wish::{Longer, Shorter, Steady};
    check(&[10, 29, 39, 10], &[Steady; 4]);
    // One late tick is no reason, a few are.
    check(&[9, 10, 9, 9], &[Steady, Steady, Steady, Longer]);
    check(&[40, 40, 40, 40, 39, 40], &[Steady; 6]);
    check(&[40; 5], &[Steady, Steady, Steady, Steady, Shorter]);
}

#[test]
fn once_begun_it_goes_on_until_the_delay_is_where_it_began() {
    use Wish::{Longer, Shorter, Steady};
    check(&[9, 9, 9, 10, 9], &[Steady, Longer, Longer, Steady, Steady]);
    let slacks = [60, 60, 60, 60, 60, 35, 30, 29, 35];
    let wishes = [Steady, Steady, Steady, Steady, Shorter, Shorter, Shorter, Steady, Steady];
    check(&slacks, &wishes);
}

#[test]
fn gentle_shortening_rests_and_eager_does_not() {
    let stretches = |slack_ms| {
        let mut pace = Pace::default();
        let asks = (0..100).filter(|_| {
            let wish = pace.ask(&reading(slack_ms, 10));
            if wish != Wish::Steady {
                pace.stretched();
            }
            wish == Wish::Shorter
        });
        asks.count()
    };
    assert!((20..=25).contains(&stretches(60)), "{}", stretches(60));
    assert!(stretches(300) >= 90, "{}", stretches(300));
}
