//! A run: calls placed as a scenario says, followed to their ends, counted.
//!
//! [`run`] takes a [`RunPlan`] and gives a [`RunReport`]. It is what `voxload run` does, and what a
//! search for capacity does again and again with other numbers of calls.
//!
//! ```text
//!  start ── run-up ── settle ──┬──────── measured ────────┬── ending ── report
//!                              └ packets count from here  └ to here; then all calls are ended
//! ```
//!
//! - `pace` places calls, `caller` and `callee` live them, `ledger` counts what becomes of them.
//! - `course` looks at everything once a second; `honesty` decides whether the generator itself was
//!   the limit; `assemble` makes the report.

mod assemble;
mod callee;
mod caller;
mod course;
mod honesty;
mod judge;
mod ledger;
mod own;
mod pace;
mod stage;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::generator::StartError;
use crate::results::{PassLine, Provenance, RunReport, Second};
use crate::scenario::Scenario;
use crate::sip::{Listener, SipError, resolve};
use crate::target::{Metrics, MetricsError, Watch, owner_of};
pub use honesty::LIMITS;
use stage::Stage;

/// What shall be run, and how.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// Who calls whom, when, for how long.
    pub scenario: Scenario,
    /// What must hold, if anything.
    pub pass_line: Option<PassLine>,
    /// Cores that media threads are pinned to, one each; none: one thread that is not pinned.
    pub cores: Vec<usize>,
    /// Our own address; the one that packets to the target leave by when there is none.
    pub bind: Option<IpAddr>,
    /// The target's process on this machine; the one that listens at its address when there is none.
    pub target_pid: Option<u32>,
    /// The target's counters.
    pub metrics: Option<Metrics>,
    /// Ends the run early, with what was measured until then.
    pub stop: CancellationToken,
}

impl RunPlan {
    /// A run of `scenario`, with everything else as usual.
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            pass_line: None,
            cores: Vec::new(),
            bind: None,
            target_pid: None,
            metrics: None,
            stop: CancellationToken::new(),
        }
    }
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// SIP cannot be spoken, or the target's address cannot be called.
    #[error(transparent)]
    Sip(#[from] SipError),
    /// The media threads cannot start.
    #[error(transparent)]
    Media(#[from] StartError),
    /// The target's counters cannot be read.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// What shall be said cannot be.
    #[error("{path}: {1}", path = .0.display())]
    Speech(PathBuf, String),
}

/// Part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The load is not there yet.
    RunUp,
    /// It is there, and not measured yet.
    Settling,
    /// It is measured.
    Measured,
    /// It is over: calls are ended.
    Ending,
}

/// How a run stands, once a second.
#[derive(Debug)]
pub struct Standing<'a> {
    /// Which part it is in.
    pub phase: Phase,
    /// How long that part still takes.
    pub left: Duration,
    /// The last second.
    pub second: &'a Second,
    /// Calls placed so far.
    pub placed: u64,
    /// Calls refused so far.
    pub refused: u64,
    /// Calls failed so far.
    pub failed: u64,
    /// Packets lost of those that were to come, since the measured part began.
    pub lost: u64,
    /// Packets that were to come, since the measured part began.
    pub expected: u64,
}

/// Somebody who watches a run.
pub trait Progress: Send {
    /// A second is over.
    fn second(&mut self, standing: &Standing<'_>);
}

/// Nobody watches.
impl Progress for () {
    fn second(&mut self, _: &Standing<'_>) {}
}

/// Runs `plan`. Needs a tokio runtime of several threads: calls must not wait for each other.
pub async fn run(plan: RunPlan, mut progress: impl Progress) -> Result<RunReport, RunError> {
    let stage = Stage::set(&plan).await?;
    let provenance = Provenance::here(stage.local);
    let mut watch = watch(&plan).await?;
    let answering = match &plan.scenario.callees {
        Some(callees) => {
            let listener = Listener::start(callees.listen).await?;
            Some(tokio::spawn(callee::serve(stage.clone(), listener)))
        }
        None => None,
    };
    stage.begin();
    let placing = tokio::spawn(pace::place(stage.clone()));
    let course = course::follow(&stage, &plan.stop, &mut watch, &mut progress).await;
    stage.ending.cancel();
    // Both end by themselves: every wait of a call has a limit once the run is ending.
    for calls in std::iter::once(placing).chain(answering) {
        let _ = calls.await;
    }
    Ok(assemble::report(plan, &stage, provenance, course))
}

/// What can be seen of the target's cost. Counters that cannot be read are an error before the first
/// call, not after the last.
async fn watch(plan: &RunPlan) -> Result<Watch, RunError> {
    if let Some(metrics) = &plan.metrics {
        metrics.counters().await?;
    }
    let first = plan.scenario.target.as_ref().and_then(|target| target.uris.first());
    let listening = || owner_of(resolve(&first?.uri).ok()?);
    let pid = plan.target_pid.or_else(listening);
    Ok(Watch::start(pid, plan.metrics.clone()))
}
