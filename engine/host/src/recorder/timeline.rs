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

    /// Appends a frame. One that is older than what is there already, or of no rate that a call
    /// can have, is left out.
    pub(super) fn push(&mut self, frame: TapFrame<'_>) -> io::Result<()> {
        let Some(missing) = frame.index.checked_sub(self.next) else { return Ok(()) };
        if !matches!(frame.rate_hz, 8_000 | 16_000) {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;
    use std::io::Cursor;

    use vox_codecs::wav::Wav;

    use super::*;

    /// A tone on each side, as a function of the recording's time.
    fn caller(seconds: f64) -> f64 {
        8_000.0 * (TAU * 200.0 * seconds).sin()
    }
    fn agent(seconds: f64) -> f64 {
        6_000.0 * (TAU * 350.0 * seconds).cos()
    }

    fn frame_at(index: u32, rate_hz: u32) -> Vec<i16> {
        let samples = rate_hz / FRAMES_PER_SECOND;
        let at = |i| f64::from(index * samples + i) / f64::from(rate_hz);
        (0..samples).flat_map(|i| [caller(at(i)) as i16, agent(at(i)) as i16]).collect()
    }

    /// What the file holds after frames `from..to` came at `rate_hz`, for each of `stretches`.
    fn record(file_hz: u32, channels: u16, stretches: &[(u32, u32, u32)]) -> Wav {
        let mut timeline = Timeline::new(Cursor::new(vec![]), file_hz, channels).unwrap();
        for &(from, to, rate_hz) in stretches {
            for index in from..to {
                let interleaved = &frame_at(index, rate_hz);
                timeline.push(TapFrame { index, rate_hz, interleaved }).unwrap();
                if index % 10 == 0 {
                    timeline.flush().unwrap();
                }
            }
        }
        let (out, frames) = timeline.finish().unwrap();
        let wav = Wav::parse(out.get_ref()).unwrap();
        assert_eq!(wav.frames() as u64, frames);
        wav
    }

    /// Every sample away from the edges of a stretch is the tone's value at its own time; what no
    /// stretch covers is silence.
    fn check(file_hz: u32, channels: u16, stretches: &[(u32, u32, u32)]) {
        let wav = record(file_hz, channels, stretches);
        let samples = file_hz / FRAMES_PER_SECOND;
        let last = stretches.iter().map(|stretch| stretch.1).max().unwrap_or(0);
        assert_eq!(wav.frames() as u32, last * samples, "{stretches:?} at {file_hz}");
        let edge = file_hz / 200;
        for i in 0..last * samples {
            let within = |margin: u32| {
                stretches
                    .iter()
                    .any(|&(from, to, _)| i >= from * samples + margin && i + margin < to * samples)
            };
            let at = f64::from(i) / f64::from(file_hz);
            let expected = match (within(edge), within(0)) {
                (true, _) if channels == 2 => [caller(at), agent(at)],
                (true, _) => [caller(at) + agent(at); 2],
                (false, true) => continue,
                (false, false) => [0.0; 2],
            };
            let at = i as usize * usize::from(channels);
            for (found, expected) in wav.samples[at..].iter().zip(&expected[..channels.into()]) {
                assert!(
                    (f64::from(*found) - expected).abs() < 400.0,
                    "sample {i}: {found}, expected {expected}; {stretches:?} at {file_hz}"
                );
            }
        }
    }

    #[test]
    fn every_frame_stands_at_its_own_time_on_both_channels() {
        for file_hz in [8_000, 16_000] {
            for channels in [1, 2] {
                check(file_hz, channels, &[]);
                check(file_hz, channels, &[(0, 50, 8_000)]);
                check(file_hz, channels, &[(0, 50, 16_000)]);
                // It begins late, as when the caller is put on hold at once.
                check(file_hz, channels, &[(7, 20, 16_000)]);
                // Frames were lost: silence, and what follows is where it belongs.
                check(file_hz, channels, &[(0, 10, 8_000), (11, 20, 8_000), (170, 200, 8_000)]);
                check(file_hz, channels, &[(0, 10, 16_000), (11, 20, 16_000), (170, 200, 16_000)]);
                // The codec changes in mid-call.
                check(file_hz, channels, &[(0, 30, 8_000), (30, 60, 16_000), (60, 90, 8_000)]);
                check(file_hz, channels, &[(0, 30, 16_000), (40, 60, 8_000)]);
            }
        }
    }

    #[test]
    fn both_sides_at_their_loudest_do_not_wrap_when_mixed() {
        let mut mixed = vec![];
        append(&mut mixed, &[30_000, 30_000, -30_000, -30_000, 5, -7], 1);
        assert_eq!(mixed, [i16::MAX, i16::MIN, -2]);
    }

    #[test]
    fn a_frame_from_the_past_or_of_an_unknown_rate_is_left_out() {
        let mut timeline = Timeline::new(Cursor::new(vec![]), 8_000, 2).unwrap();
        for (index, rate_hz) in [(3, 8_000), (3, 8_000), (1, 8_000), (4, 11_025)] {
            let interleaved = &vec![1; rate_hz as usize / 25];
            timeline.push(TapFrame { index, rate_hz, interleaved }).unwrap();
        }
        assert_eq!(timeline.finish().unwrap().1, 4 * 160);
    }
}
