//! Telephony codecs and audio primitives.
//!
//! Everything here is pure: samples and bytes in, samples and bytes out; no I/O of its own, no
//! clock, no thread, and nothing allocates after construction. Audio is mono PCM16.
//!
//! Start with [`codec`]: the [`Encoder`] and [`Decoder`] that a call's media leg holds.
//!
//! - [`codec`]: one face over G.711, G.722, Opus and L16; [`g711`], [`g722`], [`opus`] are the codecs.
//! - [`dsp`]: resampling, time stretching, concealment, comfort noise, level.
//! - [`tones`]: DTMF and call-progress tones, and the DTMF detector.
//! - [`wav`]: WAV reading and crash-safe streaming writing.
//!
//! What this crate does not do: RTP framing, jitter buffering, files, voice activity decisions.

pub mod codec;
pub mod dsp;
pub mod g711;
pub mod g722;
mod l16;
pub mod opus;
pub mod tones;
pub mod wav;

pub use codec::{CodecKind, Decoder, Encoder};
