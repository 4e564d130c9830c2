//! One worker with a number of calls, from start to end.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use vox_benches::process_tree::{CpuTime, Memory};
use vox_tests::livekit::Server;
use vox_tests::phones::Phones;

use crate::side::Side;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Percent of a core, of the worker with all of its processes.
    pub(crate) cpu: f64,
    /// The same before the first call.
    pub(crate) idle_cpu: f64,
    /// Before the first call.
    pub(crate) idle: Memory,
    /// With all calls talking.
    pub(crate) busy: Memory,
    /// From the request to the worker's track at the phone, a call each.
    pub(crate) media_up_ms: Vec<f64>,
    /// Phone → room → echo → phone, of each chirp that was found again.
    pub(crate) round_trips_ms: Vec<f64>,
    /// Of the chirps said.
    pub(crate) found: f64,
    /// Percent of a core, of LiveKit's server.
    pub(crate) server_cpu: f64,
    /// Percent of a core, of the phones.
    pub(crate) phones_cpu: f64,
}

impl Measured {
    /// Memory for a call beyond what the worker holds without one.
    pub(crate) fn pss_per_call(&self, calls: usize) -> f64 {
        (self.busy.pss_mib - self.idle.pss_mib) / calls as f64
    }

    /// The same in resident pages.
    pub(crate) fn rss_per_call(&self, calls: usize) -> f64 {
        (self.busy.rss_mib - self.idle.rss_mib) / calls as f64
    }
}

/// Starts a worker of `side`, holds `calls` calls with it, and measures for `seconds`.
pub(crate) fn measure(server: &Server, side: Side, calls: usize, seconds: u64) -> Result<Measured> {
    let worker = side.start(server, calls)?;
    let mut phones = Phones::start(server, calls.div_ceil(PHONES_PER_PROCESS));
    thread::sleep(SETTLE);
    let root = worker.process_id();
    let idle_time = CpuTime::start(root);
    thread::sleep(SETTLE);
    let (idle_cpu, idle) = (idle_time.percent(), Memory::of(root));
    let names: Vec<String> = (0..calls).map(|call| format!("{}-{call}", side.name())).collect();
    let mut media_up_ms = vec![];
    for (call, name) in names.iter().enumerate() {
        // Only some are listened to: hearing is what costs a phone most.
        phones.call(&json!({
            "call": name, "room": name, "say": "probes", "listen": call < LISTENERS_MAX,
            "request": worker.request(),
        }));
        let up = phones.wait_for(name, "subscribed", ANSWER_MAX);
        media_up_ms.extend(up["after_ms"].as_f64());
        phones.wait_for(name, "active", ANSWER_MAX);
    }
    thread::sleep(SETTLE);
    let of_phones: Vec<_> = phones.process_ids().into_iter().map(CpuTime::start).collect();
    let (of_worker, of_server) = (CpuTime::start(root), CpuTime::start(server.process.0.id()));
    thread::sleep(Duration::from_secs(seconds));
    let (cpu, server_cpu) = (of_worker.percent(), of_server.percent());
    let phones_cpu = of_phones.iter().map(CpuTime::percent).sum();
    let busy = Memory::of(root);
    let early = |event: &serde_json::Value| event["event"] == "left" || event["event"] == "ended";
    let early = phones.events().into_iter().find(early);
    ensure!(early.is_none(), "a call ended too early: {early:?}");
    let said = phones.finish();
    let ended: Vec<_> = said.iter().filter(|event| event["event"] == "ended").collect();
    ensure!(ended.len() == calls, "{} of {calls} phones ended", ended.len());
    let heard = ended.iter().filter_map(|event| event["round_trips_ms"].as_array()).flatten();
    let round_trips_ms: Vec<f64> = heard.filter_map(|trip| trip.as_f64()).collect();
    let listened = ended.iter().filter(|event| event["round_trips_ms"] != json!([]));
    let chirps: u64 = listened.filter_map(|event| event["sent"].as_u64()).sum();
    ensure!(!round_trips_ms.is_empty(), "no chirp came back");
    let found = round_trips_ms.len() as f64 / chirps as f64;
    Ok(Measured {
        cpu,
        idle_cpu,
        idle,
        busy,
        media_up_ms,
        round_trips_ms,
        found,
        server_cpu,
        phones_cpu,
    })
}

/// At this share of all values, of sorted ones.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (share * (values.len() - 1) as f64).round() as usize;
    values[at]
}

/// An SDK gives each event of a process to each of its phones.
const PHONES_PER_PROCESS: usize = 4;
/// Phones that hear what comes back.
const LISTENERS_MAX: usize = 8;
/// Until a worker has started up, and until its calls flow.
const SETTLE: Duration = Duration::from_secs(4);
/// A phone's join, and the worker's.
const ANSWER_MAX: Duration = Duration::from_secs(30);
