//! From accepted sockets to answers: how many, how long.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::stall::Watched;

/// What one listener's peers may take of us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once; more wait in the kernel's queue. Each holds at most
    /// [`HEAD_BYTES_MAX`] of a request and one chunk of an answer.
    pub(super) connections: usize,
    /// For a request's head, from the end of the last answer: also how long a connection may be
    /// kept without use.
    pub(super) head: Duration,
    /// Without a byte in either direction.
    pub(super) stalled: Duration,
    /// For answers under way when the server stops.
    pub(super) stopping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(15),
            stalled: Duration::from_secs(30),
            stopping: Duration::from_secs(2),
        }
    }
}

/// Answers everybody who connects, until `stop`; then lets answers that are under way finish.
pub(super) async fn serve(
    mut listener: impl Listener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, _) = listener.accept(), if connections.len() < limits.connections => {
                connections.spawn(converse(stream, router.clone(), limits, stop.clone()));
            }
            Some(ended) = connections.join_next() => {
                lament(ended);
            }
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        lament(ended);
    }
}

fn lament(ended: Result<(), JoinError>) {
    if let Err(died) = ended {
        tracing::error!("an HTTP connection was broken off: {died}");
    }
}

/// One connection, to its end.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let (stream, moved) = Watched::new(stream);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        // How peers break off is their affair.
        _ = connection.as_mut() => {}
        () = moved.stalled(limits.stalled) => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(limits.stopping, connection).await;
        }
    }
}

/// Of a request's head; more is 431.
const HEAD_BYTES_MAX: usize = 16 << 10;
