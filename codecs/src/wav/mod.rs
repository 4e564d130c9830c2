//! WAV reading, and streaming writing that survives a crash.

mod read;
mod write;

pub use read::{Wav, WavError};
pub use write::WavWriter;

/// `fmt` tag of linear PCM.
const FORMAT_PCM: u16 = 1;
/// `fmt` tag of 8-bit A-law.
const FORMAT_ALAW: u16 = 6;
/// `fmt` tag of 8-bit µ-law.
const FORMAT_ULAW: u16 = 7;
/// `fmt` tag that says: the real tag is in the extension.
const FORMAT_EXTENSIBLE: u16 = 0xFFFE;
