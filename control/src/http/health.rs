//! `GET /health` and `GET /health/fleet`.
//!
//! A worker that drains keeps its `worker_max` and says `"total_available":0`, which a host of
//! several workers says for no other reason. Its fleet counts only the calls it still has: in the
//! fleet's answer its `max` is its `calls`, so that `fleet_available` = `fleet_max` − `fleet_calls`
//! holds and nobody is sent to it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tokio::task::JoinSet;
use vox_contracts::{FleetHealth, FleetWorker, WorkerHealth};

use super::{Desk, neighbour};

/// This worker.
pub(super) async fn worker(State(desk): State<Arc<Desk>>) -> Json<WorkerHealth> {
    Json(own(&desk))
}

/// All workers of this host: this one from its own numbers, the others over their sockets, all at
/// once.
pub(super) async fn fleet(State(desk): State<Arc<Desk>>) -> Json<FleetHealth> {
    // Never closed. A round is over after the time limit of one neighbour.
    let _turn = desk.rounds.acquire().await;
    let mut asked = JoinSet::new();
    for (place, (id, socket)) in desk.neighbours.iter().cloned().enumerate() {
        asked.spawn(async move { (place, neighbour::ask(&id, &socket).await) });
    }
    let silent = |(id, _): &(String, PathBuf)| (id.clone(), FleetWorker::unreachable(id));
    let mut rows: Vec<_> = desk.neighbours.iter().map(silent).collect();
    while let Some(answered) = asked.join_next().await {
        if let Ok((place, Some(health))) = answered {
            rows[place].1 = row(&health);
        }
    }
    let own = own(&desk);
    rows.push((own.worker_id.clone(), row(&own)));
    rows.sort_by_cached_key(|(id, _)| (id.parse().unwrap_or(u32::MAX), id.clone()));
    Json(FleetHealth::of(rows.into_iter().map(|(_, row)| row).collect()))
}

fn own(desk: &Desk) -> WorkerHealth {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (calls, max) = (count(desk.slots.taken()), count(desk.slots.capacity()));
    let total_capacity = max.saturating_mul(desk.workers);
    let draining = desk.slots.is_draining();
    WorkerHealth {
        status: "ok".into(),
        worker_calls: calls,
        worker_max: max,
        total_capacity,
        total_available: if draining { 0 } else { total_capacity.saturating_sub(calls) },
        workers: desk.workers,
        worker_id: desk.worker_id.clone(),
        worker_pid: std::process::id(),
    }
}

/// A worker's row in its fleet.
fn row(health: &WorkerHealth) -> FleetWorker {
    let calls = health.worker_calls;
    let takes_calls = health.total_available > 0;
    FleetWorker::Reachable {
        id: health.worker_id.clone(),
        calls,
        max: if takes_calls { health.worker_max } else { calls },
        pid: health.worker_pid,
    }
}

/// Rounds of questions at once; with 16 workers that is 480 sockets.
pub(super) const ROUNDS: usize = 32;
