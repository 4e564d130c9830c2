//! The search for the highest load that holds a pass line.

use serde::{Deserialize, Serialize};

use super::{Broken, PassLine, Provenance, RunReport};
use crate::scenario::Scenario;

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityReport {
    /// Command, day and host.
    pub provenance: Provenance,
    /// The scenario's name.
    pub scenario: String,
    /// Who was called.
    pub target: String,
    /// The target's own name and version.
    pub target_agent: String,
    /// What had to hold.
    pub pass_line: PassLine,
    /// The most calls at once that held it.
    pub calls: u64,
    /// Calls placed a second meanwhile.
    pub calls_per_second: f64,
    /// The fewest calls at once that did not hold it; `None` when nothing broke it.
    pub broken_at: Option<u64>,
    /// What broke first, there.
    pub broken: Vec<Broken>,
    /// Why the search stopped before it found the line, if it did.
    pub unfinished: Option<String>,
    /// Cost of a call at the answer, when the target could be watched.
    pub cost: Option<CostPerCall>,
    /// Hosts for more calls than this one holds.
    pub hosts: Vec<HostsNeeded>,
    /// All loads that were tried, in their order.
    pub points: Vec<Point>,
}

/// A load that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Calls at once that were asked for.
    pub calls: u64,
    /// What came of them.
    pub run: RunReport,
}

/// What a call costs the target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CostPerCall {
    /// CPU, percent of a core.
    pub cpu_percent: f64,
    /// Resident memory, bytes, without what the idle target has.
    pub rss_bytes: f64,
    /// Descriptors.
    pub descriptors: f64,
}

/// How many hosts like this one hold so many calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostsNeeded {
    /// Calls at once.
    pub calls: u64,
    /// Hosts, none of them above 80 % of what was measured.
    pub hosts: u64,
}

impl CapacityReport {
    /// Whether calls a second were raised, and not calls at once: then every count of calls here is
    /// one a second. The scenario that was tried tells it.
    pub fn is_of_rate(&self) -> bool {
        let tried = self.points.first().map(|point| Scenario::parse(&point.run.scenario_toml, &[]));
        let callers = tried.and_then(Result::ok).and_then(|scenario| scenario.callers);
        callers.is_some_and(|callers| callers.arrival.at_once().is_none())
    }

    /// What was raised.
    pub fn unit(&self) -> &'static str {
        if self.is_of_rate() { "calls a second" } else { "calls at once" }
    }
}
