//! What the benches have in common, besides the workloads of `vox-gate`: child processes, their cost, a clock that is nobody else's.
//!
//! `benches/` times the parts of the engine one by one (`cargo bench -p vox-benches`), `src/bin`
//! holds comparisons that print more than a time, and `alternatives/`, a workspace of its own, the
//! crates that were not taken.

pub mod callers;
pub mod echo;
pub mod process;
pub mod process_tree;
pub mod sip;
mod spread;
mod thread_time;
pub mod worker;

pub use spread::{median, spread};
pub use thread_time::{ThreadTime, quick};
