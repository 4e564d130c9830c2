//! What the benches have in common: speech-like audio, packet memory, and a clock that is nobody else's.
//!
//! `benches/` times the parts of the engine one by one (`cargo bench -p vox-benches`), `src/bin`
//! holds comparisons that print more than a time, and `alternatives/`, a workspace of its own, the
//! crates that were not taken.

mod memory;
pub mod process;
pub mod process_tree;
mod speech;
mod spread;
mod thread_time;

pub use memory::Memory;
pub use speech::{packets, speech};
pub use spread::spread;
pub use thread_time::{ThreadTime, quick};
