//! Signal processing that works on PCM and knows no codec.
pub mod comfort_noise;
pub mod conceal;
pub mod level;
pub(crate) mod pitch;
pub mod resample;
pub mod stretch;

/// The nearest sample; what is too loud clips.
#[inline]
pub(crate) fn to_pcm(sample: f32) -> i16 {
    // Adding this leaves no bits for a fraction: `f32::round` would be a function call for each
    // sample on processors that must run anywhere. `as` saturates.
    const NO_FRACTION: f32 = 1.5 * (1u32 << 23) as f32;
    (sample + NO_FRACTION - NO_FRACTION) as i16
}

#[cfg(test)]
mod tests {
    use super::to_pcm;

    #[test]
    fn samples_are_rounded_to_the_nearest_and_clipped() {
        let rows = [
            (0.0, 0),
            (0.4, 0),
            (-0.4, 0),
            (0.6, 1),
            (-0.6, -1),
            (32_766.7, 32_767),
            (40_000.0, i16::MAX),
            (-1e9, i16::MIN),
            (f32::NAN, 0),
        ];
        for (sample, pcm) in rows {
            assert_eq!(to_pcm(sample), pcm, "{sample}");
        }
    }
}
