//! Writes a WAV as its audio comes.

use std::io::{self, Seek, SeekFrom, Write};

use super::FORMAT_PCM;

/// Writes a PCM16 WAV whose header is rewritten as it grows, so that a crash costs at most the
/// last second.
///
/// Audio is appended before the header speaks of it: at every moment the output is a whole WAV
/// that lacks one second at most. Each write to the output is one second at most, in one call.
/// After an error the output is still valid up to the last success, and writing may be tried
/// again.
#[derive(Debug)]
pub struct WavWriter<W: Write + Seek> {
    out: W,
    rate_hz: u32,
    channels: u16,
    /// Audio appended, in bytes: whole sample frames.
    data_bytes: u64,
    /// What the header says.
    header_bytes: u64,
    /// Whether the output stands at the end of the audio: not after a failed write.
    at_end: bool,
    /// Little-endian audio of one write; one second at most.
    scratch: Vec<u8>,
}

impl<W: Write + Seek> WavWriter<W> {
    /// Writes the header at the start of `out` and starts. At least one channel and 1 Hz.
    pub fn new(out: W, rate_hz: u32, channels: u16) -> io::Result<Self> {
        if rate_hz == 0 || channels == 0 || channels > u16::MAX / 2 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "WAV: expected a rate and 1 to 32767 channels, found {rate_hz} Hz, {channels}"
                ),
            ));
        }
        let mut writer = Self {
            out,
            rate_hz,
            channels,
            data_bytes: 0,
            header_bytes: 0,
            at_end: false,
            scratch: Vec::new(),
        };
        writer.write_header()?;
        Ok(writer)
    }

    /// Appends interleaved samples, whole sample frames.
    ///
    /// A WAV ends at 4 GiB (18 hours of 16 kHz stereo): what is beyond is refused as
    /// [`io::ErrorKind::FileTooLarge`], and all before it is kept.
    pub fn write(&mut self, interleaved: &[i16]) -> io::Result<()> {
        let channels = usize::from(self.channels);
        if !interleaved.len().is_multiple_of(channels) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("WAV: expected whole frames of {channels}, found {}", interleaved.len()),
            ));
        }
        let mut rest = interleaved;
        while !rest.is_empty() {
            let frames = self.room(rest.len() / channels)?;
            let (piece, later) = rest.split_at(frames * channels);
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.resize(2 * piece.len(), 0);
            for (bytes, sample) in scratch.as_chunks_mut().0.iter_mut().zip(piece) {
                *bytes = sample.to_le_bytes();
            }
            let appended = self.append(&scratch);
            self.scratch = scratch;
            appended?;
            rest = later;
        }
        Ok(())
    }

    /// Appends `frames` sample frames of silence.
    pub fn write_silence(&mut self, frames: u64) -> io::Result<()> {
        let frame_bytes = self.frame_bytes() as usize;
        let mut rest = frames;
        while rest > 0 {
            let wanted = rest.min((SILENCE.len() / frame_bytes) as u64);
            let piece = self.room(wanted as usize)?;
            self.append(&SILENCE[..piece * frame_bytes])?;
            rest -= piece as u64;
        }
        Ok(())
    }

    /// Sample frames written so far.
    pub fn frames(&self) -> u64 {
        self.data_bytes / self.frame_bytes()
    }

    /// Writes the final header, flushes and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_header()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn frame_bytes(&self) -> u64 {
        2 * u64::from(self.channels)
    }

    /// Sample frames of `wanted` that the next write may append: up to the second that the header
    /// may lag, and up to the end of the format.
    fn room(&self, wanted: usize) -> io::Result<usize> {
        let left = (DATA_BYTES_MAX - self.data_bytes) / self.frame_bytes();
        if left == 0 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "WAV: expected at most 4 GiB, which its size fields can count",
            ));
        }
        let lag = (self.data_bytes - self.header_bytes) / self.frame_bytes();
        let until_header = u64::from(self.rate_hz).saturating_sub(lag).max(1);
        Ok(wanted.min(until_header.min(left) as usize))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.at_end {
            self.out.seek(SeekFrom::Start(HEADER_BYTES + self.data_bytes))?;
        }
        self.at_end = false;
        self.out.write_all(bytes)?;
        self.at_end = true;
        self.data_bytes += bytes.len() as u64;
        let second = u64::from(self.rate_hz) * self.frame_bytes();
        if self.data_bytes - self.header_bytes >= second {
            self.write_header()?;
        }
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        self.at_end = false;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header(self.rate_hz, self.channels, self.data_bytes as u32))?;
        self.header_bytes = self.data_bytes;
        Ok(())
    }
}

fn header(rate_hz: u32, channels: u16, data_bytes: u32) -> [u8; HEADER_BYTES as usize] {
    let frame_bytes = 2 * channels;
    let mut header = *b"RIFF____WAVEfmt \x10\0\0\0ttccrrrrbbbbffssdata____";
    let riff_bytes = HEADER_BYTES as u32 - 8 + data_bytes;
    header[4..8].copy_from_slice(&riff_bytes.to_le_bytes());
    header[20..22].copy_from_slice(&FORMAT_PCM.to_le_bytes());
    header[22..24].copy_from_slice(&channels.to_le_bytes());
    header[24..28].copy_from_slice(&rate_hz.to_le_bytes());
    let bytes_per_second = rate_hz.saturating_mul(u32::from(frame_bytes));
    header[28..32].copy_from_slice(&bytes_per_second.to_le_bytes());
    header[32..34].copy_from_slice(&frame_bytes.to_le_bytes());
    header[34..36].copy_from_slice(&16u16.to_le_bytes());
    header[40..44].copy_from_slice(&data_bytes.to_le_bytes());
    header
}

const HEADER_BYTES: u64 = 44;
/// Audio that fits: the RIFF size field counts it and the rest of the header.
const DATA_BYTES_MAX: u64 = u32::MAX as u64 - (HEADER_BYTES - 8);
/// Silence is written from here, so that an hour of it takes no memory. Holds a frame of any
/// number of channels.
static SILENCE: [u8; 65_536] = [0; 65_536];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_refuses_more_and_stays_valid() {
        let mut writer = WavWriter::new(io::Cursor::new(Vec::new()), 8_000, 2).unwrap();
        let frames_max = DATA_BYTES_MAX / 4;
        // As if 4 GiB less two frames had been written: the cursor need not hold them.
        writer.data_bytes = (frames_max - 2) * 4;
        writer.header_bytes = writer.data_bytes;
        assert_eq!(writer.room(100).unwrap(), 2);
        writer.data_bytes += 8;
        let error = writer.room(1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(u32::try_from(writer.data_bytes + HEADER_BYTES - 8).is_ok());
        assert_eq!(writer.frames(), frames_max);
    }
}
