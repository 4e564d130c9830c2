//! Places calls at their moments.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::caller;
use super::stage::Stage;
use crate::scenario::{Arrival, PlannedCall};

/// How long calls may take to end once the run is over; what takes longer is given up.
const ENDING_MAX: Duration = Duration::from_secs(30);

/// Places the scenario's calls until the run ends, then waits for their ends.
pub(super) async fn place(stage: Arc<Stage>) {
    let mut calls = JoinSet::new();
    tokio::select! {
        () = stage.ending.cancelled() => {}
        () = place_all(&stage, &mut calls) => {}
    }
    // Without an end of its own the curve is cut by the run's; with one, the run goes on.
    stage.ending.cancelled().await;
    let ended = async { while calls.join_next().await.is_some() {} };
    if timeout(ENDING_MAX, ended).await.is_err() {
        calls.shutdown().await;
    }
}

async fn place_all(stage: &Arc<Stage>, calls: &mut JoinSet<()>) {
    let Some(callers) = &stage.scenario.callers else { return };
    let plan = stage.scenario.calls();
    match callers.arrival {
        Arrival::AtOnce { calls: at_once, rate } => {
            hold_at_once(stage, calls, plan, at_once, Duration::from_secs_f64(1.0 / rate)).await;
        }
        _ => {
            for (at, call) in callers.arrival.moments(stage.scenario.seed).zip(plan) {
                let due = stage.began() + at;
                sleep_until(due).await;
                start(stage, calls, call, due);
            }
        }
    }
}

/// A closed loop: each call that ends makes room for the next, no more than one a `step`.
async fn hold_at_once(
    stage: &Arc<Stage>,
    calls: &mut JoinSet<()>,
    plan: impl Iterator<Item = PlannedCall>,
    at_once: u64,
    step: Duration,
) {
    let mut due = stage.began();
    for call in plan {
        sleep_until(due).await;
        let asked = Instant::now();
        stage.ledger.room_for(at_once).await;
        // Who had to wait for room is not late; who comes after it keeps its distance.
        let waited = asked.elapsed();
        due += waited;
        start(stage, calls, call, due);
        due += step;
    }
}

fn start(stage: &Arc<Stage>, calls: &mut JoinSet<()>, call: PlannedCall, due: Instant) {
    stage.ledger.placed(due.elapsed());
    while calls.try_join_next().is_some() {}
    calls.spawn(caller::live(stage.clone(), call));
}
