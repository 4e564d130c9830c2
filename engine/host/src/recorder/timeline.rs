use std::io::{self, Seek, Write};

use vox_call::pipeline::TapFrame;
use vox_codecs::dsp::resample::Resampler;
use vox_codecs::wav::WavWriter;

/// Puts tapped frames onto the file's clock: each at the place its index says, at the file's rate
/// and channels, with silence where frames are missing.
#[derive(Debug)]
pub(super) struct Timeline<W: Write + Seek> {
    wav: WavWriter<W>,
    rate_hz: u32,
    channels: u16,
    /// Index of the frame that comes next when none is missing.
    next: u32,
    /// In use while frames come at another rate than the file's.
    converter: Option<Converter>,
    /// Interleaved samples that are not yet written: one write for each drain.
    pending: Vec<i16>,
}

impl<W: Write + Seek> Timeline<W> {
    /// Writes the header to `out`. `rate_hz` is 8,000 or 16,000, `channels` 1 or 2.
    pub(super) fn new(out: W, rate_hz: u32, channels: u16) -> io::Result<Self> {
        let wav = WavWriter::new(out, rate_hz, channels)?;
        Ok(Self { wav, rate_hz, channels, next: 0, converter: None, pending: Vec::new() })
    }

    /// Appends a frame. One that is older than what is there already is left out.
    pub(super) fn push(&mut self, frame: TapFrame<'_>) -> io::Result<()> {
        let Some(missing) = frame.index.checked_sub(self.next) else { return Ok(()) };
        if missing > 0 {
            self.end_stretch();
            self.skip(missing)?;
        }
        self.next = frame.index.saturating_add(1);
        if frame.rate_hz == self.rate_hz {
            self.end_stretch();
            append(&mut self.pending, frame.interleaved, self.channels);
            return Ok(());
        }
        if self.converter.as_ref().is_none_or(|converter| converter.from_hz != frame.rate_hz) {
            self.end_stretch();
            self.converter = Some(Converter::new(frame.rate_hz, self.rate_hz));
        }
        if let Some(converter) = &mut self.converter {
            converter.process(frame.interleaved);
            append(&mut self.pending, &converter.interleaved, self.channels);
        }
        Ok(())
    }

    /// Writes what was pushed since the last time.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.wav.write(&self.pending);
        self.pending.clear();
        written
    }

    /// Final header; gives the output back, with the sample frames in it.
    pub(super) fn finish(mut self) -> io::Result<(W, u64)> {
        self.end_stretch();
        self.flush()?;
        let frames = self.wav.frames();
        Ok((self.wav.finish()?, frames))
    }

    /// Sample frames on disk.
    pub(super) fn frames(&self) -> u64 {
        self.wav.frames()
    }

    /// The stretch of resampled audio is over: its tail leaves the filter, so that what follows
    /// stands at its own place.
    fn end_stretch(&mut self) {
        if let Some(mut converter) = self.converter.take() {
            converter.drain_tail();
            append(&mut self.pending, &converter.interleaved, self.channels);
        }
    }

    fn skip(&mut self, frames: u32) -> io::Result<()> {
        self.flush()?;
        self.wav.write_silence(u64::from(frames) * u64::from(self.rate_hz / FRAMES_PER_SECOND))
    }
}

/// Resamples both channels alike. Its delay is taken out: the first samples of a stretch are the
/// filter's run-in and are left away, and [`drain_tail`](Self::drain_tail) brings the last ones.
#[derive(Debug)]
struct Converter {
    from_hz: u32,
    left: Resampler,
    right: Resampler,
    /// Samples of run-in still to leave away.
    run_in: usize,
    input: Vec<i16>,
    output: [Vec<i16>; 2],
    /// What the last call gave.
    interleaved: Vec<i16>,
}

impl Converter {
    fn new(from_hz: u32, to_hz: u32) -> Self {
        let left = Resampler::new(from_hz, to_hz);
        let right = Resampler::new(from_hz, to_hz);
        let run_in = left.delay_samples();
        let room = (to_hz / FRAMES_PER_SECOND) as usize + 1;
        let output = [vec![0; room], vec![0; room]];
        Self { from_hz, left, right, run_in, input: vec![], output, interleaved: vec![] }
    }

    fn process(&mut self, interleaved: &[i16]) {
        let made = [(0, &mut self.left), (1, &mut self.right)].map(|(channel, resampler)| {
            self.input.clear();
            self.input.extend(interleaved.iter().skip(channel).step_by(2));
            resampler.process(&self.input, &mut self.output[channel])
        });
        let made = made[0].min(made[1]);
        let skipped = made.min(self.run_in);
        self.run_in -= skipped;
        self.interleaved.clear();
        for i in skipped..made {
            self.interleaved.extend([self.output[0][i], self.output[1][i]]);
        }
    }

    /// What is still in the filter, exactly as long as the run-in was.
    fn drain_tail(&mut self) {
        let tail = self.left.delay_samples() - self.run_in;
        let silence = vec![0; self.from_hz as usize / FRAMES_PER_SECOND as usize * 2];
        let mut all = Vec::new();
        while all.len() < tail * 2 {
            self.process(&silence);
            if self.interleaved.is_empty() && self.run_in == 0 {
                break;
            }
            all.extend_from_slice(&self.interleaved);
        }
        all.truncate(tail * 2);
        self.interleaved = all;
    }
}

/// Appends stereo samples as they are, or both sides mixed into one.
fn append(pending: &mut Vec<i16>, stereo: &[i16], channels: u16) {
    if channels == 2 {
        pending.extend_from_slice(stereo);
    } else {
        pending.extend(stereo.chunks_exact(2).map(|pair| pair[0].saturating_add(pair[1])));
    }
}

/// A frame is 20 ms.
const FRAMES_PER_SECOND: u32 = 50;
