//! Generates tones.

use super::progress::{CallProgress, Plan, ToneSet};
use super::sine::Oscillator;
use super::{COLUMNS_HZ, KEYS, ROWS_HZ};
use crate::dsp::{level, to_pcm};

/// Tone generator: a sine, DTMF pairs, dial/ringback/busy/congestion with their cadences.
///
/// Levels are dBov, as [`level_dbov`](level::level_dbov) measures them: the loudest sine has −3.01.
#[derive(Debug, Clone)]
pub struct ToneGenerator {
    first: Oscillator,
    second: Option<Oscillator>,
    cadence: Option<Cadence>,
}

impl ToneGenerator {
    /// A continuous sine, below half of `rate_hz`.
    pub fn sine(rate_hz: u32, frequency_hz: f32, level_dbov: f32) -> Self {
        Self { first: oscillator(rate_hz, frequency_hz, level_dbov), second: None, cadence: None }
    }

    /// A DTMF digit (`0-9 * # A-D`), continuous; `None` for another character.
    pub fn dtmf(rate_hz: u32, digit: char) -> Option<Self> {
        let digit = digit.to_ascii_uppercase();
        let key = KEYS.as_flattened().iter().position(|key| *key == digit)?;
        Some(Self {
            first: oscillator(rate_hz, ROWS_HZ[key / 4], ROW_DBOV),
            second: Some(oscillator(rate_hz, COLUMNS_HZ[key % 4], COLUMN_DBOV)),
            cadence: None,
        })
    }

    /// A call-progress tone, in its rhythm.
    pub fn progress(rate_hz: u32, set: ToneSet, tone: CallProgress) -> Self {
        let Plan { frequencies_hz, level_dbov, cadence_ms } = set.plan(tone);
        let tone = |frequency_hz: &f32| oscillator(rate_hz, *frequency_hz, level_dbov);
        Self {
            first: tone(&frequencies_hz[0]),
            second: frequencies_hz.get(1).map(tone),
            cadence: cadence_ms.map(|(on_ms, off_ms)| Cadence::new(rate_hz, on_ms, off_ms)),
        }
    }

    /// Fills `pcm` with the next samples.
    pub fn fill(&mut self, pcm: &mut [i16]) {
        let Some(mut cadence) = self.cadence else { return self.sound(pcm) };
        let mut rest = pcm;
        while !rest.is_empty() {
            let (on, samples) = cadence.next(rest.len());
            let (piece, later) = rest.split_at_mut(samples);
            if on {
                self.sound(piece);
            } else {
                piece.fill(0);
                // Each tone begins at zero, so that it does not click.
                self.first.restart();
                self.second.iter_mut().for_each(Oscillator::restart);
            }
            rest = later;
        }
        self.cadence = Some(cadence);
    }

    fn sound(&mut self, pcm: &mut [i16]) {
        match &mut self.second {
            None => {
                for sample in pcm {
                    *sample = to_pcm(self.first.next_sample());
                }
            }
            Some(second) => {
                for sample in pcm {
                    *sample = to_pcm(self.first.next_sample() + second.next_sample());
                }
            }
        }
    }
}

/// A rhythm of sound and silence.
#[derive(Debug, Clone, Copy)]
struct Cadence {
    on: usize,
    off: usize,
    /// In 0..`on + off`.
    at: usize,
}

impl Cadence {
    fn new(rate_hz: u32, on_ms: u32, off_ms: u32) -> Self {
        let samples = |ms: u32| (rate_hz / 1_000 * ms) as usize;
        Self { on: samples(on_ms), off: samples(off_ms), at: 0 }
    }

    /// Whether the tone sounds now, and for how many samples, `most` at most.
    fn next(&mut self, most: usize) -> (bool, usize) {
        let on = self.at < self.on;
        let end = if on { self.on } else { self.on + self.off };
        let samples = most.min(end - self.at);
        self.at = (self.at + samples) % (self.on + self.off);
        (on, samples)
    }
}

fn oscillator(rate_hz: u32, frequency_hz: f32, level_dbov: f32) -> Oscillator {
    let amplitude = level::rms_at(level_dbov) * std::f32::consts::SQRT_2;
    Oscillator::new(rate_hz, frequency_hz, amplitude)
}

/// Level of a digit's row: −8 dBm0.
const ROW_DBOV: f32 = -14.0;
/// Level of a digit's column: 2 dB more, for the line that damps high tones.
const COLUMN_DBOV: f32 = -12.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(mut tone: ToneGenerator, samples: usize) -> Vec<i16> {
        let mut pcm = vec![0; samples];
        // Odd pieces, so that their borders fall everywhere.
        pcm.chunks_mut(77).for_each(|piece| tone.fill(piece));
        pcm
    }

    /// Amplitude of one frequency: a DFT over whole periods.
    fn amplitude(rate_hz: u32, pcm: &[i16], frequency_hz: f64) -> f64 {
        let step = std::f64::consts::TAU * frequency_hz / f64::from(rate_hz);
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in pcm.iter().enumerate() {
            let (sin, cos) = (i as f64 * step).sin_cos();
            re += f64::from(*sample) * cos;
            im += f64::from(*sample) * sin;
        }
        2.0 * re.hypot(im) / pcm.len() as f64
    }

    #[test]
    fn a_sine_has_its_level_and_frequency_and_little_else() {
        for rate_hz in [8_000u32, 16_000, 48_000] {
            for (frequency_hz, level_dbov) in [(440.0, -4.0), (1_000.0, -20.0), (3_100.0, -40.0)] {
                let tone = ToneGenerator::sine(rate_hz, frequency_hz, level_dbov);
                let pcm = generate(tone, rate_hz as usize);
                assert_eq!(f32::from(level::level_dbov(&pcm)), level_dbov);
                let found = amplitude(rate_hz, &pcm, f64::from(frequency_hz));
                let tone_energy = found * found / 2.0 * pcm.len() as f64;
                let all = level::energy(&pcm) as f64;
                // What is left is the rounding to PCM16, a twelfth of a step's square.
                let noise = (all - tone_energy) / pcm.len() as f64;
                assert!(noise < 0.2, "{rate_hz} Hz, {frequency_hz} Hz: {noise}");
            }
        }
    }

    #[test]
    fn each_digit_is_its_pair() {
        for rate_hz in [8_000u32, 16_000] {
            for (row, keys) in KEYS.iter().enumerate() {
                for (column, digit) in keys.iter().enumerate() {
                    let tone = ToneGenerator::dtmf(rate_hz, *digit).unwrap();
                    let pcm = generate(tone, rate_hz as usize);
                    for (i, hz) in ROWS_HZ.iter().enumerate() {
                        let found = amplitude(rate_hz, &pcm, f64::from(*hz));
                        assert_eq!(found > 5_000.0, i == row, "{digit} {hz}: {found}");
                    }
                    for (i, hz) in COLUMNS_HZ.iter().enumerate() {
                        let found = amplitude(rate_hz, &pcm, f64::from(*hz));
                        assert_eq!(found > 5_000.0, i == column, "{digit} {hz}: {found}");
                    }
                }
            }
        }
        assert!(ToneGenerator::dtmf(8_000, 'a').is_some());
        assert!(ToneGenerator::dtmf(8_000, 'E').is_none());
    }

    #[test]
    fn progress_tones_keep_their_rhythm() {
        use CallProgress::{Busy, Congestion, Dial, Ringback};
        use ToneSet::{European, NorthAmerican};
        let rows = [
            (European, Dial, &[425.0][..], 12_000, 0),
            (European, Ringback, &[425.0], 1_000, 4_000),
            (European, Busy, &[425.0], 500, 500),
            (European, Congestion, &[425.0], 250, 250),
            (NorthAmerican, Dial, &[350.0, 440.0], 12_000, 0),
            (NorthAmerican, Ringback, &[440.0, 480.0], 2_000, 4_000),
            (NorthAmerican, Busy, &[480.0, 620.0], 500, 500),
            (NorthAmerican, Congestion, &[480.0, 620.0], 250, 250),
        ];
        for rate_hz in [8_000u32, 16_000] {
            for (set, tone, frequencies, on_ms, off_ms) in rows {
                let ms = rate_hz as usize / 1_000;
                let pcm = generate(ToneGenerator::progress(rate_hz, set, tone), 12_000 * ms);
                for (i, piece) in pcm.chunks(50 * ms).enumerate() {
                    let sounds = (i * 50) % (on_ms + off_ms) < on_ms;
                    assert_eq!(level::energy(piece) > 0, sounds, "{set:?} {tone:?} {i}");
                }
                for hz in frequencies {
                    let found = amplitude(rate_hz, &pcm[..250 * ms], *hz);
                    assert!(found > 1_000.0, "{set:?} {tone:?} {hz}: {found}");
                }
            }
        }
    }
}
