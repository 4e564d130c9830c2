use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler};
use vox_call::pipeline::Prompt;
use vox_codecs::wav::Wav;

/// Prompt files, converted once per rate and kept for as long as the file does not change.
#[derive(Debug, Default, Clone)]
pub(super) struct Prompts(Arc<Mutex<HashMap<(PathBuf, u32), Cached>>>);

#[derive(Debug)]
struct Cached {
    stamp: Stamp,
    samples: Arc<[i16]>,
}

/// A file that looks different has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    len: u64,
}

impl Prompts {
    /// Whether the file can be played at all. Converts it for 8 kHz on the way, the rate most
    /// calls run at.
    pub(super) async fn check(&self, file: &Path) -> Result<(), String> {
        self.at(file, 8_000).await.map(|_| ())
    }

    /// The prompt at `rate_hz`, mono.
    pub(super) async fn at(&self, file: &Path, rate_hz: u32) -> Result<Prompt, String> {
        let (this, path) = (self.clone(), file.to_owned());
        let loaded = tokio::task::spawn_blocking(move || this.load(&path, rate_hz)).await;
        let samples = loaded
            .map_err(|error| format!("converting failed: {error}"))?
            .map_err(|what| format!("{}: {what}", file.display()))?;
        Ok(Prompt { samples, rate_hz })
    }

    fn load(&self, path: &Path, rate_hz: u32) -> Result<Arc<[i16]>, String> {
        let stamp = stamp(path)?;
        let key = (path.to_owned(), rate_hz);
        if let Some(cached) = self.lock().get(&key)
            && cached.stamp == stamp
        {
            return Ok(cached.samples.clone());
        }
        let samples: Arc<[i16]> = convert(&read(path)?, rate_hz)?.into();
        let mut cache = self.lock();
        make_room(&mut cache, samples.len());
        cache.insert(key, Cached { stamp, samples: samples.clone() });
        Ok(samples)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(PathBuf, u32), Cached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prompts that no call plays are forgotten when the cache is full. One that is played stays: it is
/// in memory anyway.
fn make_room(cache: &mut HashMap<(PathBuf, u32), Cached>, needed: usize) {
    let held: usize = cache.values().map(|cached| cached.samples.len()).sum();
    if held + needed > CACHE_SAMPLES_MAX {
        cache.retain(|_, cached| Arc::strong_count(&cached.samples) > 1);
    }
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let modified = meta.modified().map_err(|error| error.to_string())?;
    match meta.is_file() {
        true => Ok(Stamp { modified, len: meta.len() }),
        false => Err("expected a file".into()),
    }
}

fn read(path: &Path) -> Result<Wav, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("expected at most {} MB", FILE_BYTES_MAX >> 20));
    }
    let wav = Wav::parse(&bytes).map_err(|error| error.to_string())?;
    match wav.samples.is_empty() || wav.channels == 0 {
        true => Err("expected audio, found none".into()),
        false => Ok(wav),
    }
}

/// Mixes to mono and resamples.
fn convert(wav: &Wav, rate_hz: u32) -> Result<Vec<i16>, String> {
    let channels = usize::from(wav.channels);
    let mono: Vec<f32> = wav
        .samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().map(|&s| f32::from(s)).sum::<f32>() / channels as f32)
        .collect();
    let samples = match wav.rate_hz == rate_hz {
        true => mono,
        false => resample(mono, wav.rate_hz, rate_hz)?,
    };
    Ok(samples.into_iter().map(|s| s.round().clamp(-32_768.0, 32_767.0) as i16).collect())
}

fn resample(mono: Vec<f32>, from_hz: u32, to_hz: u32) -> Result<Vec<f32>, String> {
    if !(4_000..=192_000).contains(&from_hz) {
        return Err(format!("expected a sample rate from 4000 to 192000 Hz, found {from_hz}"));
    }
    let failed = |error: &dyn std::fmt::Display| format!("{from_hz} Hz to {to_hz} Hz: {error}");
    let frames = mono.len();
    let mut resampler =
        Fft::<f32>::new(from_hz as usize, to_hz as usize, 1_024, 1, FixedSync::Both)
            .map_err(|error| failed(&error))?;
    let input = InterleavedOwned::new_from(mono, 1, frames).map_err(|error| failed(&error))?;
    let output = resampler.process_all(&input, frames, None).map_err(|error| failed(&error))?;
    Ok(output.take_data())
}

/// 17 minutes at 16 kHz mono.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// 64 MB: an hour at 8 kHz and as much at 16 kHz are 86 million samples; a host's prompts are
/// seconds long.
const CACHE_SAMPLES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate_hz: u32, channels: u16) -> Wav {
        let step = std::f32::consts::TAU * 400.0 / rate_hz as f32;
        let frame = |n: u32| (10_000.0 * (step * n as f32).sin()) as i16;
        let samples =
            (0..rate_hz).flat_map(|n| std::iter::repeat_n(frame(n), channels.into())).collect();
        Wav { rate_hz, channels, samples }
    }

    #[test]
    fn any_rate_becomes_the_calls_rate_without_changing_length_or_level() {
        for (from_hz, channels) in [(8_000, 1), (16_000, 2), (22_050, 1), (44_100, 2), (48_000, 1)]
        {
            for to_hz in [8_000, 16_000] {
                let out = convert(&sine(from_hz, channels), to_hz).unwrap();
                let expected = convert(&sine(to_hz, 1), to_hz).unwrap();
                assert!(
                    out.len().abs_diff(expected.len()) <= 1,
                    "{from_hz}→{to_hz}: {}",
                    out.len()
                );
                let inner = 1_000..6_000;
                let worst = out[inner.clone()]
                    .iter()
                    .zip(&expected[inner])
                    .map(|(a, b)| a.abs_diff(*b))
                    .max();
                // Half a sample of 400 Hz at this level: the converter trims its delay to a whole one.
                assert!(worst.unwrap() < 1_600, "{from_hz}→{to_hz}: {worst:?}");
            }
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        let error = convert(&sine(300, 1), 8_000).unwrap_err();
        assert_eq!(error, "expected a sample rate from 4000 to 192000 Hz, found 300");
    }
}
