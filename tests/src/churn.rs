//! Rooms that fill and empty all the time: whatever a call holds has to come back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::livekit::Server;
use crate::phones::Phones;
use crate::wait_for;
use crate::worker::{Worker, files};

/// How many rooms, for how long.
#[derive(Debug, Clone, Copy)]
pub struct Churn {
    /// Calls at once.
    pub rooms: usize,
    /// From the first call to the last one's begin.
    pub lasting: Duration,
    /// A call's length, at least and at most.
    pub call: [Duration; 2],
}

/// What a churn came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Calls that the worker accepted.
    pub accepted: usize,
    /// Requests that it refused.
    pub refused: usize,
    /// Phones that failed by themselves, in their words.
    pub failed: Vec<String>,
    /// Calls that the worker held, looked at once a second.
    pub held: Vec<u64>,
    /// From request to the worker's track at the phone.
    pub media_up_ms: Vec<f64>,
    /// Seconds since the start, and the worker's resident memory then.
    pub rss_mib: Vec<(f64, f64)>,
    /// Before the first call.
    pub before: Held,
    /// After the last one.
    pub after: Held,
    /// Results by `disconnected_by`.
    pub results: BTreeMap<String, usize>,
    /// Results that name a recording, and recordings in the store.
    pub recordings: [usize; 2],
}

/// What a worker holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Slots taken.
    pub calls: u64,
    /// Port pairs.
    pub ports: u64,
    /// Receive buffers.
    pub buffers: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
}

/// The `bots.toml` that calls of a churn need: their phones are silent for most of the time.
pub const BOTS: &str = "[bots.echo]\nagent = { kind = \"echo\" }\nno_audio_seconds = 120\n";

impl Churn {
    /// Churns. Ends when every phone has hung up and the worker has given everything back, or has
    /// had half a minute to.
    ///
    /// # Panics
    /// When phones do not end.
    pub fn run(&self, server: &Server, worker: &Worker) -> Report {
        let mut phones = Phones::start(server, self.rooms.div_ceil(PHONES_PER_PROCESS));
        let mut report = Report { before: Held::by(worker), ..Report::default() };
        let began = Instant::now();
        let mut calls: HashMap<String, Instant> = HashMap::new();
        let mut ending = HashSet::new();
        let (mut count, mut looked) = (0, began);
        let limit = began + self.lasting + self.call[1] + END_MAX;
        while began.elapsed() < self.lasting || !calls.is_empty() {
            assert!(Instant::now() < limit, "phones do not end: {calls:?} {:?}", report.failed);
            let is_time = began + count as u32 * BETWEEN_STARTS <= Instant::now();
            if calls.len() < self.rooms && began.elapsed() < self.lasting && is_time {
                let name = format!("churn-{count}");
                phones.call(&order(worker, &name, count));
                calls.insert(name, Instant::now() + self.length(count));
                count += 1;
            }
            for event in report.take(phones.take_events()) {
                calls.remove(&event);
                if !ending.remove(&event) {
                    phones.end(&event);
                }
            }
            let due = calls.iter().filter(|(_, ends)| **ends <= Instant::now());
            let due: Vec<_> = due.map(|(name, _)| name.clone()).collect();
            for name in due {
                if ending.insert(name.clone()) {
                    phones.end(&name);
                }
            }
            if looked.elapsed() > Duration::from_secs(1) {
                looked = Instant::now();
                report.look(worker, began);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        report.take(phones.finish());
        report.settle(worker);
        report
    }

    /// Spread evenly over the range, in no order.
    fn length(&self, count: usize) -> Duration {
        let [least, most] = self.call;
        least + (most - least).mul_f64((count * 37 % 100) as f64 / 100.0)
    }
}

impl Report {
    /// Mebibytes a minute that the worker grew by in the second half, by least squares.
    pub fn growth_mib_per_minute(&self) -> f64 {
        let half = &self.rss_mib[self.rss_mib.len() / 2..];
        let count = half.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (at, rss) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let covariance: f64 = half.iter().map(|sample| (sample.0 - at) * (sample.1 - rss)).sum();
        let variance: f64 = half.iter().map(|sample| (sample.0 - at).powi(2)).sum();
        60.0 * covariance / variance
    }

    /// Everything that has to be true of a worker that leaks nothing.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_nothing_leaked(&self) {
        let Held { calls, ports, buffers, descriptors, threads } = self.after;
        assert_eq!((calls, ports), (0, 0), "{self:?}");
        assert_eq!(buffers, self.before.buffers, "{self:?}");
        assert!(descriptors <= self.before.descriptors + SPARE_DESCRIPTORS, "{self:?}");
        assert!(threads <= self.before.threads + SPARE_THREADS, "{self:?}");
        assert_eq!(self.results.values().sum::<usize>(), self.accepted, "{self:?}");
        assert_eq!(self.recordings[0], self.recordings[1], "{self:?}");
        assert_eq!(self.refused, 0, "{self:?}");
    }

    /// Notes what phones said; the names of those that ended.
    fn take(&mut self, events: Vec<Value>) -> Vec<String> {
        let mut ended = vec![];
        for event in events {
            let name = event["call"].as_str().unwrap_or_default().to_owned();
            match event["event"].as_str() {
                Some("accepted") if event["status"] == 200 => self.accepted += 1,
                Some("accepted") => self.refused += 1,
                Some("failed") => self.failed.push(event["why"].to_string()),
                Some("subscribed") => self.media_up_ms.extend(event["after_ms"].as_f64()),
                Some("ended") => ended.push(name),
                _ => {}
            }
        }
        ended
    }

    fn look(&mut self, worker: &Worker, began: Instant) {
        self.held.push(worker.calls());
        let status = fs::read_to_string(format!("/proc/{}/status", worker.process.0.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        self.rss_mib.push((began.elapsed().as_secs_f64(), kib.unwrap_or(0.0) / 1024.0));
    }

    /// Waits until everything is back, and counts what was left on disk.
    fn settle(&mut self, worker: &Worker) {
        let limit = Instant::now() + BACK_MAX;
        let threads = self.before.threads + SPARE_THREADS;
        loop {
            self.after = Held::by(worker);
            let pending = ["vox_outbox_pending", "vox_upload_pending"]
                .map(|series| worker.metric(series).unwrap_or(0.0));
            let is_back = self.after.calls == 0
                && self.after.ports == 0
                && self.after.threads <= threads
                && pending == [0.0, 0.0];
            if is_back || Instant::now() > limit {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let results = worker.results(0, Duration::ZERO);
        for result in &results {
            let by = result["disconnected_by"].as_str().unwrap_or("none");
            *self.results.entry(by.to_owned()).or_default() += 1;
        }
        let named = results.iter().filter(|result| result["recording_key"].is_string()).count();
        let kept = files(&worker.directory().join("recordings"), "wav").len();
        self.recordings = [named, kept];
    }
}

impl Held {
    /// By `/metrics` and `/proc`.
    ///
    /// # Panics
    /// When the worker does not answer in 10 s.
    pub fn by(worker: &Worker) -> Self {
        let metric =
            |series| wait_for(series, Duration::from_secs(10), || worker.metric(series)) as u64;
        let entries = |name: &str| {
            let path = format!("/proc/{}/{name}", worker.process.0.id());
            fs::read_dir(path).map_or(0, Iterator::count)
        };
        Self {
            calls: metric("vox_calls_live"),
            ports: metric("vox_ports_used"),
            buffers: metric("vox_receive_buffers_held"),
            descriptors: entries("fd"),
            threads: entries("task"),
        }
    }
}

fn order(worker: &Worker, name: &str, count: usize) -> Value {
    json!({
        "call": name, "room": name, "say": "burst", "vanish": count % 2 == 1,
        "request": {
            "url": format!("http://{}/livekit/dispatch", worker.http),
            "secret": "between-services", "bot": "echo",
        },
    })
}

/// They hear nothing but the first second.
const PHONES_PER_PROCESS: usize = 10;
/// Joins are what costs SDK and server most.
const BETWEEN_STARTS: Duration = Duration::from_millis(200);
/// A phone's join on a busy machine, and its leaving.
const END_MAX: Duration = Duration::from_secs(120);
/// To give everything back in: threads that may block live on for ten seconds.
const BACK_MAX: Duration = Duration::from_secs(30);
/// The connection that asks, and one to the disk.
const SPARE_DESCRIPTORS: usize = 2;
/// Threads for work that may block come and go.
const SPARE_THREADS: usize = 4;
