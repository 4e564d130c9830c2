//! Packet-loss concealment after the ideas of ITU-T G.711 Appendix I.
//!
//! A lost stretch is filled by repeating the last pitch period heard, then the last two and the
//! last three of them as the loss grows, so that long losses do not buzz. Unlike the
//! recommendation this adds no delay: nothing that was already played is touched at the start of
//! a loss. The repetition starts in phase with what was heard, and the small step that remains is
//! levelled out over a millisecond.

use super::pitch::{self, PitchSearch};
use super::to_pcm;

/// Pitch-repetition concealment for PCM at 8 or 16 kHz.
///
/// A loss is speech-like for 60 ms, ever softer, and has faded out after 100 ms.
#[derive(Debug)]
pub struct Concealer {
    samples_per_ms: usize,
    search: PeriodSearch,
    /// What was played last, concealment included: a ring whose oldest sample is at `oldest`, so
    /// that a good frame costs no more than writing it down.
    history: Box<[i16]>,
    /// In `0..history.len()`.
    oldest: usize,
    /// The history as it was when the loss began.
    heard: Box<[f32]>,
    /// Samples concealed since the last good one; 0 when nothing is missing.
    lost: usize,
    repeat: PitchLoop,
    /// Gap between the last sample played and the one that the repetition continues from.
    step: f32,
    /// Gain that follows the speech's own loudness: a dying word goes on dying.
    trend: f32,
    /// Factor of `trend` per sample, at most 1.
    trend_factor: f32,
}

impl Concealer {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        let samples_per_ms = rate_hz as usize / 1_000;
        let longest = PERIOD_MS_MAX * samples_per_ms;
        // The repetition's cross-fade reaches a quarter period behind its longest loop.
        let kept = CYCLES_MAX * longest + longest.div_ceil(4);
        Self {
            samples_per_ms,
            search: PeriodSearch::new(samples_per_ms),
            history: vec![0; kept].into_boxed_slice(),
            oldest: 0,
            heard: vec![0.0; kept].into_boxed_slice(),
            lost: 0,
            repeat: PitchLoop { period: longest, cycles: 1, at: 0 },
            step: 0.0,
            trend: 1.0,
            trend_factor: 1.0,
        }
    }

    /// Takes note of good audio; after a loss it also cross-fades the start of `pcm`
    /// (10 ms at most) in place.
    pub fn good(&mut self, pcm: &mut [i16]) {
        if self.lost > 0 {
            self.fade_back(pcm);
            self.lost = 0;
        }
        self.remember(pcm);
    }

    /// Fills `pcm`, of any length, with concealment.
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        if self.lost == 0 {
            self.begin();
        }
        for sample in pcm.iter_mut() {
            *sample = to_pcm(self.next_sample());
        }
        self.remember(pcm);
    }

    /// Looks at what was heard and sets the repetition up.
    fn begin(&mut self) {
        let (newer, older) = self.history.split_at(self.oldest);
        for (heard, played) in self.heard.iter_mut().zip(older.iter().chain(newer)) {
            *heard = f32::from(*played);
        }
        let period = self.search.period(&self.heard);
        let end = self.heard.len();
        self.repeat = PitchLoop { period, cycles: 1, at: end - period };
        self.step = self.heard[end - 1] - self.heard[end - 1 - period];
        let last = &self.heard[end - period..];
        let before = &self.heard[end - 2 * period..end - period];
        let growth = (pitch::dot(last, last) / (pitch::dot(before, before) + 1.0)).sqrt();
        self.trend = 1.0;
        self.trend_factor = growth.clamp(TREND_MIN, 1.0).powf(1.0 / period as f32);
    }

    /// Cross-fades from the continued concealment to `pcm`: a quarter period, and 4 ms more for
    /// each further 10 ms of loss, at most 10 ms.
    fn fade_back(&mut self, pcm: &mut [i16]) {
        let ten_ms = 10 * self.samples_per_ms;
        let further = (self.lost / ten_ms).saturating_sub(1);
        let overlap = (self.repeat.quarter() + 4 * self.samples_per_ms * further).min(ten_ms);
        let overlap = overlap.min(pcm.len());
        for (i, sample) in pcm[..overlap].iter_mut().enumerate() {
            let concealed = self.next_sample();
            *sample = to_pcm(blend(concealed, f32::from(*sample), i, overlap));
        }
    }

    fn next_sample(&mut self) -> f32 {
        let ten_ms = 10 * self.samples_per_ms;
        let repeated = self.repeat.next(&self.heard, self.lost, ten_ms);
        let bridge = self.samples_per_ms * BRIDGE_MS;
        let levelled = repeated + blend(self.step, 0.0, self.lost.min(bridge), bridge);
        let gain = self.trend * fade(self.lost as f32 / self.samples_per_ms as f32);
        if self.lost < TREND_PERIODS * self.repeat.period {
            self.trend *= self.trend_factor;
        }
        self.lost = self.lost.saturating_add(1);
        levelled * gain
    }

    fn remember(&mut self, pcm: &[i16]) {
        let new = &pcm[pcm.len().saturating_sub(self.history.len())..];
        let (front, back) = new.split_at(new.len().min(self.history.len() - self.oldest));
        self.history[self.oldest..][..front.len()].copy_from_slice(front);
        self.history[..back.len()].copy_from_slice(back);
        self.oldest = (self.oldest + new.len()) % self.history.len();
    }
}

/// Searches at 8 kHz, which is enough to find the period, and then to the sample.
#[derive(Debug)]
struct PeriodSearch {
    /// Samples per sample at 8 kHz.
    coarseness: usize,
    coarse: PitchSearch,
    fine: PitchSearch,
    /// What was heard, at 8 kHz.
    heard: Box<[f32]>,
}

impl PeriodSearch {
    fn new(samples_per_ms: usize) -> Self {
        let reach = (WINDOW_MS + PERIOD_MS_MAX) * COARSE_SAMPLES_PER_MS;
        Self {
            coarseness: samples_per_ms / COARSE_SAMPLES_PER_MS,
            coarse: PitchSearch::new(WINDOW_MS * COARSE_SAMPLES_PER_MS),
            fine: PitchSearch::new(WINDOW_MS * samples_per_ms),
            heard: vec![0.0; reach].into_boxed_slice(),
        }
    }

    fn period(&mut self, heard: &[f32]) -> usize {
        let recent = &heard[heard.len() - self.heard.len() * self.coarseness..];
        for (coarse, fine) in self.heard.iter_mut().zip(recent.chunks_exact(self.coarseness)) {
            *coarse = fine.iter().sum();
        }
        let longest = PERIOD_MS_MAX * COARSE_SAMPLES_PER_MS;
        let found = self.coarse.period(&self.heard, SHORTEST..=longest) * self.coarseness;
        let near = self.coarseness - 1;
        let most = longest * self.coarseness;
        self.fine.period(heard, found - near..=(found + near).min(most))
    }
}

/// A seamless loop over the last pitch periods heard.
#[derive(Debug)]
struct PitchLoop {
    period: usize,
    /// Periods in the loop, 1 to [`CYCLES_MAX`].
    cycles: usize,
    /// Next sample to play: within the last `cycles` periods of what was heard.
    at: usize,
}

impl PitchLoop {
    fn quarter(&self) -> usize {
        self.period / 4
    }

    /// The next sample, when `lost` were played before it. At each of the first multiples of
    /// `ten_ms` the loop grows by a period, in phase and with a cross-fade.
    fn next(&mut self, heard: &[f32], lost: usize, ten_ms: usize) -> f32 {
        let mut sample = self.sample(heard, self.at, self.cycles);
        let due = (1 + lost / ten_ms).min(CYCLES_MAX);
        if due > self.cycles {
            let grown = self.at - self.at_most_back(heard, due);
            let faded = lost % ten_ms;
            sample = blend(sample, self.sample(heard, grown, due), faded, self.quarter());
            if faded + 1 >= self.quarter() {
                (self.at, self.cycles) = (grown, due);
            }
        }
        self.at += 1;
        if self.at == heard.len() {
            self.at -= self.cycles * self.period;
        }
        sample
    }

    /// Whole periods to go back from `at` so that the oldest period of a loop of `cycles` plays.
    fn at_most_back(&self, heard: &[f32], cycles: usize) -> usize {
        let oldest_end = heard.len() - (cycles - 1) * self.period;
        (self.at + 1).saturating_sub(oldest_end).div_ceil(self.period) * self.period
    }

    /// The sample at `at`; the loop's last quarter period is blended into what leads up to its
    /// start, so that its end meets its start.
    fn sample(&self, heard: &[f32], at: usize, cycles: usize) -> f32 {
        let seam = heard.len() - self.quarter();
        if at < seam {
            heard[at]
        } else {
            blend(heard[at], heard[at - cycles * self.period], at - seam, self.quarter())
        }
    }
}

/// Linear cross-fade: step `i` of `steps` from `from` to `to`, all the way at `i == steps`.
fn blend(from: f32, to: f32, i: usize, steps: usize) -> f32 {
    from + (to - from) * ((i + 1) as f32 / (steps + 1) as f32).min(1.0)
}

/// Gain at `ms` into a loss.
fn fade(ms: f32) -> f32 {
    for [(start_ms, from), (end_ms, to)] in FADE.array_windows() {
        if ms < *end_ms {
            return from + (to - from) * (ms - start_ms) / (end_ms - start_ms);
        }
    }
    0.0
}

/// The pitch search works at 8 kHz.
const COARSE_SAMPLES_PER_MS: usize = 8;
/// Shortest pitch period, at 8 kHz: 400 Hz.
const SHORTEST: usize = 20;
/// Longest pitch period: 66 Hz.
const PERIOD_MS_MAX: usize = 15;
/// Speech compared in the pitch search.
const WINDOW_MS: usize = 10;
/// Periods in the longest loop.
const CYCLES_MAX: usize = 3;
/// Time over which the step at the start of a loss is levelled out.
const BRIDGE_MS: usize = 1;
/// Speech that halves its loudness from one period to the next is taken to go on so, not faster.
const TREND_MIN: f32 = 0.5;
/// Periods for which the loudness goes on falling as it did.
const TREND_PERIODS: usize = 3;
/// The fade's corners: ms into the loss, gain.
const FADE: [(f32, f32); 4] = [(0.0, 1.0), (20.0, 0.6), (60.0, 0.4), (100.0, 0.0)];

#[cfg(test)]
mod tests {
    use super::*;

    /// A vowel of 120 Hz: decaying pulses through one resonance.
    fn vowel(rate_hz: u32, samples: usize) -> Vec<i16> {
        let period = rate_hz as usize / 120;
        let sample = |i: usize| {
            let t = (i % period) as f32 / rate_hz as f32;
            9_000.0 * (-t * 250.0).exp() * (t * 700.0 * std::f32::consts::TAU).sin()
        };
        (0..samples).map(|i| sample(i) as i16).collect()
    }

    fn rms(pcm: &[i16]) -> f32 {
        let energy: f32 = pcm.iter().map(|s| f32::from(*s).powi(2)).sum();
        (energy / pcm.len() as f32).sqrt()
    }

    fn largest_step(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
    }

    /// Plays `speech` with `lost` of it missing, in frames of `frame` samples.
    fn play(rate_hz: u32, speech: &[i16], lost: std::ops::Range<usize>, frame: usize) -> Vec<i16> {
        let mut concealer = Concealer::new(rate_hz);
        let mut heard = speech.to_vec();
        for (i, pcm) in heard.chunks_mut(frame).enumerate() {
            if lost.contains(&(i * frame)) {
                concealer.conceal(pcm);
            } else {
                concealer.good(pcm);
            }
        }
        heard
    }

    #[test]
    fn a_lost_frame_of_a_steady_vowel_is_replaced_by_the_same_vowel() {
        for rate_hz in [8_000u32, 16_000] {
            let ms = rate_hz as usize / 1_000;
            for (frame_ms, lost_ms) in [(10, 10), (10, 20), (20, 20), (60, 60)] {
                let speech = vowel(rate_hz, 240 * ms);
                let lost = 120 * ms..(120 + lost_ms) * ms;
                let heard = play(rate_hz, &speech, lost.clone(), frame_ms * ms);
                let truth: Vec<f32> = speech[lost.clone()].iter().map(|s| f32::from(*s)).collect();
                let made: Vec<f32> = heard[lost].iter().map(|s| f32::from(*s)).collect();
                let likeness = pitch::dot(&truth, &made)
                    / (pitch::dot(&truth, &truth) * pitch::dot(&made, &made)).sqrt();
                assert!(likeness > 0.9, "{rate_hz} Hz, {lost_ms} ms: {likeness}");
            }
        }
    }

    #[test]
    fn neither_the_loss_nor_the_return_clicks() {
        for rate_hz in [8_000u32, 16_000] {
            let ms = rate_hz as usize / 1_000;
            let speech = vowel(rate_hz, 400 * ms);
            for lost_ms in [20, 40, 60, 120] {
                for start_ms in [100, 120, 140] {
                    let lost = start_ms * ms..(start_ms + lost_ms) * ms;
                    let heard = play(rate_hz, &speech, lost, 20 * ms);
                    let (step, own) = (largest_step(&heard), largest_step(&speech));
                    assert!(step <= own * 11 / 10, "{rate_hz} Hz, {lost_ms} ms: {step} > {own}");
                }
            }
        }
    }

    #[test]
    fn a_loss_sounds_for_60_ms_and_has_faded_after_100() {
        for rate_hz in [8_000u32, 16_000] {
            let ms = rate_hz as usize / 1_000;
            let speech = vowel(rate_hz, 400 * ms);
            let heard = play(rate_hz, &speech, 100 * ms..300 * ms, 20 * ms);
            let level = |from_ms: usize, to_ms: usize| {
                rms(&heard[(100 + from_ms) * ms..(100 + to_ms) * ms]) / rms(&speech)
            };
            assert!(
                level(0, 10) > 0.7 && level(40, 60) > 0.3,
                "{} {}",
                level(0, 10),
                level(40, 60)
            );
            assert!(level(80, 100) < 0.15, "{}", level(80, 100));
            assert_eq!(level(100, 200), 0.0);
        }
    }

    #[test]
    fn the_frame_size_does_not_change_the_concealment() {
        let speech = vowel(8_000, 3_200);
        let whole = play(8_000, &speech, 960..1_920, 480);
        for frame in [1, 80, 160, 320] {
            let pieces = play(8_000, &speech, 960..1_920, frame);
            assert!(pieces[..1_920] == whole[..1_920], "frames of {frame} samples");
        }
    }

    #[test]
    fn a_loss_before_any_audio_and_a_loss_in_silence_are_silent() {
        let heard = play(8_000, &[0; 1_600], 0..800, 160);
        assert_eq!(heard, [0; 1_600]);
    }

    #[test]
    fn audio_without_losses_is_not_touched() {
        let speech = vowel(16_000, 16_000);
        assert_eq!(play(16_000, &speech, 0..0, 320), speech);
    }

    proptest::proptest! {
        #[test]
        fn any_audio_in_any_frames_is_taken(
            rate_hz in proptest::sample::select(vec![8_000u32, 16_000]),
            frames in proptest::collection::vec((0usize..1_000, proptest::bool::ANY), 1..30),
            seed in proptest::num::u32::ANY,
        ) {
            let mut concealer = Concealer::new(rate_hz);
            let mut noise = seed | 1;
            for (samples, lost) in frames {
                let mut pcm: Vec<i16> = (0..samples).map(|_| {
                    noise ^= noise << 13;
                    noise ^= noise >> 17;
                    noise ^= noise << 5;
                    noise as i16
                }).collect();
                if lost { concealer.conceal(&mut pcm) } else { concealer.good(&mut pcm) }
            }
        }
    }
}
