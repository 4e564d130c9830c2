//! A shard without calls sleeps. Alone in its binary: it looks at all threads of the process.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Caller, Rig, talk};

#[test]
fn a_shard_without_calls_does_not_wake_up() {
    let mut rig = Rig::new(1);
    // Also after a call: it goes back to sleep.
    let caller = Caller::new();
    let live = rig.echo(&caller, None);
    let mut callers = [(caller, live)];
    talk(&mut callers, |callers| callers[0].0.packets >= 5);
    rig.hang_up(live.call);
    settle();
    let before = wake_ups();
    // The length of the observation, not a wait for anything.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(wake_ups() - before, 0, "over one second");

    // And it wakes for the next call.
    let caller = Caller::new();
    let live = rig.echo(&caller, None);
    talk(&mut [(caller, live)], |callers| callers[0].0.packets >= 5);
    rig.hang_up(live.call);
}

/// Waits until the shard has not woken for 100 ms.
fn settle() {
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        let before = wake_ups();
        std::thread::sleep(Duration::from_millis(100));
        if wake_ups() == before {
            return;
        }
        assert!(Instant::now() < deadline, "it never sleeps");
    }
}

/// How often the shard's thread has gone to sleep so far.
fn wake_ups() -> u64 {
    let status = fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .find(|status| status.starts_with("Name:\tvox-shard-0\n"))
        .unwrap();
    let line = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"]
        .map(|name| line(name).trim().parse::<u64>().unwrap())
        .iter()
        .sum()
}
