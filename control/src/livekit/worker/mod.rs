//! The agent worker protocol: LiveKit offers this worker calls, and knows how many it can take.
//!
//! ```text
//! connect ─► register ─► ready ───── lost ─────► wait (2, 4 … 10 s) ─► connect
//!                          │
//!                       go_away ─► its jobs end ─► closed
//!                          └──────────────────────► connect, at once
//!
//! a job: offered ─► a slot is taken ─► assigned ─► a call ─► success | failed
//!           │              └─ never assigned: given back ([`OFFER_LIMIT`])
//!           └─ full, draining, answered already, no caller: refused
//! ```
//!
//! Only explicit dispatch, by `agent_name`. What LiveKit hears of our load is how many of our slots
//! are taken; it gives nothing to a worker from 0.7 on, so that is what a full one says. Losing this
//! connection ends no call.

mod jobs;
mod line;

use std::sync::atomic::Ordering;
use std::time::Duration;

use livekit_protocol::{UpdateWorkerStatus, WorkerStatus};
use tokio::time::{Instant, sleep};

use super::Livekit;
use super::counts::count;
use super::signal::SignalError;
use line::{End, Line};

/// Keeps this worker registered as `agent_name` for as long as the runtime lives.
pub(super) fn start(livekit: Livekit, agent_name: String) {
    tokio::spawn(run(livekit, agent_name));
}

async fn run(livekit: Livekit, agent_name: String) {
    let mut failures = 0;
    loop {
        let counts = &livekit.0.counts;
        let began = Instant::now();
        let end = match Line::register(&livekit, &agent_name).await {
            Ok(mut line) => {
                count(&counts.registrations);
                counts.registered.store(1, Ordering::Relaxed);
                let end = line.serve().await;
                counts.registered.store(0, Ordering::Relaxed);
                (end, Some(line))
            }
            Err(error) => (End::Lost(error), None),
        };
        if began.elapsed() >= STABLE {
            failures = 0;
        }
        match end {
            (End::GoAway, Some(line)) => {
                tracing::info!(agent_name, "LiveKit sends this worker to another server");
                tokio::spawn(line.see_out());
                if failures == 0 {
                    failures = 1;
                    continue;
                }
            }
            (End::Lost(error), _) => say_lost(&agent_name, &error, failures),
            (End::GoAway, None) => {}
        }
        failures += 1;
        sleep(pause(failures, random())).await;
    }
}

fn say_lost(agent_name: &str, error: &SignalError, failures: u32) {
    match error {
        SignalError::Refused { status: 401 | 403, .. } => tracing::error!(
            agent_name,
            "LiveKit gives no jobs: {error}; LIVEKIT_API_KEY and LIVEKIT_API_SECRET must be the server's"
        ),
        // Once is enough for an outage; its end is said as well.
        _ if failures == 0 => tracing::warn!(agent_name, "LiveKit gives no jobs: {error}"),
        _ => tracing::debug!(agent_name, "LiveKit gives no jobs: {error}"),
    }
}

/// What LiveKit is to know of a worker with `taken` of `capacity` slots.
fn status(taken: usize, capacity: usize, draining: bool, jobs: usize) -> UpdateWorkerStatus {
    let full = draining || taken >= capacity;
    let load = if full { 1.0 } else { LOAD_FULL * taken as f32 / capacity as f32 };
    let status = if full { WorkerStatus::WsFull } else { WorkerStatus::WsAvailable };
    UpdateWorkerStatus {
        status: Some(status.into()),
        load,
        job_count: jobs as u32,
        draining,
        ..UpdateWorkerStatus::default()
    }
}

/// Before try number `failures + 1`; `random` is in `0.0..1.0`.
fn pause(failures: u32, random: f64) -> Duration {
    let most = Duration::from_secs(u64::from(failures.saturating_mul(2).min(10)));
    most.mul_f64(0.5 + random / 2.0)
}

/// In `0.0..1.0`; workers that lost the same server do not come back at the same time.
pub(super) fn random() -> f64 {
    let [a, b, c, d, ..] = uuid::Uuid::new_v4().into_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

/// A server's `agents.target_load`: it offers nothing to workers that report as much, however many
/// slots they have left.
const LOAD_FULL: f32 = 0.7;
/// A server that has not assigned a job by then has given it to somebody else, or up: it does not
/// wait for longer than 3 s itself.
const OFFER_LIMIT: Duration = Duration::from_secs(5);
/// A connection that lasted this long was a good one.
const STABLE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
