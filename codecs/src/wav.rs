//! WAV reading and crash-safe streaming writing, PCM16.  (owner: codecs-B)
use std::io::{self, Seek, Write};
/// A whole WAV file's audio, interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// Sample rate in Hz.
    pub rate_hz: u32,
    /// Channels.
    pub channels: u16,
    /// Interleaved samples.
    pub samples: Vec<i16>,
}
/// Why a WAV could not be read: says what was expected and what was found.
#[derive(Debug)]
pub struct WavError;
impl Wav {
    /// Parses RIFF/WAVE PCM16 (also 8-bit µ-law/A-law `fmt` 7/6), bounded by the input's own length.
    pub fn parse(bytes: &[u8]) -> Result<Self, WavError> {
        unimplemented!("{bytes:?}")
    }
    /// One channel, de-interleaved.
    pub fn channel(&self, index: usize) -> Vec<i16> {
        unimplemented!("{index}")
    }
}
/// Writes a WAV whose header is rewritten as it grows, so that a crash costs at most the last second.
#[derive(Debug)]
pub struct WavWriter<W: Write + Seek> {
    out: W,
}
impl<W: Write + Seek> WavWriter<W> {
    /// Writes the header and starts.
    pub fn new(out: W, rate_hz: u32, channels: u16) -> io::Result<Self> {
        let _ = (rate_hz, channels, &out);
        unimplemented!()
    }
    /// Appends interleaved samples; rewrites the header at least once per second of audio.
    pub fn write(&mut self, interleaved: &[i16]) -> io::Result<()> {
        let _ = (&self.out, interleaved);
        unimplemented!()
    }
    /// Appends `frames` sample frames of silence.
    pub fn write_silence(&mut self, frames: u64) -> io::Result<()> {
        unimplemented!("{frames}")
    }
    /// Sample frames written so far.
    pub fn frames(&self) -> u64 {
        unimplemented!()
    }
    /// Final header; gives the output back.
    pub fn finish(self) -> io::Result<W> {
        unimplemented!()
    }
}
