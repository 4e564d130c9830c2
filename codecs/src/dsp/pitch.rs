//! Pitch search by normalised cross-correlation.

use std::ops::RangeInclusive;

/// Finds the pitch period of the most recent speech.
#[derive(Debug)]
pub(crate) struct PitchSearch {
    /// Weight of each sample of the window, oldest first. What was heard last matters most: the
    /// continuation has to fit there, and pitch drifts.
    weights: Box<[f32]>,
    /// The window times its weights, kept between the lags of one search.
    weighted: Box<[f32]>,
}

impl PitchSearch {
    /// Compares `window` samples.
    pub(crate) fn new(window: usize) -> Self {
        let weight = |i: usize| ((i + 1) as f32 / window as f32).powi(WEIGHT_POWER);
        Self {
            weights: (0..window).map(weight).collect(),
            weighted: vec![0.0; window].into_boxed_slice(),
        }
    }

    /// The lag of `lags` at which the end of `speech` looks most like what was there one lag
    /// earlier, and the longest for silence. `speech` holds the window and the longest lag.
    pub(crate) fn period(&mut self, speech: &[f32], lags: RangeInclusive<usize>) -> usize {
        let start = speech.len() - self.weights.len();
        let recent = &speech[start..];
        for ((weighted, weight), sample) in self.weighted.iter_mut().zip(&self.weights).zip(recent)
        {
            *weighted = weight * sample;
        }
        let mut best = (*lags.end(), 0.0);
        for lag in lags {
            let earlier = &speech[start - lag..speech.len() - lag];
            let energy = weighted_energy(&self.weights, earlier);
            // The recent window's own energy is the same for all lags: left out.
            let similarity = dot(&self.weighted, earlier) / (energy + 1.0).sqrt();
            if similarity > best.1 {
                best = (lag, similarity);
            }
        }
        best.0
    }
}

/// Inner product. Eight running sums, so that the compiler may use vector registers.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<8>();
    let (b_blocks, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

fn weighted_energy(weights: &[f32], samples: &[f32]) -> f32 {
    let (weight_blocks, weight_rest) = weights.as_chunks::<8>();
    let (sample_blocks, sample_rest) = samples.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (weights, samples) in weight_blocks.iter().zip(sample_blocks) {
        for ((sum, w), s) in sums.iter_mut().zip(weights).zip(samples) {
            *sum += w * s * s;
        }
    }
    let rest: f32 = weight_rest.iter().zip(sample_rest).map(|(w, s)| w * s * s).sum();
    sums.iter().sum::<f32>() + rest
}

/// Chosen by PESQ over lossy speech: wider and flatter windows all score lower.
const WEIGHT_POWER: i32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_of_a_pulse_train_is_found_to_the_sample() {
        for period in [25, 40, 77, 119] {
            let speech: Vec<f32> =
                (0..390).map(|i| 8_000.0 * 0.8f32.powi((i % period) as i32)).collect();
            let found = PitchSearch::new(80).period(&speech, 20..=120);
            assert_eq!(found % period, 0, "period {period}, found {found}");
        }
    }

    #[test]
    fn silence_has_the_longest_period() {
        assert_eq!(PitchSearch::new(80).period(&[0.0; 390], 20..=120), 120);
    }
}
