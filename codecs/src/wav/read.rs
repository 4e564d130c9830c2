//! Reads a whole WAV from memory.

use std::fmt;

use super::{FORMAT_ALAW, FORMAT_EXTENSIBLE, FORMAT_PCM, FORMAT_ULAW};
use crate::g711::Law;

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

impl Wav {
    /// Parses RIFF/WAVE with 16-bit PCM, or 8-bit µ-law or A-law, which are expanded.
    ///
    /// A file that was cut short gives the whole sample frames that are there; so does a data
    /// chunk that claims more than there is, as programs write that cannot seek. Memory is bounded
    /// by the input: twice its length at most.
    pub fn parse(bytes: &[u8]) -> Result<Self, WavError> {
        let body = riff_body(bytes)?;
        let (format, data) = find_chunks(body)?;
        let format = Format::parse(format)?;
        let whole = data.len() - data.len() % format.frame_bytes();
        let samples = format.decode(&data[..whole]);
        Ok(Self { rate_hz: format.rate_hz, channels: format.channels, samples })
    }

    /// One channel, de-interleaved; empty when there is no such channel.
    pub fn channel(&self, index: usize) -> Vec<i16> {
        if index >= usize::from(self.channels) {
            return Vec::new();
        }
        self.samples.iter().skip(index).step_by(usize::from(self.channels)).copied().collect()
    }

    /// Sample frames (one sample of each channel).
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }
}

/// Why a WAV could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WavError {
    /// The file does not begin as a RIFF file does.
    NotRiff {
        /// The file's first bytes.
        found: Vec<u8>,
    },
    /// A RIFF file, but not of audio.
    NotWave {
        /// The form type found.
        found: [u8; 4],
    },
    /// No chunk of this name.
    Missing {
        /// `fmt ` or `data`.
        chunk: &'static str,
    },
    /// The `fmt ` chunk is too short.
    ShortFormat {
        /// Bytes found.
        found: usize,
        /// Bytes that its format tag needs.
        expected: usize,
    },
    /// A coding that is not read here.
    Coding {
        /// The format tag, from the extension if there is one.
        tag: u16,
        /// Bits per sample.
        bits: u16,
    },
    /// Channels out of 1–8, a rate out of 1–192,000 Hz, or a frame size that contradicts them.
    Layout {
        /// Channels found.
        channels: u16,
        /// Rate found.
        rate_hz: u32,
        /// Bytes per sample frame found.
        frame_bytes: u16,
    },
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRiff { found } => {
                write!(f, "not a WAV: expected \"RIFF\", found \"{}\"", found.escape_ascii())
            }
            Self::NotWave { found } => {
                write!(f, "not a WAV: expected form \"WAVE\", found \"{}\"", found.escape_ascii())
            }
            Self::Missing { chunk } => write!(f, "WAV without a \"{chunk}\" chunk"),
            Self::ShortFormat { found, expected } => {
                write!(f, "WAV \"fmt \" chunk: expected {expected} bytes or more, found {found}")
            }
            Self::Coding { tag, bits } => write!(
                f,
                "WAV coding: expected 16-bit PCM (tag 1) or 8-bit A-law (6) or µ-law (7), found \
                 tag {tag} with {bits} bits"
            ),
            Self::Layout { channels, rate_hz, frame_bytes } => write!(
                f,
                "WAV layout: expected 1 to {CHANNELS_MAX} channels, 1 to {RATE_HZ_MAX} Hz and a \
                 fitting frame size, found {channels} channels, {rate_hz} Hz, {frame_bytes} bytes"
            ),
        }
    }
}

impl std::error::Error for WavError {}

/// The chunks, behind the file's header. The header's own size is not believed: a crash leaves it
/// behind, and the input has a length.
fn riff_body(bytes: &[u8]) -> Result<&[u8], WavError> {
    let not_riff = || WavError::NotRiff { found: bytes[..bytes.len().min(4)].to_vec() };
    let rest = bytes.strip_prefix(b"RIFF").ok_or_else(not_riff)?;
    let (_size, rest) = rest.split_first_chunk::<4>().ok_or_else(not_riff)?;
    let (form, body) = rest.split_first_chunk::<4>().ok_or_else(not_riff)?;
    if form == b"WAVE" { Ok(body) } else { Err(WavError::NotWave { found: *form }) }
}

/// The contents of `fmt ` and `data`, wherever they stand.
fn find_chunks(mut rest: &[u8]) -> Result<(&[u8], &[u8]), WavError> {
    let (mut format, mut data) = (None, None);
    while let Some((id, after_id)) = rest.split_first_chunk::<4>() {
        let Some((size, after_size)) = after_id.split_first_chunk::<4>() else { break };
        let size = u32::from_le_bytes(*size) as usize;
        let content = &after_size[..size.min(after_size.len())];
        match id {
            b"fmt " => format = format.or(Some(content)),
            b"data" => data = data.or(Some(content)),
            _ => {}
        }
        if let (Some(format), Some(data)) = (format, data) {
            return Ok((format, data));
        }
        // Chunks are padded to an even length.
        let next = content.len() + (content.len() & 1);
        rest = after_size.get(next..).unwrap_or_default();
    }
    Err(WavError::Missing { chunk: if format.is_none() { "fmt " } else { "data" } })
}

#[derive(Debug, Clone, Copy)]
enum Coding {
    Pcm16,
    G711(Law),
}

#[derive(Debug, Clone, Copy)]
struct Format {
    coding: Coding,
    channels: u16,
    rate_hz: u32,
}

impl Format {
    fn parse(chunk: &[u8]) -> Result<Self, WavError> {
        let u16_at = |at: usize| u16::from_le_bytes([chunk[at], chunk[at + 1]]);
        let short = |expected| WavError::ShortFormat { found: chunk.len(), expected };
        if chunk.len() < FORMAT_BYTES {
            return Err(short(FORMAT_BYTES));
        }
        let (channels, frame_bytes, bits) = (u16_at(2), u16_at(12), u16_at(14));
        let rate_hz = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        let tag = match u16_at(0) {
            FORMAT_EXTENSIBLE if chunk.len() < EXTENSIBLE_BYTES => {
                return Err(short(EXTENSIBLE_BYTES));
            }
            // The sub-format's GUID is a format tag and a fixed tail.
            FORMAT_EXTENSIBLE if chunk[26..EXTENSIBLE_BYTES] == GUID_TAIL => u16_at(24),
            tag => tag,
        };
        let coding = match (tag, bits) {
            (FORMAT_PCM, 16) => Coding::Pcm16,
            (FORMAT_ALAW, 8) => Coding::G711(Law::A),
            (FORMAT_ULAW, 8) => Coding::G711(Law::Mu),
            _ => return Err(WavError::Coding { tag, bits }),
        };
        let format = Self { coding, channels, rate_hz };
        let fits = (1..=CHANNELS_MAX).contains(&channels)
            && (1..=RATE_HZ_MAX).contains(&rate_hz)
            && format.frame_bytes() == usize::from(frame_bytes);
        if fits { Ok(format) } else { Err(WavError::Layout { channels, rate_hz, frame_bytes }) }
    }

    fn frame_bytes(self) -> usize {
        let sample_bytes = match self.coding {
            Coding::Pcm16 => 2,
            Coding::G711(_) => 1,
        };
        usize::from(self.channels) * sample_bytes
    }

    fn decode(self, data: &[u8]) -> Vec<i16> {
        match self.coding {
            Coding::Pcm16 => data.as_chunks().0.iter().map(|b| i16::from_le_bytes(*b)).collect(),
            Coding::G711(law) => data.iter().map(|code| law.expand(*code)).collect(),
        }
    }
}

/// Bytes of the plainest `fmt ` chunk.
const FORMAT_BYTES: usize = 16;
/// Bytes of an extensible `fmt ` chunk.
const EXTENSIBLE_BYTES: usize = 40;
/// Most channels: a call has two.
const CHANNELS_MAX: u16 = 8;
/// Highest rate.
const RATE_HZ_MAX: u32 = 192_000;
/// The fixed part of an extensible format's GUID.
const GUID_TAIL: [u8; 14] = *b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71";
