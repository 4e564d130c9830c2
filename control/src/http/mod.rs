//! The worker's HTTP side: health, figures, recordings that are still here. Served on the Unix
//! socket of the contract, and on TCP where that is configured.
//!
//! What this does not do: call starts (they come with LiveKit), TLS (the ingress does it).

mod fleet;
mod range;
mod recordings;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vox_contracts::{SECRET_HEADER, WorkerHealth};

use crate::calls::Slots;
use crate::config::{HttpConfig, Secret, WorkerConfig};
use crate::metrics::Metrics;

use fleet::Neighbour;

/// What the routes answer from.
#[derive(Debug)]
pub struct Desk {
    slots: Slots,
    metrics: Metrics,
    worker_id: String,
    workers: u32,
    secret: Option<Secret>,
    neighbours: Vec<Neighbour>,
    recording_dirs: Vec<PathBuf>,
}

impl Desk {
    /// Answers for this worker; asks its neighbours for the fleet.
    pub fn new(worker: &WorkerConfig, http: &HttpConfig, slots: Slots, metrics: Metrics) -> Self {
        let data_dirs = std::iter::once(&worker.data_dir).chain(&worker.neighbour_dirs);
        Self {
            slots,
            metrics,
            worker_id: worker.id.clone(),
            workers: u32::try_from(worker.workers).unwrap_or(u32::MAX),
            secret: worker.secret.clone(),
            neighbours: http.neighbours.iter().map(|(id, path)| Neighbour::new(id, path)).collect(),
            recording_dirs: data_dirs
                .flat_map(|dir| ["recordings", "spool"].map(|d| dir.join(d)))
                .collect(),
        }
    }

    /// A worker that drains has its calls, and no room beside them.
    fn health(&self) -> WorkerHealth {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let calls = count(self.slots.taken());
        let draining = self.slots.is_draining();
        let max = if draining { calls } else { count(self.slots.capacity()) };
        let capacity = max.saturating_mul(self.workers);
        WorkerHealth {
            status: "ok".into(),
            worker_calls: calls,
            worker_max: max,
            total_capacity: capacity,
            total_available: if draining { 0 } else { capacity.saturating_sub(calls) },
            workers: self.workers,
            worker_id: self.worker_id.clone(),
            worker_pid: std::process::id(),
        }
    }

    /// Whether the request carries the shared secret. Without one configured nobody does.
    fn knows_secret(&self, headers: &HeaderMap) -> bool {
        let offered = headers.get(SECRET_HEADER).map_or(&b""[..], |value| value.as_bytes());
        self.secret.as_ref().is_some_and(|secret| secret.matches(offered))
    }
}

/// The routes.
pub fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/health/fleet", get(fleet::health))
        .route("/metrics", get(metrics))
        .route("/recordings/{key}", get(recordings::serve))
        .fallback(async || (StatusCode::NOT_FOUND, r#"{"detail":"not_found"}"#))
        .with_state(desk)
}

async fn health(State(desk): State<Arc<Desk>>) -> Json<WorkerHealth> {
    Json(desk.health())
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, TYPE)], desk.metrics.text()).into_response()
}

/// The listening HTTP side.
#[derive(Debug)]
pub struct HttpServer {
    local: Option<SocketAddr>,
    socket: socket::SocketFile,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl HttpServer {
    /// Binds both, and answers from `desk`.
    pub async fn start(config: &HttpConfig, desk: Desk) -> io::Result<Self> {
        let (unix, socket) = socket::bind(&config.socket)?;
        let tcp = match config.listen {
            Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
                io::Error::new(error.kind(), format!("HTTP cannot listen on {address}: {error}"))
            })?),
            None => None,
        };
        let local = tcp.as_ref().map(TcpListener::local_addr).transpose()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let routes = router(Arc::new(desk));
        let stopped = || stop.clone().cancelled_owned();
        let serve = axum::serve(unix, routes.clone()).with_graceful_shutdown(stopped());
        tasks.spawn(async move { serve.await });
        if let Some(tcp) = tcp {
            let serve = axum::serve(tcp, routes).with_graceful_shutdown(stopped());
            tasks.spawn(async move { serve.await });
        }
        tasks.close();
        Ok(Self { local, socket, stop, tasks })
    }

    /// Where TCP listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Stops listening; what is being answered is given a moment to end.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(STOP_LIMIT, self.tasks.wait()).await;
        drop(self.socket);
    }
}

/// A connection that is kept open by its peer does not keep us.
const STOP_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

#[cfg(test)]
mod tests;
