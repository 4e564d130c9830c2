//! (owner: core)
use std::sync::Arc;

/// Audio to be played, at the call's own rate (mono).
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Samples.
    pub samples: Arc<[i16]>,
    /// Their rate: must be the codec's [`rate_hz`](vox_codecs::CodecKind::rate_hz).
    pub rate_hz: u32,
}

/// What answers the caller.
#[derive(Debug)]
pub struct Agent {}

impl Agent {
    /// Says nothing.
    pub fn silent() -> Self {
        unimplemented!()
    }
    /// Gives back what the caller said.
    pub fn echo() -> Self {
        unimplemented!()
    }
    /// A steady sine.
    pub fn tone(rate_hz: u32, frequency_hz: f32) -> Self {
        unimplemented!("{rate_hz}{frequency_hz}")
    }
    /// A recording, once or for ever.
    pub fn play(prompt: Prompt, repeat: bool) -> Self {
        unimplemented!("{prompt:?}{repeat}")
    }
}
