//! What a call takes, it gives back. Alone in its binary: descriptors are counted by process.

mod common;

use common::{Caller, Rig, talk, wait_until};

#[test]
fn a_closed_call_gives_back_slot_ports_buffers_and_descriptors() {
    let mut rig = Rig::new(20);
    let before = open_descriptors();
    for round in 0..3 {
        let mut callers: Vec<_> = (0..20)
            .map(|_| {
                let caller = Caller::new();
                let live = rig.echo(&caller, None);
                (caller, live)
            })
            .collect();
        talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.packets >= 5));
        let stats = rig.engine.stats();
        assert_eq!((stats.calls, stats.ports_used), (20, 20), "round {round}");
        assert_eq!(open_descriptors(), before + 60, "two of ours and one of the caller's each");
        for (_, live) in &callers {
            rig.hang_up(live.call);
        }
        drop(callers);
        rig.heard.clear();
        wait_until("everything is back", || {
            let stats = rig.engine.stats();
            let held = (stats.calls, stats.ports_used, stats.buffers_held);
            held == (0, 0, 0) && open_descriptors() == before && rig.engine.taken() == 0
        });
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
