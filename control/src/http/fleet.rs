use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tokio::task::JoinSet;
use vox_contracts::{FleetHealth, FleetWorker, WorkerHealth};

use super::Desk;

/// Another worker of this host, asked over its Unix socket.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    id: String,
    /// `None` when the client could not be built; such a neighbour is unreachable.
    client: Option<reqwest::Client>,
}

impl Neighbour {
    pub(super) fn new(id: &str, socket: &Path) -> Self {
        let client = reqwest::Client::builder().unix_socket(socket).timeout(ASK_LIMIT).build();
        Self { id: id.to_owned(), client: client.ok() }
    }

    async fn ask(self) -> FleetWorker {
        match self.health().await {
            Some(health) => row(self.id, &health),
            None => FleetWorker::unreachable(self.id),
        }
    }

    async fn health(&self) -> Option<WorkerHealth> {
        let ask = async {
            let response = self.client.as_ref()?.get("http://worker/health").send().await.ok()?;
            response.error_for_status().ok()?.json().await.ok()
        };
        tokio::time::timeout(ASK_LIMIT, ask).await.ok()?
    }
}

/// Asks all neighbours at once; our own numbers need no asking.
pub(super) async fn health(State(desk): State<Arc<Desk>>) -> Json<FleetHealth> {
    let mut asked = JoinSet::new();
    for (place, neighbour) in desk.neighbours.iter().cloned().enumerate() {
        asked.spawn(async move { (place, neighbour.ask().await) });
    }
    let mut rows = vec![row(desk.worker_id.clone(), &desk.health())];
    let mut answers: Vec<(usize, FleetWorker)> = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    rows.extend(answers.into_iter().map(|(_, row)| row));
    rows.sort_by_key(|row| match row {
        FleetWorker::Reachable { id, .. } | FleetWorker::Unreachable { id, .. } => {
            (id.parse::<u64>().unwrap_or(u64::MAX), id.clone())
        }
    });
    Json(FleetHealth::of(rows))
}

fn row(id: String, health: &WorkerHealth) -> FleetWorker {
    FleetWorker::Reachable {
        id,
        calls: health.worker_calls,
        max: health.worker_max,
        pid: health.worker_pid,
    }
}

/// A worker that is busy answers in a few milliseconds; one that takes longer is not well.
const ASK_LIMIT: Duration = Duration::from_millis(500);
