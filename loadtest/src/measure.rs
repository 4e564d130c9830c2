//! What can be computed from two recordings and a few counters.

use std::time::Duration;

use vox_codecs::CodecKind;

/// Speech that the correlation is computed over.
const WINDOW_SECONDS: usize = 4;
/// The longest round trip that is looked for.
const LAG_SECONDS_MAX: usize = 2;
/// Rate that both sides are brought down to first: the pitch and first formants are enough.
const COARSE_HZ: usize = 4_000;
/// Normalised correlation below which what was heard is not an echo of what was said.
const ECHO_MIN: f64 = 0.5;

/// How much later `heard` repeats `said` (both at `rate_hz`, both from the same instant on);
/// `None` when it does not. Resolution: 0.25 ms.
pub fn round_trip(said: &[i16], heard: &[i16], rate_hz: u32) -> Option<Duration> {
    let (said, heard) = (coarse(said, rate_hz), coarse(heard, rate_hz));
    let start = loudest_window(&said)?;
    let window = &said[start..(start + WINDOW_SECONDS * COARSE_HZ).min(said.len())];
    let said_energy = energy(window);
    let lag_max = (LAG_SECONDS_MAX * COARSE_HZ).min(heard.len().checked_sub(start + window.len())?);
    let correlation = |lag: usize| {
        let heard = &heard[start + lag..start + lag + window.len()];
        let product: f64 = window.iter().zip(heard).map(|(a, b)| f64::from(a * b)).sum();
        product / (said_energy * energy(heard)).sqrt().max(1.0)
    };
    let (lag, best) =
        (0..=lag_max).map(|lag| (lag, correlation(lag))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (best >= ECHO_MIN).then(|| Duration::from_secs_f64(lag as f64 / COARSE_HZ as f64))
}

/// Averages groups of samples down to [`COARSE_HZ`]: a crude low-pass, the same for both sides.
fn coarse(pcm: &[i16], rate_hz: u32) -> Vec<f32> {
    let step = rate_hz as usize / COARSE_HZ;
    pcm.chunks_exact(step)
        .map(|group| group.iter().map(|&s| f32::from(s)).sum::<f32>() / step as f32)
        .collect()
}

fn energy(pcm: &[f32]) -> f64 {
    pcm.iter().map(|s| f64::from(s * s)).sum()
}

/// Start of the window with the most energy, on half-second steps; `None` for silence.
fn loudest_window(pcm: &[f32]) -> Option<usize> {
    let window = WINDOW_SECONDS * COARSE_HZ;
    let last = pcm.len().saturating_sub(window);
    let start = (0..=last).step_by(COARSE_HZ / 2).max_by(|&a, &b| {
        energy(&pcm[a..pcm.len().min(a + window)])
            .total_cmp(&energy(&pcm[b..pcm.len().min(b + window)]))
    })?;
    (energy(&pcm[start..pcm.len().min(start + window)]) > 0.0).then_some(start)
}

/// Listening quality by the E-model (ITU-T G.107) on the narrow-band scale, 1.0..=4.5.
///
/// `loss` in 0..=1 is taken as random (BurstR = 1). Equipment impairment and loss robustness are
/// those of ITU-T G.113 Appendix I for G.711 with concealment; wide-band codecs are judged on the
/// same scale, so theirs are a lower bound.
pub fn mos(codec: CodecKind, loss: f64) -> f64 {
    conversational_mos(codec, loss, Duration::ZERO)
}

/// The same for a conversation: `delay` is from mouth to ear, one way. Echo is taken as cancelled.
pub fn conversational_mos(codec: CodecKind, loss: f64, delay: Duration) -> f64 {
    let (impairment, robustness) = match codec {
        CodecKind::Pcmu | CodecKind::Pcma | CodecKind::L16 => (0.0, 25.1),
        CodecKind::G722 => (0.0, 20.0),
        CodecKind::Opus => (0.0, 25.0),
    };
    let percent = loss * 100.0;
    let effective = impairment + (95.0 - impairment) * percent / (percent + robustness);
    let r: f64 = 93.2 - effective - delay_impairment(delay);
    if r <= 0.0 {
        return 1.0;
    }
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// `Idd` of ITU-T G.107 (7-27): none up to 100 ms.
fn delay_impairment(delay: Duration) -> f64 {
    let x = (delay.as_secs_f64() / 0.1).log2();
    if x <= 0.0 {
        return 0.0;
    }
    let term = |y: f64| (1.0 + y.powi(6)).powf(1.0 / 6.0);
    25.0 * (term(x) - 3.0 * term(x / 3.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise in syllables: has one clear correlation peak, as speech does.
    fn speech(seconds: usize, rate_hz: usize) -> Vec<i16> {
        let mut state = 1u32;
        let noise = (0..seconds * rate_hz).map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let syllable = !(n * 4 / rate_hz).is_multiple_of(3);
            if syllable { ((state >> 16) as i16) / 4 } else { 0 }
        });
        noise.collect()
    }

    #[test]
    fn an_echo_is_found_where_it_is() {
        for rate_hz in [8_000, 16_000] {
            let said = speech(8, rate_hz);
            for lag_ms in [0, 20, 137, 1_500] {
                let mut heard = vec![0; lag_ms * rate_hz / 1_000];
                heard.extend(said.iter().map(|s| s / 2));
                heard.resize(said.len() + 2 * rate_hz, 0);
                let found = round_trip(&said, &heard, rate_hz as u32).expect("an echo");
                assert!(
                    found.abs_diff(Duration::from_millis(lag_ms as u64)) < Duration::from_millis(1)
                );
            }
        }
    }

    #[test]
    fn something_else_is_no_echo() {
        let said = speech(8, 8_000);
        let heard: Vec<i16> =
            (0..80_000).map(|n| ((n as f32 * 0.345).sin() * 8_000.0) as i16).collect();
        assert_eq!(round_trip(&said, &heard, 8_000), None);
        assert_eq!(round_trip(&said, &[], 8_000), None);
        assert_eq!(round_trip(&[], &heard, 8_000), None);
        assert_eq!(round_trip(&vec![0; 80_000], &heard, 8_000), None);
    }

    #[test]
    fn mos_falls_with_loss_and_stays_on_its_scale() {
        assert!((4.40..=4.42).contains(&mos(CodecKind::Pcmu, 0.0)), "G.107's own default is 4.41");
        let scores: Vec<f64> =
            [0.0, 0.01, 0.05, 0.2, 1.0].iter().map(|&l| mos(CodecKind::Pcmu, l)).collect();
        assert!(
            scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|s| (1.0..=4.5).contains(s))
        );
    }
}
