//! Comfort noise (RFC 3389): the background of a talker who is silent, described in a few bytes.
//!
//! A description (SID) is a level and the reflection coefficients of an all-pole model of the
//! spectrum, `k₁ = −r₁/r₀` for the first: noise that is mostly low has a negative one.

use super::pitch::dot;
use super::{level, to_pcm};

/// Generates comfort noise from SID payloads (level byte, optional reflection coefficients).
///
/// The noise is the same in each run. It is silent until the first description has come.
#[derive(Debug)]
pub struct ComfortNoise {
    /// Reflection coefficients; 0 beyond the order described.
    reflections: [f32; ORDER_MAX],
    /// Backward prediction errors of the lattice, each one sample old.
    backward: [f32; ORDER_MAX],
    /// Amplitude of the excitation: it glides to its target, so that a new level does not click.
    amplitude: f32,
    target: f32,
    /// Share of the way to the target that one sample goes.
    glide: f32,
    random: u32,
}

impl ComfortNoise {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        Self {
            reflections: [0.0; ORDER_MAX],
            backward: [0.0; ORDER_MAX],
            amplitude: 0.0,
            target: 0.0,
            glide: 1_000.0 / (GLIDE_MS * rate_hz as f32),
            random: 0x9E37_79B9,
        }
    }

    /// Takes a SID payload. RFC 3389 §3: first byte level in −dBov, then spectrum.
    ///
    /// An empty payload changes nothing. More coefficients than twelve are left out: the first
    /// ones alone describe the spectrum more coarsely.
    pub fn update(&mut self, payload: &[u8]) {
        let Some((level, spectrum)) = payload.split_first() else { return };
        self.reflections = [0.0; ORDER_MAX];
        for (reflection, code) in self.reflections.iter_mut().zip(spectrum) {
            *reflection = dequantize(*code);
        }
        // The lattice amplifies by what its coefficients predict.
        let left: f32 = self.reflections.iter().map(|k| 1.0 - k * k).product();
        let rms = level::rms_at(-f32::from(level & LEVEL_MASK));
        self.target = rms * left.sqrt() * UNIFORM_PEAK;
    }

    /// Fills `pcm` with noise of the last level and spectrum.
    pub fn fill(&mut self, pcm: &mut [i16]) {
        for sample in pcm {
            self.amplitude += (self.target - self.amplitude) * self.glide;
            let excitation = self.random() * self.amplitude;
            *sample = to_pcm(self.shape(excitation));
        }
    }

    /// All-pole lattice: stable whatever is received, since every coefficient is below 1.
    fn shape(&mut self, excitation: f32) -> f32 {
        let mut forward = excitation;
        for stage in (0..ORDER_MAX).rev() {
            let (k, backward) = (self.reflections[stage], self.backward[stage]);
            forward -= k * backward;
            if let Some(next) = self.backward.get_mut(stage + 1) {
                *next = backward + k * forward;
            }
        }
        self.backward[0] = forward;
        forward
    }

    /// Uniform in −1..1.
    fn random(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random as i32 as f32 / 2f32.powi(31)
    }
}

/// Describes background noise for the other side, as a SID payload.
#[derive(Debug, Clone, Default)]
pub struct NoiseEstimator {
    /// Mean autocorrelation per sample of the noise, lags 0..=[`SID_ORDER`].
    autocorrelation: [f32; SID_ORDER + 1],
    started: bool,
}

impl NoiseEstimator {
    /// Nothing heard yet: the first description is of silence.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a frame, 60 ms at most, that holds only background; the last few weigh most.
    pub fn push(&mut self, pcm: &[i16]) {
        let mut samples = [0.0; FRAME_MAX];
        let samples = &mut samples[..pcm.len().min(FRAME_MAX)];
        for (to, sample) in samples.iter_mut().zip(pcm) {
            *to = f32::from(*sample);
        }
        if samples.len() <= SID_ORDER {
            return;
        }
        let share = if self.started { FRAME_SHARE } else { 1.0 };
        self.started = true;
        for (lag, mean) in self.autocorrelation.iter_mut().enumerate() {
            let now = dot(&samples[lag..], &samples[..samples.len() - lag]) / samples.len() as f32;
            *mean += (now - *mean) * share;
        }
    }

    /// The SID payload: level and eight coefficients.
    pub fn describe(&self) -> [u8; 1 + SID_ORDER] {
        let rms = self.autocorrelation[0].sqrt();
        let below_full = (-20.0 * (rms / level::rms_at(0.0)).log10()).round();
        let mut payload = [0; 1 + SID_ORDER];
        // `as` saturates: silence is ∞ dB below.
        payload[0] = (below_full as u8).min(LEVEL_MASK);
        for (code, k) in payload[1..].iter_mut().zip(reflections(&self.autocorrelation)) {
            *code = quantize(k);
        }
        payload
    }
}

/// Reflection coefficients by Levinson and Durbin's recursion.
fn reflections(autocorrelation: &[f32; SID_ORDER + 1]) -> [f32; SID_ORDER] {
    let mut reflections = [0.0; SID_ORDER];
    let mut predictor = [0.0; SID_ORDER + 1];
    // A touch of white noise keeps the recursion sound for silence and pure tones.
    let mut error = autocorrelation[0] * 1.001 + 1e-3;
    for order in 1..=SID_ORDER {
        let predicted: f32 = (1..order).map(|i| predictor[i] * autocorrelation[order - i]).sum();
        let k = (-(autocorrelation[order] + predicted) / error).clamp(-K_MAX, K_MAX);
        let before = predictor;
        for i in 1..order {
            predictor[i] = before[i] + k * before[order - i];
        }
        predictor[order] = k;
        reflections[order - 1] = k;
        error *= 1.0 - k * k;
    }
    reflections
}

/// RFC 3389 §3.2: kᵢ = 258·(Nᵢ − 127) in Q15.
fn dequantize(code: u8) -> f32 {
    ((f32::from(code) - 127.0) * K_STEP).clamp(-K_MAX, K_MAX)
}

fn quantize(k: f32) -> u8 {
    // `as` saturates; |k| < 1 keeps clear of the reserved 255.
    (k / K_STEP + 127.0).round() as u8
}

const K_STEP: f32 = 258.0 / 32_768.0;
/// Beyond this noise is a whistle.
const K_MAX: f32 = 0.98;
/// Stages of the lattice.
const ORDER_MAX: usize = 12;
/// The level's seven bits; the eighth is reserved.
const LEVEL_MASK: u8 = 0x7F;
/// Time constant of a change of level.
const GLIDE_MS: f32 = 10.0;
/// Peak of uniform noise whose root mean square is 1.
const UNIFORM_PEAK: f32 = 1.732_050_8;
/// Coefficients in the descriptions we give.
const SID_ORDER: usize = 8;
/// 60 ms at 16 kHz.
const FRAME_MAX: usize = 960;
/// Weight of a frame among those before it.
const FRAME_SHARE: f32 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(payload: &[u8], samples: usize) -> Vec<i16> {
        let mut comfort = ComfortNoise::new(8_000);
        comfort.update(payload);
        let mut pcm = vec![0; samples + 1_600];
        pcm.chunks_mut(160).for_each(|frame| comfort.fill(frame));
        pcm.split_off(1_600)
    }

    #[test]
    fn noise_has_the_level_described_whatever_its_spectrum() {
        let spectra: [&[u8]; 5] =
            [&[], &[127], &[40], &[200, 100], &[60, 180, 110, 140, 127, 120, 130, 127, 127]];
        for spectrum in spectra {
            for level in [20u8, 40, 60, 75] {
                let pcm = noise(&[&[level], spectrum].concat(), 40_000);
                let found = level::level_dbov(&pcm);
                assert!((found + level as i8).abs() <= 1, "{level} {spectrum:?}: {found}");
            }
        }
    }

    #[test]
    fn a_negative_first_coefficient_is_low_noise_and_a_positive_one_high() {
        let slope = |code: u8| {
            let pcm = noise(&[30, code], 8_000);
            let product: i64 = pcm.windows(2).map(|w| i64::from(w[0]) * i64::from(w[1])).sum();
            product as f32 / level::energy(&pcm) as f32
        };
        // r₁/r₀ of a first-order model is −k₁.
        for (code, expected) in [(27, 0.787), (127, 0.0), (227, -0.787)] {
            assert!((slope(code) - expected).abs() < 0.05, "{code}: {}", slope(code));
        }
    }

    #[test]
    fn what_is_described_sounds_like_what_was_heard() {
        for spectrum in [[60, 160, 127, 127], [180, 110, 140, 127], [127; 4]] {
            let original = noise(&[&[45], &spectrum[..]].concat(), 16_000);
            let mut estimator = NoiseEstimator::new();
            original.chunks(160).for_each(|frame| estimator.push(frame));
            let described = estimator.describe();
            assert!(described[0].abs_diff(45) <= 1, "{described:?}");
            for (code, expected) in described[1..].iter().zip(spectrum.iter().chain(&[127; 4])) {
                assert!(code.abs_diff(*expected) <= 16, "{described:?} for {spectrum:?}");
            }
        }
    }

    #[test]
    fn silence_is_described_as_silence_and_sounds_so() {
        let mut estimator = NoiseEstimator::new();
        estimator.push(&[0; 160]);
        assert_eq!(estimator.describe(), [127; 9]);
        assert_eq!(noise(&[127], 800), [0; 800]);
        let mut untold = ComfortNoise::new(16_000);
        untold.update(&[]);
        let mut pcm = [1; 320];
        untold.fill(&mut pcm);
        assert_eq!(pcm, [0; 320]);
    }

    #[test]
    fn a_new_level_is_reached_without_a_click() {
        let mut comfort = ComfortNoise::new(8_000);
        comfort.update(&[70]);
        let mut pcm = [0; 1_600];
        comfort.fill(&mut pcm);
        comfort.update(&[40]);
        comfort.fill(&mut pcm);
        let first = level::level_dbov(&pcm[..8]);
        assert!(first < -45, "{first}");
        assert!((level::level_dbov(&pcm[400..]) + 40).abs() <= 1);
    }

    proptest::proptest! {
        #[test]
        fn any_payload_makes_bounded_noise(
            payload in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
        ) {
            let pcm = noise(&payload, 8_000);
            if let Some(level) = payload.first() {
                let loudest = -i32::from(level & 0x7F) + 6;
                assert!(i32::from(level::level_dbov(&pcm)) <= loudest.clamp(-90, 0));
            }
        }
    }
}
