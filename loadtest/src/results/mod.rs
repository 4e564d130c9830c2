//! What runs and searches found: plain data, written as JSON, read by reports, comparisons, plans
//! and simulations.
//!
//! Units stand in the names: `_ms`, `_bytes`, `_cores` (1.0 is one core fully used). Shares are
//! 0..=1. Every file begins with its [`Provenance`], so that a figure can be traced to the command,
//! host and day it came from.
//!
//! - [`RunReport`]: one load, held for a time.
//! - [`CapacityReport`]: the search for the highest load that holds a [`PassLine`].
//! - [`Distribution`]: a histogram with its usual quantiles.

mod capacity;
mod distribution;
mod file;
mod measure;
mod pass_line;
mod provenance;
mod run;

pub use capacity::{CapacityReport, CostPerCall, HostsNeeded, Point};
pub use distribution::Distribution;
pub use file::{FileError, ResultsFile};
pub use measure::{Measure, Quantile, Time};
pub use pass_line::{Broken, Limit, PassLine, PassLineError, Sense};
pub use provenance::{Host, Provenance, command_line};
pub use run::{Calls, GeneratorCost, Heard, RunReport, Second, TargetCost, ThreadCost, Verdict};
