//! What is heard in the caller's audio: speech. Pure; nothing allocates after construction.

mod vad;

pub use vad::{Vad, VadOptions};
