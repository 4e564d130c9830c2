//! Another worker of this host, asked over its Unix socket.

use std::error::Error;
use std::future::pending;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;
use vox_contracts::WorkerHealth;

/// Its `/health`. `None` when there is no valid answer in time.
pub(super) async fn ask(id: &str, socket: &Path) -> Option<WorkerHealth> {
    match timeout(LIMIT, fetch(socket)).await {
        Ok(Ok(health)) if is_valid(&health, id) => Some(health),
        Ok(Ok(health)) => {
            tracing::debug!("worker {id} at {} answers nonsense: {health:?}", socket.display());
            None
        }
        Ok(Err(error)) => {
            tracing::debug!("worker {id} at {}: {error}", socket.display());
            None
        }
        Err(_) => {
            tracing::debug!("worker {id} at {} does not answer in time", socket.display());
            None
        }
    }
}

async fn fetch(socket: &Path) -> Result<WorkerHealth, Box<dyn Error + Send + Sync>> {
    let stream = TokioIo::new(UnixStream::connect(socket).await?);
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(stream).await?;
    let request = Request::get("/health").header(HOST, "voxcore").body(Empty::<Bytes>::new())?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        if response.status() != hyper::StatusCode::OK {
            return Err(format!("status {}", response.status()).into());
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    };
    // The connection moves the bytes. How it ends, `answer` learns through its sender.
    let moving = async {
        let _ = connection.await;
        pending().await
    };
    tokio::select! {
        answer = answer => answer,
        never = moving => never,
    }
}

/// Whoever answers there is the worker asked for, and its numbers can be added up.
fn is_valid(health: &WorkerHealth, id: &str) -> bool {
    health.status == "ok"
        && health.worker_id == id
        && health.worker_calls <= health.worker_max
        && health.worker_max <= CALLS_MAX
}

/// For all of it: connecting, asking, reading.
const LIMIT: Duration = Duration::from_millis(500);
/// hyper's smallest.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// An answer has about 150 bytes.
const BODY_BYTES_MAX: usize = 4 << 10;
/// More than any worker takes; 1,000 of them still fit a `u32`.
const CALLS_MAX: u32 = 65_536;
