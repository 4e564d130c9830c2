//! Estimated quality by the E-model (ITU-T G.107), on its narrow-band scale.
//!
//! `R = 93.2 − Id − Ie,eff`, where 93.2 is `Ro − Is` with every default of G.107 table 2. Then R
//! becomes a MOS by annex B.
//!
//! **Inputs.** Loss as a percentage of packets that could not be played (lost or late, not those
//! recovered by FEC), taken as random (`BurstR = 1`); the codec's `Ie` and `Bpl`; for the
//! conversational figure the one-way delay. Terminal and room values are the defaults, echo is
//! taken as cancelled.
//!
//! **Codecs.** G.113 appendix I gives G.711 with concealment `Ie = 0`, `Bpl = 25.1`. G.722 and Opus
//! are wide-band: on this scale they cannot do better than clean G.711 (a score of 4.41), so
//! `Ie = 0`; their robustness is taken as G.711's, because the ITU has no value for G.722 with our
//! concealer (which is G.711's) nor for Opus. Compare the MOS of calls of one codec, not of two.

use std::time::Duration;

use vox_codecs::CodecKind;

/// What the estimate is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    /// The codec heard.
    pub codec: CodecKind,
    /// Packets that could not be played, in percent of those expected.
    pub loss_percent: f64,
    /// Mouth to ear, one way; zero for listening quality.
    pub delay: Duration,
}

/// The transmission rating R, 0..=93.2.
pub fn rating(inputs: Inputs) -> f64 {
    let (ie, bpl) = impairment(inputs.codec);
    let loss = inputs.loss_percent.clamp(0.0, 100.0);
    // G.107 (7-29) with BurstR = 1.
    let ie_eff = ie + (95.0 - ie) * loss / (loss + bpl);
    (DEFAULT_RATING - delay_impairment(inputs.delay) - ie_eff).max(0.0)
}

/// MOS of a rating (G.107 annex B), 1.0..=4.5.
pub fn mos(rating: f64) -> f64 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// `Idd` of G.107 (7-27): none up to 100 ms.
fn delay_impairment(delay: Duration) -> f64 {
    let delay_ms = delay.as_secs_f64() * 1_000.0;
    if delay_ms <= 100.0 {
        return 0.0;
    }
    let x = (delay_ms / 100.0).log2();
    let term = |y: f64| (1.0 + y.powi(6)).powf(1.0 / 6.0);
    25.0 * (term(x) - 3.0 * term(x / 3.0) + 2.0)
}

/// `Ie` and `Bpl`.
const fn impairment(codec: CodecKind) -> (f64, f64) {
    match codec {
        CodecKind::Pcmu | CodecKind::Pcma | CodecKind::G722 | CodecKind::Opus | CodecKind::L16 => {
            (0.0, 25.1)
        }
    }
}

const DEFAULT_RATING: f64 = 93.2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_and_scores_are_those_of_the_recommendation() {
        let ms = Duration::from_millis;
        // Loss, delay, R in tenths, MOS in hundredths. 4.41 is G.107's own figure for its defaults,
        // the delay column follows its figure I.2 (no echo): 0 dB below 100 ms, about 3 at 200.
        let rows = [
            (0.0, ms(0), 932, 441),
            (1.0, ms(0), 896, 433),
            (5.0, ms(0), 774, 392),
            (20.0, ms(0), 511, 263),
            (100.0, ms(0), 173, 118),
            (0.0, ms(100), 932, 441),
            (0.0, ms(200), 902, 434),
            (0.0, ms(400), 691, 356),
        ];
        for (loss_percent, delay, r, score) in rows {
            let rating = rating(Inputs { codec: CodecKind::Pcmu, loss_percent, delay });
            let found = ((rating * 10.0).round() as i32, (mos(rating) * 100.0).round() as i32);
            assert_eq!(found, (r, score), "{loss_percent} % {delay:?}");
        }
    }

    #[test]
    fn a_score_stays_in_its_range_whatever_the_inputs() {
        for loss_percent in [-1.0, 0.0, 50.0, 1e9, f64::INFINITY] {
            for delay in [Duration::ZERO, Duration::from_secs(60), Duration::MAX] {
                let rating = rating(Inputs { codec: CodecKind::Opus, loss_percent, delay });
                assert!((1.0..=4.5).contains(&mos(rating)), "{loss_percent} {delay:?}: {rating}");
            }
        }
    }
}
