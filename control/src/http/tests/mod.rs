//! Real servers on real sockets.

mod client;
mod health;
mod misuse;
mod recordings;
mod sockets;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vox_engine::Stats;

use super::*;
use crate::delivery::QueueCounts;
use crate::metrics::{Counters, Readings};

/// A server that answers, and what its answers depend on.
struct Rig {
    server: HttpServer,
    slots: Slots,
    socket: PathBuf,
    tcp: SocketAddr,
}

impl Rig {
    /// Worker `id` of `workers`, with room for `calls`, in `dir`.
    async fn start(dir: &Path, id: &str, workers: usize, calls: usize) -> Self {
        Self::start_with(dir, id, workers, calls, |_| {}).await
    }

    async fn start_with(
        dir: &Path,
        id: &str,
        workers: usize,
        calls: usize,
        change: impl FnOnce(&mut Limits),
    ) -> Self {
        let (worker, http) = (worker_config(dir, id, workers), http_config(dir, id, workers));
        let (slots, mut limits) = (Slots::new(calls), Limits::default());
        change(&mut limits);
        let desk = desk(&worker, &http, slots.clone());
        let server = HttpServer::start_with(&http, desk, limits).await.unwrap();
        let tcp = server.local_addr().unwrap();
        Self { server, slots, socket: http.socket, tcp }
    }
}

fn worker_config(dir: &Path, id: &str, workers: usize) -> WorkerConfig {
    WorkerConfig {
        id: id.to_owned(),
        max_calls: 1,
        workers,
        secret: Some(Secret::new(SECRET)),
        data_dir: dir.join(id),
        neighbour_dirs: others(id, workers).map(|other| dir.join(other)).collect(),
        log: "info".to_owned(),
    }
}

fn http_config(dir: &Path, id: &str, workers: usize) -> HttpConfig {
    let neighbour = |other: String| (other.clone(), socket_of(dir, &other));
    HttpConfig {
        socket: socket_of(dir, id),
        neighbours: others(id, workers).map(neighbour).collect(),
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
    }
}

fn others(id: &str, workers: usize) -> impl Iterator<Item = String> {
    (1..=workers).map(|number| number.to_string()).filter(move |other| other != id)
}

fn desk(worker: &WorkerConfig, http: &HttpConfig, slots: Slots) -> Desk {
    for name in ["spool", "recordings"] {
        fs::create_dir_all(worker.data_dir.join(name)).unwrap();
    }
    let counted = slots.clone();
    let metrics = Metrics::reading(&Counters::default(), move || Readings {
        agents: Default::default(),
        sip: crate::sip::SipCounts::default(),
        engine: Stats::default(),
        slots_taken: counted.taken(),
        slots: counted.capacity(),
        draining: counted.is_draining(),
        results: NOTHING,
        recordings: NOTHING,
    });
    Desk::new(worker, http, slots, metrics)
}

fn socket_of(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("voxcore_{id}.sock"))
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

const SECRET: &str = "s3cret";
const NOTHING: QueueCounts = QueueCounts { pending: 0, delivered: 0, failures: 0, poisoned: 0 };
