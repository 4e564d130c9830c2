//! What the target costs: its process tree by `/proc`, and its own counters by `/metrics`.

mod metrics;
mod owner;
mod tree;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::results::TargetCost;

pub use metrics::{Metrics, MetricsError};
pub use owner::owner_of;
pub(crate) use tree::resident_bytes;
pub use tree::{CpuTimes, Footprint, processes};

/// Watches a target on this machine, as far as it is allowed to be.
#[derive(Debug)]
pub struct Watch {
    pid: Option<u32>,
    metrics: Option<Metrics>,
    idle: Footprint,
    last: (Instant, CpuTimes),
    window: Option<Window>,
}

/// The measured part of a run.
#[derive(Debug)]
struct Window {
    began: Instant,
    cpu: CpuTimes,
    counters: BTreeMap<String, f64>,
    most: Footprint,
}

/// The target during the last second or so.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// CPU, in cores.
    pub cpu_cores: f64,
    /// Memory, descriptors, threads.
    pub footprint: Footprint,
}

impl Watch {
    /// Begins to watch a process and its descendants, and the counters of a `/metrics` page; either
    /// may be missing. To be called before the first call: what the target has now is its idle state.
    pub fn start(pid: Option<u32>, metrics: Option<Metrics>) -> Self {
        Self {
            pid,
            metrics,
            idle: pid.map(Footprint::of).unwrap_or_default(),
            last: (Instant::now(), pid.map(CpuTimes::of).unwrap_or_default()),
            window: None,
        }
    }

    /// Whether there is anything to see.
    pub fn sees_anything(&self) -> bool {
        self.pid.is_some() || self.metrics.is_some()
    }

    /// What it cost since the last sample; `None` without a process.
    pub fn sample(&mut self) -> Option<Sample> {
        let pid = self.pid?;
        let (now, cpu) = (Instant::now(), CpuTimes::of(pid));
        let seconds = now.duration_since(self.last.0).as_secs_f64().max(1e-3);
        let cpu_cores = cpu.since(&self.last.1).total / seconds;
        let footprint = Footprint::of(pid);
        self.last = (now, cpu);
        if let Some(window) = &mut self.window {
            window.most = window.most.or_more(&footprint);
        }
        Some(Sample { cpu_cores, footprint })
    }

    /// The measured part begins.
    pub async fn begin(&mut self) -> Result<(), MetricsError> {
        let counters = self.counters().await?;
        self.window = Some(Window {
            began: Instant::now(),
            cpu: self.pid.map(CpuTimes::of).unwrap_or_default(),
            counters,
            most: self.pid.map(Footprint::of).unwrap_or_default(),
        });
        Ok(())
    }

    /// The measured part ends: what it cost. `None` without [`begin`](Self::begin), or with nothing
    /// to see.
    pub async fn end(&mut self) -> Result<Option<TargetCost>, MetricsError> {
        let Some(window) = self.window.take().filter(|_| self.sees_anything()) else {
            return Ok(None);
        };
        let seconds = window.began.elapsed().as_secs_f64().max(1e-3);
        let cpu = self.pid.map(|pid| CpuTimes::of(pid).since(&window.cpu)).unwrap_or_default();
        let now = self.pid.map(Footprint::of).unwrap_or_default();
        let most = window.most.or_more(&now);
        let grown = self.counters().await?.into_iter().filter_map(|(name, value)| {
            let grown = value - window.counters.get(&name).copied().unwrap_or(0.0);
            (grown != 0.0).then_some((name, grown))
        });
        Ok(Some(TargetCost {
            processes: most.processes,
            cpu_cores: cpu.total / seconds,
            busiest_thread_cores: cpu.busiest / seconds,
            rss_bytes: most.rss_bytes,
            rss_idle_bytes: self.idle.rss_bytes,
            descriptors: most.descriptors,
            descriptors_idle: self.idle.descriptors,
            threads: most.threads,
            metrics: grown.collect(),
        }))
    }

    async fn counters(&self) -> Result<BTreeMap<String, f64>, MetricsError> {
        match &self.metrics {
            Some(metrics) => metrics.counters().await,
            None => Ok(BTreeMap::new()),
        }
    }
}
