use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use vox_contracts::FleetHealth;
use vox_engine::{Engine, EngineConfig, Events};

use super::*;
use crate::calls::Slot;
use crate::delivery::{Backoff, Outbox, Spool, Store};
use crate::metrics::Counters;

/// A worker's HTTP side with an engine that has nothing to do.
struct Rig {
    server: HttpServer,
    slots: Slots,
    counters: Counters,
    _events: Events,
}

/// Worker `id` of `workers`, all of them in `dir`, with room for two calls each.
async fn start(dir: &Path, id: &str, workers: usize) -> Rig {
    let numbers = (1..=workers).map(|n| n.to_string()).filter(|n| n != id);
    let neighbours: Vec<(String, PathBuf)> =
        numbers.map(|n| (n.clone(), dir.join(format!("{n}.sock")))).collect();
    let worker = WorkerConfig {
        id: id.into(),
        max_calls: 2,
        workers,
        secret: Some(Secret::new("s3cret")),
        data_dir: dir.join(id),
        neighbour_dirs: neighbours.iter().map(|(n, _)| dir.join(n)).collect(),
        log: "info".into(),
    };
    let http = HttpConfig {
        socket: dir.join(format!("{id}.sock")),
        neighbours,
        listen: Some("127.0.0.1:0".parse().unwrap()),
    };
    let slots = Slots::new(worker.max_calls);
    let config = EngineConfig {
        bind: "127.0.0.1".parse().unwrap(),
        ports: 20_000..=20_100,
        cores: Vec::new(),
        calls_per_shard: 2,
        port_quarantine: Duration::from_secs(1),
    };
    let (engine, events) = Engine::start(config).unwrap();
    let data = &worker.data_dir;
    let store = Store::Directory(data.join("recordings"));
    let spool = Spool::open(data.join("spool"), store, Backoff::default()).unwrap();
    let outbox =
        Outbox::open(data.join("outbox"), data.join("results"), None, Backoff::default()).unwrap();
    let counters = Counters::default();
    let metrics = Metrics::new(&counters, slots.clone(), engine, outbox, spool);
    let desk = Desk::new(&worker, &http, slots.clone(), metrics);
    let server = HttpServer::start(&http, desk).await.unwrap();
    Rig { server, slots, counters, _events: events }
}

impl Rig {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let url = format!("http://{}{path}", self.server.local_addr().unwrap());
        let request = Client::new().get(url);
        let with = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        headers.iter().fold(request, with).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        self.get(path, &[]).await.text().await.unwrap()
    }

    fn take(&self) -> Slot {
        self.slots.admit().unwrap()
    }
}

#[tokio::test]
async fn health_is_the_contracts_body_and_shows_no_room_while_draining() {
    let dir = tempfile::tempdir().unwrap();
    let rig = start(dir.path(), "3", 16).await;
    let _call = rig.take();
    let pid = std::process::id();
    let body = |max, capacity, available| {
        format!(
            r#"{{"status":"ok","worker_calls":1,"worker_max":{max},"total_capacity":{capacity},"total_available":{available},"workers":16,"worker_id":"3","worker_pid":{pid}}}"#
        )
    };
    assert_eq!(rig.text("/health").await, body(2, 32, 31));
    let socket = Client::builder().unix_socket(dir.path().join("3.sock")).build().unwrap();
    let over_socket = socket.get("http://worker/health").send().await.unwrap();
    assert_eq!(over_socket.text().await.unwrap(), body(2, 32, 31));
    rig.slots.drain();
    assert_eq!(rig.text("/health").await, body(1, 16, 0));
}

#[tokio::test]
async fn fleet_health_adds_up_all_workers_and_names_those_that_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (start(dir.path(), "1", 3).await, start(dir.path(), "2", 3).await);
    let (_a, _b, _c) = (one.take(), two.take(), two.take());
    let pid = std::process::id();
    let expected = format!(
        r#"{{"status":"ok","fleet_calls":3,"fleet_max":4,"fleet_available":1,"workers":[{{"id":"1","calls":1,"max":2,"pid":{pid}}},{{"id":"2","calls":2,"max":2,"pid":{pid}}},{{"id":"3","status":"unreachable"}}]}}"#
    );
    for rig in [&one, &two] {
        assert_eq!(rig.text("/health/fleet").await, expected);
    }
    two.slots.drain();
    one.slots.drain();
    let fleet: FleetHealth = serde_json::from_str(&one.text("/health/fleet").await).unwrap();
    assert_eq!((fleet.fleet_calls, fleet.fleet_available), (3, 0));
}

#[tokio::test]
async fn a_neighbour_that_hangs_costs_its_limit_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let _deaf = std::os::unix::net::UnixListener::bind(dir.path().join("2.sock")).unwrap();
    let rig = start(dir.path(), "1", 2).await;
    let fleet: FleetHealth = serde_json::from_str(&rig.text("/health/fleet").await).unwrap();
    assert_eq!(fleet.workers[1], vox_contracts::FleetWorker::unreachable("2"));
}

#[tokio::test]
async fn recordings_need_the_secret_and_come_whole_or_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let rig = start(dir.path(), "1", 2).await;
    std::fs::write(dir.path().join("1/spool/20260102-s.wav"), b"0123456789").unwrap();
    std::fs::create_dir_all(dir.path().join("2/recordings")).unwrap();
    std::fs::write(dir.path().join("2/recordings/neighbour.wav"), b"abc").unwrap();
    std::fs::write(dir.path().join("1/secret.wav"), b"x").unwrap();
    let secret = ("x-voxcore-secret", "s3cret");
    let check = async |path: &str,
                       headers: &[(&str, &str)],
                       status: u16,
                       body: Option<&str>,
                       content_range: &str| {
        let response = rig.get(path, headers).await;
        assert_eq!(response.status().as_u16(), status, "{path} {headers:?}");
        let found = response.headers().get("content-range").map_or("", |v| v.to_str().unwrap());
        assert_eq!(found, content_range, "{path} {headers:?}");
        let text = response.text().await.unwrap();
        assert!(body.is_none_or(|body| body == text), "{path} {headers:?}: {text}");
    };
    let path = "/recordings/20260102-s.wav";
    check(path, &[], 403, None, "").await;
    check(path, &[("x-voxcore-secret", "s3cre")], 403, None, "").await;
    check(path, &[secret], 200, Some("0123456789"), "").await;
    check("/recordings/neighbour.wav", &[secret], 200, Some("abc"), "").await;
    check(path, &[secret, ("range", "bytes=2-4")], 206, Some("234"), "bytes 2-4/10").await;
    check(path, &[secret, ("range", "bytes=-2")], 206, Some("89"), "bytes 8-9/10").await;
    check(path, &[secret, ("range", "bytes=10-")], 416, Some(""), "bytes */10").await;
    check(path, &[secret, ("range", "nonsense")], 200, Some("0123456789"), "").await;
    for key in [
        "no.wav",
        "..%2Fsecret.wav",
        "%2e%2e%2fsecret.wav",
        "..%5Csecret.wav",
        "a%00.wav",
        "%252e%252e",
        "a%2F..%2F..%2Fsecret.wav",
    ] {
        check(&format!("/recordings/{key}"), &[secret], 404, Some(r#"{"detail":"not_found"}"#), "")
            .await;
    }
}

#[tokio::test]
async fn metrics_count_calls_packets_and_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let rig = start(dir.path(), "1", 1).await;
    rig.counters.ended("failed", "media_timeout");
    rig.counters.refused("at_capacity");
    rig.counters.recorded(Duration::from_millis(1_500), 2);
    let _call = rig.take();
    let text = rig.text("/metrics").await;
    for line in [
        "vox_calls_live 1",
        "vox_calls_max 2",
        "vox_draining 0",
        "vox_engine_calls 0",
        "vox_ports_used 0",
        "vox_receive_buffers_held 0",
        "vox_packets_received_total 0",
        "vox_packets_dropped_total{reason=\"wrong_source\"} 0",
        "vox_calls_ended_total{reason=\"media_timeout\",outcome=\"failed\"} 1",
        "vox_calls_refused_total{reason=\"at_capacity\"} 1",
        "vox_recorded_seconds_total 1.5",
        "vox_recording_overruns_total 2",
        "vox_outbox_pending 0",
        "vox_upload_failures_total 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_anything_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let (listener, file) = socket::bind(&path).unwrap();
    let error = socket::bind(&path).unwrap_err().to_string();
    assert!(error.ends_with("another worker of this number listens here"), "{error}");
    drop((listener, file));
    assert!(!path.exists());
    std::fs::write(&path, b"precious").unwrap();
    let error = socket::bind(&path).unwrap_err().to_string();
    assert!(error.ends_with("expected a socket or nothing, found another file"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_socket_that_a_successor_took_over_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sock");
    let (_listener, file) = socket::bind(&path).unwrap();
    std::fs::rename(&path, dir.path().join("old.sock")).unwrap();
    let successor = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(file);
    assert!(path.exists());
    drop(successor);
}
