//! A call's audio: what is said, what is heard, and the socket between.

use vox_codecs::dsp::resample::Resampler;

mod listener;
mod press;
mod sdp;
mod stream;
mod talker;
mod tally;

pub use listener::{Heard, Listener};
pub(crate) use press::{DIGITS_MAX, Presses};
pub use sdp::{Agreed, Direction, SdpError, answer, offer};
pub use stream::{Stream, StreamEnd};
pub use talker::Talker;
pub use tally::{Counts, Place, Position, Tally};

/// Brings `pcm` to another rate: both of 8,000, 16,000, 24,000 and 48,000 Hz.
pub(crate) fn resample(pcm: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    if from_hz == to_hz {
        return pcm.to_vec();
    }
    let mut resampler = Resampler::new(from_hz, to_hz);
    let mut out = vec![0; pcm.len() * to_hz as usize / from_hz as usize + 1];
    let samples = resampler.process(pcm, &mut out);
    out.truncate(samples);
    out
}
