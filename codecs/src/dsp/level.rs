//! Signal level.

/// Mean level of a frame in dB relative to full scale (dBov, RFC 6464): 0 is the loudest, −127
/// silence, rounded to the nearest.
///
/// Full scale is a square wave of the largest amplitude, so the loudest sine has −3 dBov.
pub fn level_dbov(pcm: &[i16]) -> i8 {
    if pcm.is_empty() {
        return LEVEL_MIN;
    }
    let mean_square = energy(pcm) as f64 / pcm.len() as f64;
    let level = 10.0 * (mean_square / (FULL_SCALE * FULL_SCALE)).log10();
    // `as` saturates: silence is −∞ dB.
    (level.round() as i8).clamp(LEVEL_MIN, 0)
}

/// Sum of the squared samples, exact.
pub fn energy(pcm: &[i16]) -> u64 {
    let square = |sample: i16| i32::from(sample) * i32::from(sample);
    let (pairs, rest) = pcm.as_chunks();
    // Two squares are at most 2³¹: they fit an u32. Pairs of products have an instruction.
    let pair = |[a, b]: &[i16; 2]| u64::from(square(*a).wrapping_add(square(*b)) as u32);
    pairs.iter().map(pair).sum::<u64>() + rest.iter().map(|s| square(*s) as u64).sum::<u64>()
}

/// The root mean square, in PCM16 steps, of a signal at `level_dbov`.
pub fn rms_at(level_dbov: f32) -> f32 {
    FULL_SCALE as f32 * 10f32.powf(level_dbov / 20.0)
}

/// RFC 6464 §3: −127 stands for silence and for all that is softer.
const LEVEL_MIN: i8 = -127;
const FULL_SCALE: f64 = 32_767.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_signals_have_their_exact_level() {
        let square = |amplitude: i16| -> Vec<i16> {
            (0..160).map(|i| if i % 8 < 4 { amplitude } else { -amplitude }).collect()
        };
        let sine = |amplitude: f64| -> Vec<i16> {
            let step = std::f64::consts::TAU / 16.0;
            (0..160).map(|i| (amplitude * (f64::from(i) * step).sin()).round() as i16).collect()
        };
        let rows = [
            (square(32_767), 0),
            (vec![i16::MIN; 160], 0),
            (sine(32_767.0), -3),
            // 0 dBm0 through G.711 is 3.17 dB (µ-law) below the loudest sine.
            (sine(32_767.0 * 10f64.powf(-3.17 / 20.0)), -6),
            (square(3_277), -20),
            (square(33), -60),
            (square(1), -90),
            (vec![0; 160], -127),
            (vec![], -127),
            // One step in 100,000 samples: softer than the scale goes.
            ([vec![1], vec![0; 99_999]].concat(), -127),
        ];
        for (pcm, level) in rows {
            assert_eq!(level_dbov(&pcm), level);
        }
    }

    #[test]
    fn energy_is_exact_at_both_ends() {
        assert_eq!(energy(&[]), 0);
        assert_eq!(energy(&[3, -4]), 25);
        assert_eq!(energy(&[i16::MIN; 1_920]), 1_920 << 30);
    }

    #[test]
    fn the_rms_of_a_level_is_the_levels_inverse() {
        for level in -80i8..=0 {
            let rms = rms_at(f32::from(level)).round() as i16;
            assert!((level_dbov(&[rms; 160]) - level).abs() <= 1, "{level}");
        }
    }
}
