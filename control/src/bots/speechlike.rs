//! The prompt of the built-in bot `play`: something with the pauses, pitch and formants of speech,
//! made here so that nothing has to be shipped.

use std::f32::consts::TAU;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use vox_codecs::wav::WavWriter;

use crate::config::ConfigError;

/// Writes the prompt when there is none.
pub(super) fn ensure(path: &Path) -> Result<(), ConfigError> {
    if path.exists() {
        return Ok(());
    }
    write(path).map_err(|error| {
        ConfigError(format!("{}: the built-in prompt cannot be written: {error}", path.display()))
    })
}

fn write(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let part = path.with_extension(format!("part-{}", std::process::id()));
    let mut wav = WavWriter::new(BufWriter::new(File::create(&part)?), RATE_HZ, 1)?;
    wav.write(&speechlike())?;
    wav.finish()?;
    std::fs::rename(part, path)
}

/// Four seconds: three groups of syllables, each a pulse train of falling pitch through two
/// formants, faded in and out.
fn speechlike() -> Vec<i16> {
    let mut samples = Vec::with_capacity(4 * RATE_HZ as usize);
    for (at, &(formants, millis)) in SYLLABLES.iter().enumerate() {
        match formants {
            Some((first_hz, second_hz)) => {
                let pitch_hz = 150.0 - 6.0 * (at % 6) as f32;
                syllable(&mut samples, pitch_hz, [first_hz, second_hz], millis);
            }
            None => samples.extend(std::iter::repeat_n(0, frames(millis))),
        }
    }
    samples
}

fn syllable(samples: &mut Vec<i16>, pitch_hz: f32, formants_hz: [f32; 2], millis: u32) {
    let total = frames(millis);
    let fade = frames(25).min(total / 2) as f32;
    let mut filters = formants_hz.map(Resonator::new);
    let mut phase = 0.0;
    for n in 0..total {
        phase += (pitch_hz - 10.0 * n as f32 / total as f32) / RATE_HZ as f32;
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase = phase.fract();
        let voice: f32 = filters.iter_mut().map(|filter| filter.step(pulse)).sum();
        let envelope = (n as f32 / fade).min((total - n) as f32 / fade).min(1.0);
        samples.push((voice * envelope * 4_000.0).clamp(-20_000.0, 20_000.0) as i16);
    }
}

/// Two poles at a frequency, 90 Hz wide.
struct Resonator {
    a: [f32; 2],
    y: [f32; 2],
}

impl Resonator {
    fn new(frequency_hz: f32) -> Self {
        let radius = (-std::f32::consts::PI * 90.0 / RATE_HZ as f32).exp();
        let angle = TAU * frequency_hz / RATE_HZ as f32;
        Self { a: [2.0 * radius * angle.cos(), -radius * radius], y: [0.0; 2] }
    }

    fn step(&mut self, x: f32) -> f32 {
        let y = x + self.a[0] * self.y[0] + self.a[1] * self.y[1];
        self.y = [y, self.y[0]];
        y
    }
}

const fn frames(millis: u32) -> usize {
    (RATE_HZ * millis / 1_000) as usize
}

const RATE_HZ: u32 = 16_000;

/// First and second formant in Hz (none: a pause), length in milliseconds.
const SYLLABLES: &[(Option<(f32, f32)>, u32)] = &[
    (Some((700.0, 1_200.0)), 180),
    (None, 40),
    (Some((300.0, 2_200.0)), 160),
    (None, 60),
    (Some((500.0, 900.0)), 240),
    (None, 350),
    (Some((400.0, 2_000.0)), 150),
    (None, 40),
    (Some((650.0, 1_100.0)), 170),
    (None, 40),
    (Some((300.0, 800.0)), 260),
    (None, 400),
    (Some((700.0, 1_200.0)), 200),
    (None, 50),
    (Some((400.0, 2_000.0)), 180),
    (None, 50),
    (Some((500.0, 900.0)), 330),
    (None, 1_100),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_prompt_is_loud_enough_and_has_pauses() {
        let samples = speechlike();
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!((6_000..=20_000).contains(&peak), "{peak}");
        assert_eq!(samples.len(), 4 * RATE_HZ as usize);
        let silent = samples.iter().filter(|&&s| s == 0).count();
        assert!(silent > RATE_HZ as usize, "{silent}");
    }
}
