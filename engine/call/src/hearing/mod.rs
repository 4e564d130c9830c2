//! What is heard in the caller's audio: speech, and whether a person or a machine answered. Pure;
//! nothing allocates after construction.

mod amd;
mod vad;

pub use amd::{Amd, AmdNews, AmdOptions, AmdReason, AmdVerdict, Answered};
pub use vad::{Vad, VadOptions};
