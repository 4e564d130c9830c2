//! One load, held for a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Broken, Distribution, PassLine, Provenance};

/// What a run was and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Command, day and host.
    pub provenance: Provenance,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario as it was read, for those who want to run it again.
    pub scenario_toml: String,
    /// Who was called: SIP address, and what it says it is (`User-Agent` or `Server`).
    pub target: String,
    /// The target's own name and version; empty when it does not say.
    pub target_agent: String,
    /// Length of the part that was measured, without run-up and run-down.
    pub measured_seconds: f64,
    /// Whether somebody ended it early.
    pub interrupted: bool,
    /// Whether the pass line held.
    pub verdict: Verdict,
    /// The pass line, when there was one.
    pub pass_line: Option<PassLine>,
    /// What became of the calls.
    pub calls: Calls,
    /// What the callers heard.
    pub heard: Heard,
    /// What the generator itself cost, and whether it kept its own time.
    pub generator: GeneratorCost,
    /// What the target cost, when it could be watched.
    pub watched: Option<TargetCost>,
    /// The course of the run.
    pub seconds: Vec<Second>,
}

/// Whether a pass line held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Verdict {
    /// There was no pass line.
    #[default]
    NotAsked,
    /// It held.
    Pass,
    /// It did not.
    Fail {
        /// Every limit that was broken, worst first.
        broken: Vec<Broken>,
    },
    /// Nothing can be said about the target: the generator was the limit.
    GeneratorWasTheLimit {
        /// How that was noticed.
        why: String,
    },
}

/// What became of the calls: of all of the run, where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// INVITEs sent; by callees, received.
    pub placed: u64,
    /// Of those, answered with 200.
    pub answered: u64,
    /// Of those, refused, by SIP status.
    pub refused: BTreeMap<u16, u64>,
    /// Ended otherwise than the scenario wanted, by reason (`no answer`, `hung up by the target`,
    /// `no audio`, ...).
    pub failed: BTreeMap<String, u64>,
    /// Ended as the scenario wanted.
    pub ended_well: u64,
    /// Most calls at once.
    pub peak: u64,
    /// Calls at once, on average over the measured part.
    pub mean: f64,
    /// Calls placed a second, on average over the measured part.
    pub per_second: f64,
    /// From INVITE to 200, ms.
    pub setup_ms: Distribution,
    /// From BYE to its 200, ms.
    pub hang_up_ms: Distribution,
}

/// What the callers heard. Packets are those of the measured part of all calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Packets that left us.
    pub sent: u64,
    /// Packets that should have come, by their sequence numbers and by time.
    pub expected: u64,
    /// Packets that came, duplicates not counted.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// How late packets came, against their own timestamps and their call's fastest packet, ms.
    pub late_ms: Distribution,
    /// Interarrival jitter of RFC 3550, one value a call, ms.
    pub jitter_ms: Distribution,
    /// Longest time without a packet, one value a call, ms.
    pub gap_ms: Distribution,
    /// From our first packet to the first sound that was heard, one value a call, ms.
    pub first_audio_ms: Distribution,
    /// From a marker in what we said to the same marker in what we heard, ms.
    pub round_trip_ms: Distribution,
    /// E-model score (ITU-T G.107) of what was heard, one value a call, 1.0..=4.5.
    pub mos: Distribution,
    /// Calls in which nothing was heard, or only silence, while something should have been.
    pub one_way: u64,
    /// Calls in which our own words came back.
    pub echoed: u64,
}

/// What the generator cost, and whether it kept its own time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    /// Its media threads.
    pub media: Vec<ThreadCost>,
    /// Everything else in its process, SIP above all, in cores.
    pub rest_cores: f64,
    /// How late its packets left against their grid, ms.
    pub send_late_ms: Distribution,
    /// Packets that its own kernel did not take, or that were not made in time.
    pub send_dropped: u64,
    /// Packets that came while it had no buffer for them.
    pub receive_dropped: u64,
    /// How late calls were placed against their plan, ms.
    #[serde(default)]
    pub place_late_ms: Distribution,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// A media thread's cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadCost {
    /// The core it is pinned to.
    pub core: Option<usize>,
    /// CPU used, in cores.
    pub cpu_cores: f64,
    /// Time it wanted to run and could not (scheduler's run queue), in cores.
    pub waiting_cores: f64,
}

/// What the target cost while it was watched: its whole process tree.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetCost {
    /// Processes.
    pub processes: u64,
    /// CPU, in cores, over the measured part.
    pub cpu_cores: f64,
    /// The same for its busiest thread.
    pub busiest_thread_cores: f64,
    /// Resident memory at most, bytes.
    pub rss_bytes: u64,
    /// Resident memory before the first call, bytes.
    pub rss_idle_bytes: u64,
    /// Open descriptors at most.
    pub descriptors: u64,
    /// Open descriptors before the first call.
    pub descriptors_idle: u64,
    /// Threads at most.
    pub threads: u64,
    /// Its own counters over the measured part, from `/metrics`: what grew, by how much.
    pub metrics: BTreeMap<String, f64>,
}

/// A second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Since the run's start.
    pub at: u64,
    /// Whether it belongs to the measured part.
    pub measured: bool,
    /// Calls at once.
    pub calls: u64,
    /// INVITEs sent in it.
    pub placed: u64,
    /// Calls answered in it.
    pub answered: u64,
    /// Calls refused in it.
    pub refused: u64,
    /// Calls that failed in it.
    pub failed: u64,
    /// Packets heard in it.
    pub received: u64,
    /// Packets lost in it.
    pub lost: u64,
    /// 99.9 % of its packets came no later than this, ms.
    pub late_p999_ms: f64,
    /// Median round trip of the markers heard in it, ms.
    pub round_trip_ms: Option<f64>,
    /// 99.9 % of our packets left no later than this, ms.
    pub send_late_p999_ms: f64,
    /// The generator's CPU, in cores.
    pub generator_cores: f64,
    /// The target's CPU, in cores.
    pub target_cores: Option<f64>,
    /// The target's memory, bytes.
    pub target_rss_bytes: Option<u64>,
    /// The target's descriptors.
    pub target_descriptors: Option<u64>,
}

impl Calls {
    /// Refused, whatever with.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Failed, for whatever reason; a refusal is no failure.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

impl Heard {
    /// Share of packets that never came, 0..=1; everything when none was to come at all.
    pub fn loss(&self) -> f64 {
        match self.expected {
            0 => 1.0,
            expected => self.lost as f64 / expected as f64,
        }
    }
}
