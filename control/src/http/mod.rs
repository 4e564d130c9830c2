//! HTTP on the worker's Unix socket and, when configured, on TCP.
//!
//! | route | secret | answer |
//! |---|---|---|
//! | `GET /health` | | this worker |
//! | `GET /health/fleet` | | all workers of this host |
//! | `GET /metrics` | | Prometheus text |
//! | `WS /ws/{bot_id}`, `WS /exotel/{bot_id}` | | a call ([`telephony`](crate::telephony)) |
//! | `POST /livekit/{dispatch,dialout,widget}`, `POST /attach` | yes | a call in a room ([`livekit`]) |
//! | `GET /recordings/{key}` | yes | a recording that is still on this machine, `Range` |
//!
//! Whatever is refused has a JSON body: `{"detail":"not_found"}`.
//!
//! What this module does not do: TLS, HTTP/2 (an nginx stands before it), starting calls.

mod connections;
mod health;
mod neighbour;
mod range;
mod recordings;
mod secret;
mod socket;
mod sockets;
mod stall;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::calls::Slots;
use crate::config::{HttpConfig, Secret, WorkerConfig};
use crate::livekit::{self, Livekit};
use crate::metrics::{self, Metrics};
use crate::telephony::Telephony;

use connections::Limits;
use socket::SocketFile;

/// What the routes answer from. Handles, not copies: each answer is as of now.
#[derive(Debug)]
pub struct Desk {
    slots: Slots,
    metrics: Metrics,
    worker_id: String,
    workers: u32,
    secret: Option<Secret>,
    /// Other workers' ids and sockets.
    neighbours: Vec<(String, PathBuf)>,
    /// Rounds of questions to the neighbours at once.
    rounds: Semaphore,
    /// Each spool stands before the store that its recordings are moved to.
    recording_dirs: Vec<PathBuf>,
    telephony: Option<Telephony>,
    livekit: Option<Livekit>,
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
            neighbours: http.neighbours.clone(),
            rounds: Semaphore::new(health::ROUNDS),
            recording_dirs: data_dirs
                .flat_map(|dir| ["spool", "recordings"].map(|name| dir.join(name)))
                .collect(),
            telephony: None,
            livekit: None,
        }
    }

    /// Also takes calls that come as WebSockets.
    pub fn with_telephony(self, telephony: Telephony) -> Self {
        Self { telephony: Some(telephony), ..self }
    }

    /// Also starts calls that wait in LiveKit's rooms.
    pub fn with_livekit(self, livekit: Option<Livekit>) -> Self {
        Self { livekit, ..self }
    }
}

/// The listening HTTP side.
#[derive(Debug)]
pub struct HttpServer {
    local: Option<SocketAddr>,
    stop: DropGuard,
    served: JoinHandle<()>,
}

impl HttpServer {
    /// Listens on the Unix socket and the TCP address of `config`, and answers from `desk`.
    pub async fn start(config: &HttpConfig, desk: Desk) -> Result<Self, BindError> {
        Self::start_with(config, desk, Limits::default()).await
    }

    async fn start_with(
        config: &HttpConfig,
        desk: Desk,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let tcp = match config.listen {
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(|error| BindError::Tcp { address, error })?,
            ),
            None => None,
        };
        let (unix, file) = socket::bind(&config.socket)?;
        let listening = Listening { file, unix, tcp, limits };
        let local = listening.tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
        let stop = CancellationToken::new();
        let served = tokio::spawn(listening.serve(router(desk), stop.clone()));
        Ok(Self { local, stop: stop.drop_guard(), served })
    }

    /// Where TCP listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Removes the socket's file, stops listening and lets answers that are under way finish (2 s
    /// at most).
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(died) = self.served.await {
            tracing::error!("the HTTP side did not end in order: {died}");
        }
    }
}

struct Listening {
    // Dropped in this order: the file goes while we still listen on it, so that its number cannot
    // be another's yet.
    file: SocketFile,
    unix: UnixListener,
    tcp: Option<TcpListener>,
    limits: Limits,
}

impl Listening {
    async fn serve(self, router: Router, stop: CancellationToken) {
        let Self { file, unix, tcp, limits } = self;
        let unlink = async {
            stop.cancelled().await;
            drop(file);
        };
        let on_unix = connections::serve(unix, router.clone(), limits, stop.clone());
        let on_tcp = async {
            if let Some(tcp) = tcp {
                // Answers are whole: nothing is gained by waiting for more.
                let tcp = tcp.tap_io(|stream| drop(stream.set_nodelay(true)));
                connections::serve(tcp, router.clone(), limits, stop.clone()).await;
            }
        };
        tokio::join!(biased; unlink, on_unix, on_tcp);
    }
}

/// Why the HTTP side cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The TCP address.
    #[error("cannot listen for HTTP on {address}: {error}")]
    Tcp {
        /// It.
        address: SocketAddr,
        /// The system's word.
        error: io::Error,
    },
    /// The Unix socket.
    #[error("cannot listen for HTTP on {}: {error}", path.display())]
    Unix {
        /// Its path.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// A process answers there.
    #[error("{}: another worker listens on this socket", .0.display())]
    Taken(PathBuf),
    /// Something else has the name.
    #[error("{} is there and is no socket: remove it or set VOXCORE_SOCKET", .0.display())]
    NoSocket(PathBuf),
}

fn router(desk: Desk) -> Router {
    let secret = desk.secret.clone();
    let guarded = Router::new()
        .route("/recordings/{key}", get(recordings::get))
        .merge(livekit::routes(desk.livekit.clone()))
        .route_layer(from_fn_with_state(secret, secret::required));
    Router::new()
        .route("/health", get(health::worker))
        .route("/health/fleet", get(health::fleet))
        .route("/metrics", get(show_metrics))
        .route("/ws/{bot_id}", get(sockets::generic))
        .route("/exotel/{bot_id}", get(sockets::exotel))
        .merge(guarded)
        .fallback(async || refusal(StatusCode::NOT_FOUND, "not_found"))
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(desk))
}

async fn show_metrics(State(desk): State<Arc<Desk>>) -> Response {
    match desk.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "unreadable"),
    }
}

/// Says no, in the contract's shape.
pub(crate) fn refusal(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({"detail": detail}).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Of a request's body, for routes that read one.
const BODY_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;
