//! Time-scale modification of speech (after the ideas of WSOLA and of NetEQ's accelerate and
//! preemptive expand).
//!
//! ```text
//! shorten   ..|--A--|--B--|..   →   ..|A fades to B|..
//! lengthen  ..|--A--|--B--|..   →   ..|--A--|B fades to A|--B--|..
//! ```
//!
//! `A` and `B` are neighbours of equal length, a pitch period or more, chosen so that they are as
//! alike as can be: neither seam is then heard, and the pitch stays what it was.

use super::{level, pitch, to_pcm};

/// How much a stretch may be heard, for the sake of the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eagerness {
    /// Only where nobody notices: clearly periodic or quiet audio.
    Gentle,
    /// Wherever it does little harm, and as much at once as fits: the delay is far off.
    Eager,
}

/// Shortens or lengthens speech by whole pitch periods, without changing its pitch.
#[derive(Debug)]
pub struct Stretcher {
    /// Samples per sample of the coarse search, which is done at 8 kHz.
    coarseness: usize,
    /// The audio looked at, as many samples as [`LOOK_MS`] hold.
    fine: Box<[f32]>,
    /// The same at 8 kHz.
    coarse: Box<[f32]>,
}

impl Stretcher {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        let coarseness = (rate_hz / 8_000) as usize;
        let look = LOOK_MS * COARSE_SAMPLES_PER_MS;
        Self {
            coarseness,
            fine: vec![0.0; look * coarseness].into_boxed_slice(),
            coarse: vec![0.0; look].into_boxed_slice(),
        }
    }

    /// Removes a pitch period (2.5–15 ms) from `pcm` (at least 30 ms, of which the first 60 ms
    /// are looked at) where two are alike enough, or quiet; in place. Returns the samples that
    /// remain: `pcm.len()` when nothing could be removed.
    pub fn shorten(&mut self, pcm: &mut [i16], eagerness: Eagerness) -> usize {
        let Some(Pair { start, period, likeness }) = self.find(pcm, eagerness) else {
            return pcm.len();
        };
        for i in 0..period {
            let (a, b) = (pcm[start + i], pcm[start + period + i]);
            pcm[start + i] = cross_fade(a, b, i, period, likeness);
        }
        pcm.copy_within(start + 2 * period.., start + period);
        pcm.len() - period
    }

    /// Repeats a pitch period (2.5–15 ms) of `pcm[..len]`, at least 30 ms, on the same terms;
    /// `pcm` has room for 15 ms more. Returns the new length: `len` when nothing could be
    /// repeated.
    pub fn lengthen(&mut self, pcm: &mut [i16], len: usize, eagerness: Eagerness) -> usize {
        let Some(Pair { start, period, likeness }) = self.find(&pcm[..len], eagerness) else {
            return len;
        };
        if len + period > pcm.len() {
            return len;
        }
        let middle = start + period;
        pcm.copy_within(middle..len, middle + period);
        for i in 0..period {
            let (a, b) = (pcm[start + i], pcm[middle + period + i]);
            pcm[middle + i] = cross_fade(b, a, i, period, likeness);
        }
        len + period
    }

    fn find(&mut self, pcm: &[i16], eagerness: Eagerness) -> Option<Pair> {
        let len = pcm.len().min(self.fine.len());
        let fine = &mut self.fine[..len];
        for (fine, sample) in fine.iter_mut().zip(pcm) {
            *fine = f32::from(*sample);
        }
        let longest = (LONGEST * self.coarseness).min(len / 2);
        if longest < SHORTEST * self.coarseness {
            return None;
        }
        let quiet = level::rms_at(eagerness.quiet_dbov()).powi(2) * len as f32;
        if pitch::dot(fine, fine) <= quiet {
            return Some(Pair::new(fine, (len - 2 * longest) / 2, longest));
        }
        let coarse = &mut self.coarse[..len / self.coarseness];
        for (coarse, fine) in coarse.iter_mut().zip(fine.chunks_exact(self.coarseness)) {
            *coarse = fine.iter().sum();
        }
        search(coarse, eagerness)?.refined(fine, self.coarseness)
    }
}

impl Eagerness {
    /// Likeness asked for.
    fn alike(self) -> f32 {
        match self {
            Self::Gentle => 0.9,
            Self::Eager => 0.8,
        }
    }

    /// Level below which audio is background that may be stretched whatever it is like.
    fn quiet_dbov(self) -> f32 {
        match self {
            Self::Gentle => -50.0,
            Self::Eager => -42.0,
        }
    }
}

fn search(look: &[f32], eagerness: Eagerness) -> Option<Pair> {
    let mut best: Option<Pair> = None;
    for period in SHORTEST..=LONGEST.min(look.len() / 2) {
        for start in (0..=look.len() - 2 * period).step_by(STRIDE) {
            let pair = Pair::new(look, start, period);
            if pair.likeness >= eagerness.alike()
                && best.is_none_or(|best| pair.beats(best, eagerness))
                && pair.is_peak(look)
            {
                best = Some(pair);
            }
        }
    }
    best
}

/// Two neighbouring stretches of audio that may be made one, or three.
#[derive(Debug, Clone, Copy)]
struct Pair {
    start: usize,
    period: usize,
    /// Normalised cross-correlation of the two, −1 to 1.
    likeness: f32,
}

impl Pair {
    /// `look` holds `start + 2 * period` samples.
    fn new(look: &[f32], start: usize, period: usize) -> Self {
        let (a, b) = look[start..start + 2 * period].split_at(period);
        let energy = pitch::dot(a, a) * pitch::dot(b, b);
        Self { start, period, likeness: pitch::dot(a, b) / (energy + 1.0).sqrt() }
    }

    /// Whether no neighbouring period fits better: else it is near a pitch period, not one.
    fn is_peak(self, look: &[f32]) -> bool {
        let Self { start, period, likeness } = self;
        let has_longer = start + 2 * (period + 1) <= look.len();
        likeness >= Self::new(look, start, period - 1).likeness
            && (!has_longer || likeness >= Self::new(look, start, period + 1).likeness)
    }

    /// The same pair in audio of `coarseness` times the rate, to the sample.
    fn refined(self, fine: &[f32], coarseness: usize) -> Option<Self> {
        let start = self.start * coarseness;
        let middle = self.period * coarseness;
        let shortest = (middle + 1 - coarseness).max(SHORTEST * coarseness);
        let longest = (middle + coarseness - 1).min(LONGEST * coarseness);
        (shortest..=longest.min((fine.len() - start) / 2))
            .map(|period| Self::new(fine, start, period))
            .max_by(|a, b| a.likeness.total_cmp(&b.likeness))
    }

    fn beats(self, other: Self, eagerness: Eagerness) -> bool {
        match eagerness {
            Eagerness::Gentle => self.likeness > other.likeness,
            Eagerness::Eager => {
                (self.period, self.likeness) > (other.period, other.likeness)
                    && self.likeness > other.likeness - EAGER_SACRIFICE
            }
        }
    }
}

/// Step `i` of `steps` from `from` to `to`. The sum of two signals that are not alike is softer
/// than either: that is made good, so that the noise between words does not flutter.
fn cross_fade(from: i16, to: i16, i: usize, steps: usize, likeness: f32) -> i16 {
    let to_share = (i + 1) as f32 / (steps + 1) as f32;
    let from_share = 1.0 - to_share;
    let power = from_share.powi(2)
        + to_share.powi(2)
        + 2.0 * from_share * to_share * likeness.clamp(0.0, 1.0);
    let mixed = f32::from(from) * from_share + f32::from(to) * to_share;
    to_pcm(mixed / power.sqrt())
}

/// Audio looked at.
const LOOK_MS: usize = 60;
/// The coarse search is done at 8 kHz.
const COARSE_SAMPLES_PER_MS: usize = 8;
/// Shortest period, at 8 kHz: 2.5 ms.
const SHORTEST: usize = 20;
/// Longest period, at 8 kHz: 15 ms.
const LONGEST: usize = 120;
/// Steps between the places tried, at 8 kHz: 5 ms.
const STRIDE: usize = 40;
/// Likeness that an eager stretch gives up for a longer period.
const EAGER_SACRIFICE: f32 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Eagerness; 2] = [Eagerness::Gentle, Eagerness::Eager];

    fn sine(rate_hz: u32, frequency_hz: f32, samples: usize) -> Vec<i16> {
        let step = std::f32::consts::TAU * frequency_hz / rate_hz as f32;
        (0..samples).map(|i| (8_000.0 * (i as f32 * step).sin()) as i16).collect()
    }

    fn noise(amplitude: i32, samples: usize) -> Vec<i16> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as i32 - 32_768) * amplitude / 32_768
        };
        (0..samples).map(|_| next() as i16).collect()
    }

    fn largest_step(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
    }

    fn frequency_hz(rate_hz: u32, pcm: &[i16]) -> f32 {
        let rising = |i: &usize| pcm[*i - 1] < 0 && pcm[*i] >= 0;
        let first = (1..pcm.len()).find(rising).unwrap();
        let last = (1..pcm.len()).rev().find(rising).unwrap();
        let periods = (first + 1..=last).filter(rising).count();
        periods as f32 * rate_hz as f32 / (last - first) as f32
    }

    /// Stretches all of `speech`, 40 ms at a time; returns it and the stretches made.
    fn stretch(rate_hz: u32, speech: &[i16], shorter: bool, how: Eagerness) -> (Vec<i16>, usize) {
        let mut stretcher = Stretcher::new(rate_hz);
        let (mut all, mut stretches) = (Vec::new(), 0);
        for piece in speech.chunks(rate_hz as usize / 25) {
            let mut pcm = piece.to_vec();
            let len = if shorter {
                stretcher.shorten(&mut pcm, how)
            } else {
                pcm.resize(piece.len() + rate_hz as usize * 15 / 1_000, 0);
                stretcher.lengthen(&mut pcm, piece.len(), how)
            };
            stretches += usize::from(len != piece.len());
            all.extend(&pcm[..len]);
        }
        (all, stretches)
    }

    #[test]
    fn voices_of_every_pitch_are_stretched_at_their_own_pitch_without_a_click() {
        for rate_hz in [8_000u32, 16_000] {
            for pitch_hz in [70.0, 110.0, 203.7, 397.0, 440.0, 1_000.0] {
                for how in BOTH {
                    for shorter in [true, false] {
                        let speech = sine(rate_hz, pitch_hz, rate_hz as usize);
                        let (heard, stretches) = stretch(rate_hz, &speech, shorter, how);
                        let row = format!("{rate_hz} Hz, {pitch_hz} Hz, {how:?}, {shorter}");
                        assert_eq!(stretches, 25, "{row}");
                        assert_eq!(heard.len() < speech.len(), shorter, "{row}");
                        let found_hz = frequency_hz(rate_hz, &heard);
                        assert!((found_hz / pitch_hz - 1.0).abs() < 0.01, "{row}: {found_hz}");
                        let (step, own) = (largest_step(&heard), largest_step(&speech));
                        assert!(step <= own * 21 / 20, "{row}: {step} > {own}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_stretch_is_between_2_5_and_15_ms_and_returns_the_length() {
        for rate_hz in [8_000u32, 16_000] {
            let ms = rate_hz as usize / 1_000;
            for how in BOTH {
                for len_ms in [30, 40, 60, 100] {
                    let mut stretcher = Stretcher::new(rate_hz);
                    let mut pcm = sine(rate_hz, 150.0, (len_ms + 15) * ms);
                    let removed = len_ms * ms - stretcher.shorten(&mut pcm[..len_ms * ms], how);
                    assert!((ms * 5 / 2..=15 * ms).contains(&removed), "{removed}");
                    let mut pcm = sine(rate_hz, 150.0, (len_ms + 15) * ms);
                    let added = stretcher.lengthen(&mut pcm, len_ms * ms, how) - len_ms * ms;
                    assert!((ms * 5 / 2..=15 * ms).contains(&added), "{added}");
                }
            }
        }
    }

    #[test]
    fn loud_noise_is_left_alone_and_quiet_noise_keeps_its_level() {
        for rate_hz in [8_000u32, 16_000] {
            let loud = noise(8_000, rate_hz as usize);
            let quiet = noise(100, rate_hz as usize);
            for how in BOTH {
                for shorter in [true, false] {
                    let (heard, stretches) = stretch(rate_hz, &loud, shorter, how);
                    // A few samples of noise may be alike by chance: that harms nobody.
                    let by_chance = if how == Eagerness::Gentle { 0 } else { 2 };
                    assert!(stretches <= by_chance, "{how:?}: {stretches}");
                    assert!(how == Eagerness::Eager || heard == loud);
                    let (heard, stretches) = stretch(rate_hz, &quiet, shorter, how);
                    assert_eq!(stretches, 25);
                    let off = level::level_dbov(&heard) - level::level_dbov(&quiet);
                    assert!(off.abs() <= 1, "{off} dB");
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_audio_are_untouched_so_that_it_joins_its_neighbours() {
        let speech = sine(8_000, 120.0, 480);
        let mut stretcher = Stretcher::new(8_000);
        let mut pcm = speech.clone();
        let len = stretcher.shorten(&mut pcm, Eagerness::Gentle);
        assert_eq!(pcm[len - 1], speech[479]);
        assert!((pcm[0] - speech[0]).abs() <= 200);
        let mut pcm = [speech.clone(), vec![0; 120]].concat();
        let len = stretcher.lengthen(&mut pcm, 480, Eagerness::Gentle);
        assert_eq!((pcm[0], pcm[len - 1]), (speech[0], speech[479]));
    }

    #[test]
    fn too_little_audio_or_room_changes_nothing() {
        let mut stretcher = Stretcher::new(8_000);
        for len in [0, 1, 39] {
            let mut pcm = sine(8_000, 200.0, len + 120);
            assert_eq!(stretcher.shorten(&mut pcm[..len], Eagerness::Eager), len);
            assert_eq!(stretcher.lengthen(&mut pcm, len, Eagerness::Eager), len);
        }
        let mut pcm = sine(8_000, 200.0, 320);
        assert_eq!(stretcher.lengthen(&mut pcm, 320, Eagerness::Eager), 320);
        assert_eq!(pcm, sine(8_000, 200.0, 320));
    }

    proptest::proptest! {
        #[test]
        fn any_audio_of_any_length_is_taken(
            rate_hz in proptest::sample::select(vec![8_000u32, 16_000]),
            len in 0usize..1_200,
            amplitude in 0i32..65_536,
            eager in proptest::bool::ANY,
        ) {
            let how = if eager { Eagerness::Eager } else { Eagerness::Gentle };
            let mut stretcher = Stretcher::new(rate_hz);
            let mut pcm = noise(amplitude, len + 240);
            assert!(stretcher.shorten(&mut pcm[..len], how) <= len);
            assert!(stretcher.lengthen(&mut pcm, len, how) >= len);
        }
    }
}
