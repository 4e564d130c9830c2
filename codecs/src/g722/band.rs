//! ADPCM of one band: adaptive quantiser and pole-zero predictor.

use std::array::from_fn;

use super::{Mode, limit_15, limit_16};

/// What the encoder and the decoder of a band know in common.
#[derive(Debug, Clone)]
pub(super) struct Band {
    range: Range,
    /// Logarithm of the quantiser's scale; in 0..=`range.log_max`.
    log_scale: i32,
    /// The quantiser's scale; positive, at most 16 bits.
    scale: i32,
    predictor: Predictor,
}

/// How the scale of a band is limited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    log_max: i32,
    /// Right shift that brings the table of powers to the band's scale, at `log_scale` 0.
    shift: i32,
}

pub(super) const LOW_RANGE: Range = Range { log_max: 18_432, shift: 8 };
pub(super) const HIGH_RANGE: Range = Range { log_max: 22_528, shift: 10 };

impl Band {
    pub(super) fn new(range: Range) -> Self {
        Self { range, log_scale: 0, scale: scale(0, range), predictor: Predictor::default() }
    }

    /// Six bits for one sample of the lower band.
    #[inline]
    pub(super) fn encode_low(&mut self, sample: i32) -> u8 {
        // SUBTRA and QUANTL.
        let error = saturate(sample - self.predictor.signal);
        let interval = low_interval(error, self.scale);
        let code = match interval {
            _ if error >= 0 => 62 - interval,
            1 | 2 => 64 - interval,
            _ => 34 - interval,
        };
        self.adapt_low(code >> 2);
        code
    }

    /// Two bits for one sample of the upper band.
    #[inline]
    pub(super) fn encode_high(&mut self, sample: i32) -> u8 {
        // SUBTRA and QUANTH.
        let error = saturate(sample - self.predictor.signal);
        let outer = one_complement_magnitude(error) >= (HIGH_DECISION * self.scale) >> 12;
        let code = match (error < 0, outer) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.adapt_high(code);
        code
    }

    /// The lower band's sample, limited to 15 bits.
    #[inline]
    pub(super) fn decode_low(&mut self, code: u8, mode: Mode) -> i32 {
        // INVQBL: the coarser modes output the middle of a wider interval; adaptation always
        // sees four bits, so that all modes track the encoder.
        let level = match mode {
            Mode::K64 => LOW_LEVELS_6[usize::from(code)],
            Mode::K56 => LOW_LEVELS_5[usize::from(code >> 1)],
            Mode::K48 => LOW_LEVELS_4[usize::from(code >> 2)],
        };
        let difference = (self.scale * i32::from(level)) >> 15;
        let sample = limit_15(self.predictor.signal + difference);
        self.adapt_low(code >> 2);
        sample
    }

    /// The upper band's sample, limited to 15 bits.
    #[inline]
    pub(super) fn decode_high(&mut self, code: u8) -> i32 {
        let predicted = self.predictor.signal;
        let difference = self.adapt_high(code);
        limit_15(predicted + difference)
    }

    #[inline]
    fn adapt_low(&mut self, code: u8) {
        let code = usize::from(code);
        let difference = (self.scale * i32::from(LOW_LEVELS_4[code])) >> 15;
        self.adapt_scale(LOW_LOG_STEPS[code]);
        self.predictor.advance(difference);
    }

    /// Returns the difference that `code` stands for.
    #[inline]
    fn adapt_high(&mut self, code: u8) -> i32 {
        let code = usize::from(code);
        let difference = (self.scale * i32::from(HIGH_LEVELS[code])) >> 15;
        self.adapt_scale(HIGH_LOG_STEPS[code]);
        self.predictor.advance(difference);
        difference
    }

    /// LOGSCL/LOGSCH and SCALEL/SCALEH.
    #[inline]
    fn adapt_scale(&mut self, step: i16) {
        let leaked = (self.log_scale * 32_512) >> 15;
        self.log_scale = (leaked + i32::from(step)).clamp(0, self.range.log_max);
        self.scale = scale(self.log_scale, self.range);
    }
}

/// Two poles and six zeros; G.722 clause 3.6.
#[derive(Debug, Clone, Default)]
struct Predictor {
    /// The next sample's prediction: poles' and zeros' part together.
    signal: i32,
    /// The zeros' part.
    from_zeros: i32,
    /// The last reconstructed sample.
    reconstructed: i32,
    /// Partially reconstructed samples (without the poles' part), newest first.
    partial: [i32; 2],
    poles: [i32; 2],
    /// Quantised differences, newest first.
    differences: [i32; 6],
    zeros: [i32; 6],
}

impl Predictor {
    /// Takes the quantised difference of one sample and predicts the next: the blocks RECONS,
    /// PARREC, UPPOL2, UPPOL1, UPZERO, DELAYA, FILTEP, FILTEZ and PREDIC, in this order.
    #[inline]
    fn advance(&mut self, difference: i32) {
        let reconstructed = saturate(self.signal + difference);
        let partial = saturate(self.from_zeros + difference);
        self.adapt_poles(partial);
        self.partial = [partial, self.partial[0]];
        self.adapt_zeros(difference);
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        let from_poles = saturate(
            product(self.poles[0], saturate(2 * reconstructed))
                + product(self.poles[1], saturate(2 * self.reconstructed)),
        );
        self.reconstructed = reconstructed;
        self.from_zeros = self.filter_zeros();
        self.signal = saturate(from_poles + self.from_zeros);
    }

    #[inline]
    fn adapt_poles(&mut self, partial: i32) {
        let same_sign = |other: i32| (partial ^ other) >= 0;
        let (like_last, like_older) = (same_sign(self.partial[0]), same_sign(self.partial[1]));
        // UPPOL2.
        let first = saturate(4 * self.poles[0]);
        let first = if like_last { saturate(-first) } else { first };
        let step = (first >> 7) + if like_older { 128 } else { -128 };
        let second = saturate(step + product(self.poles[1], 32_512)).clamp(-12_288, 12_288);
        // UPPOL1: the first pole is held inside the triangle of stability.
        let limit = 15_360 - second;
        let step = if like_last { 192 } else { -192 };
        let first = saturate(step + product(self.poles[0], 32_640)).clamp(-limit, limit);
        self.poles = [first, second];
    }

    #[inline]
    fn adapt_zeros(&mut self, difference: i32) {
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, older) in self.zeros.iter_mut().zip(&self.differences) {
            let step = if (difference ^ older) >= 0 { step } else { -step };
            // A product with 32,640 in Q15 is one with 255/256, rounded down.
            *zero = saturate(step + *zero + (-*zero >> 8));
        }
    }

    #[inline]
    fn filter_zeros(&self) -> i32 {
        // No scale exceeds 2¹⁴, so that twice a difference fits 16 bits.
        let products: [i32; 6] = from_fn(|n| product(self.zeros[n], 2 * self.differences[n]));
        // Every sum saturates, oldest first; nearly always none does, in whatever order.
        let bound: i32 = products.iter().map(|product| product.abs()).sum();
        if bound <= i16::MAX.into() {
            return products.iter().sum();
        }
        products.iter().rev().fold(0, |sum, product| saturate(sum + product))
    }
}

/// QUANTL: in 1..=30, which of the lower band's decision intervals an error falls into.
#[inline]
fn low_interval(error: i32, scale: i32) -> u8 {
    let magnitude = one_complement_magnitude(error);
    let below = |decision: &i16| magnitude >= (i32::from(*decision) * scale) >> 12;
    1 + LOW_DECISIONS.partition_point(below) as u8
}

#[inline]
fn scale(log_scale: i32, range: Range) -> i32 {
    let power = i32::from(POWERS[(log_scale >> 6 & 31) as usize]);
    let shift = range.shift - (log_scale >> 11);
    let scale = if shift < 0 { power << -shift } else { power >> shift };
    scale << 2
}

#[inline]
fn one_complement_magnitude(value: i32) -> i32 {
    value ^ (value >> 31)
}

/// A product in Q15.
#[inline]
fn product(a: i32, b: i32) -> i32 {
    (a * b) >> 15
}

#[inline]
fn saturate(value: i32) -> i32 {
    limit_16(value).into()
}

/// G.722 table 14: decision values of the six-bit quantiser.
const LOW_DECISIONS: [i16; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// G.722 table 14: the upper band's only decision value.
const HIGH_DECISION: i32 = 564;

/// Output levels of the lower band by six, five and four bits of code (tables 17 to 19).
const LOW_LEVELS_6: [i16; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const LOW_LEVELS_5: [i16; 32] = [
    -280, -280, -23352, -17560, -14120, -11664, -9752, -8184, -6864, -5712, -4696, -3784, -2960,
    -2208, -1520, -880, 23352, 17560, 14120, 11664, 9752, 8184, 6864, 5712, 4696, 3784, 2960, 2208,
    1520, 880, 280, -280,
];
const LOW_LEVELS_4: [i16; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
/// Output levels of the upper band by code.
const HIGH_LEVELS: [i16; 4] = [-7408, -1616, 7408, 1616];

/// What a code adds to the logarithm of its band's scale (W_L by four bits, W_H by two).
const LOW_LOG_STEPS: [i16; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const HIGH_LOG_STEPS: [i16; 4] = [798, -214, 798, -214];

/// 2,048 times 2 to the power of n/32 (ILB).
const POWERS: [i16; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
