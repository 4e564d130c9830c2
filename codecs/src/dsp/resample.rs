//! Low-delay polyphase resampling among 8, 16, 24 and 48 kHz.
//!
//! One windowed-sinc low pass (Kaiser) for each pair of rates, cut into phases so that only the
//! products that reach an output sample are computed. The filter is flat to 85 % of the lower
//! rate's half (87.5 % for 16 kHz) and closed at that half: nothing folds back, not even into the
//! transition band. Steeper would be longer; the delay is half the filter's length.
//!
//! | lower rate | flat within 0.5 dB to | alias and image below −80 dB from | delay |
//! |---|---|---|---|
//! | 8 kHz | 3.4 kHz | 4 kHz | 3.5 ms |
//! | 16 kHz | 7 kHz | 8 kHz | 2.125 ms |
//! | 24 kHz | 10.2 kHz | 12 kHz | 1.17 ms |

use std::array::from_fn;
use std::f64::consts::PI;
use std::sync::OnceLock;

/// A streaming resampler of mono PCM.
#[derive(Debug)]
pub struct Resampler {
    /// `None` when both rates are the same.
    filter: Option<Filter>,
}

impl Resampler {
    /// Equal rates pass through.
    ///
    /// # Panics
    /// When a rate is not 8,000, 16,000, 24,000 or 48,000.
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        for rate_hz in [from_hz, to_hz] {
            assert!(RATES_HZ.contains(&rate_hz), "{rate_hz} Hz is not one of {RATES_HZ:?}");
        }
        Self { filter: (from_hz != to_hz).then(|| Filter::new(from_hz, to_hz)) }
    }

    /// Resamples `input` into `output`; returns the samples written: over a whole stream
    /// `to / from` for each input sample, rounded up.
    ///
    /// # Panics
    /// When `output` holds fewer than `input.len() * to / from + 1` samples and they are needed.
    pub fn process(&mut self, input: &[i16], output: &mut [i16]) -> usize {
        let Some(filter) = &mut self.filter else {
            output[..input.len()].copy_from_slice(input);
            return input.len();
        };
        let mut written = 0;
        for block in input.chunks(BLOCK_SAMPLES) {
            written += filter.process(block, &mut output[written..]);
        }
        written
    }

    /// The filter's group delay at the output rate. It is a whole number of samples at either rate.
    pub fn delay_samples(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| filter.delay_samples)
    }
}

#[derive(Debug)]
struct Filter {
    bank: &'static Bank,
    delay_samples: usize,
    /// The inputs that a filter still needs, oldest first, and room for a block behind them.
    line: Box<[f32]>,
    /// Where the next output lies after the newest input, in 1/`up` of an input sample.
    phase: usize,
}

impl Filter {
    fn new(from_hz: u32, to_hz: u32) -> Self {
        let bank = bank(from_hz, to_hz);
        let lower_hz = from_hz.min(to_hz);
        Self {
            bank,
            delay_samples: (shape(lower_hz).delay_samples * to_hz / lower_hz) as usize,
            line: vec![0.0; bank.taps - 1 + BLOCK_SAMPLES].into(),
            phase: 0,
        }
    }

    fn process(&mut self, block: &[i16], output: &mut [i16]) -> usize {
        let Bank { taps, up, down, .. } = *self.bank;
        let history = taps - 1;
        for (slot, sample) in self.line[history..].iter_mut().zip(block) {
            *slot = f32::from(*sample);
        }
        let mut written = 0;
        for newest in 0..block.len() {
            let window = &self.line[newest..][..taps];
            while self.phase < up {
                let coefficients = &self.bank.coefficients[self.phase * taps..][..taps];
                output[written] = to_sample(dot(window, coefficients));
                written += 1;
                self.phase += down;
            }
            self.phase -= up;
        }
        self.line.copy_within(block.len()..block.len() + history, 0);
        written
    }
}

/// The filter of a pair of rates; the same for all calls, so that they share it in the cache.
#[derive(Debug)]
struct Bank {
    /// Output samples for `down` input samples.
    up: usize,
    down: usize,
    /// Of each phase; a multiple of [`LANES`].
    taps: usize,
    /// `up` phases, each in the order of a line whose oldest sample comes first.
    coefficients: Box<[f32]>,
}

/// What a filter looks like, by its lower rate.
struct Shape {
    /// Half the filter's length, in samples of the lower rate.
    delay_samples: u32,
    /// Where the ideal low pass would cut, relative to the lower rate.
    cutoff: f64,
}

fn shape(lower_hz: u32) -> Shape {
    match lower_hz {
        16_000 => Shape { delay_samples: 34, cutoff: 7_355.0 / 16_000.0 },
        _ => Shape { delay_samples: 28, cutoff: 3_614.0 / 8_000.0 },
    }
}

fn bank(from_hz: u32, to_hz: u32) -> &'static Bank {
    static BANKS: [OnceLock<Bank>; RATES_HZ.len() * RATES_HZ.len()] =
        [const { OnceLock::new() }; RATES_HZ.len() * RATES_HZ.len()];
    let place = |hz| RATES_HZ.iter().position(|rate| *rate == hz).expect("new() has checked it");
    BANKS[place(from_hz) * RATES_HZ.len() + place(to_hz)].get_or_init(|| Bank::new(from_hz, to_hz))
}

impl Bank {
    fn new(from_hz: u32, to_hz: u32) -> Self {
        let divisor = greatest_common_divisor(from_hz, to_hz);
        let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        let lower_hz = from_hz.min(to_hz);
        let prototype = prototype(&shape(lower_hz), up as u32 * from_hz / lower_hz);
        let taps = prototype.len().div_ceil(up).next_multiple_of(LANES);
        let mut coefficients = vec![0.0; up * taps].into_boxed_slice();
        for (phase, coefficients) in coefficients.chunks_mut(taps).enumerate() {
            let own = || prototype.iter().skip(phase).step_by(up);
            // Equal gain for DC in all phases: a constant has no image at all.
            let sum: f64 = own().sum();
            for (coefficient, value) in coefficients.iter_mut().rev().zip(own()) {
                *coefficient = (value / sum) as f32;
            }
        }
        Self { up, down, taps, coefficients }
    }
}

/// The low pass at a rate that is `factor` times the lower one.
fn prototype(shape: &Shape, factor: u32) -> Vec<f64> {
    let half = i64::from(shape.delay_samples * factor);
    let cutoff = shape.cutoff / f64::from(factor);
    let tap = |n: i64| {
        let x = 2.0 * PI * cutoff * n as f64;
        let sinc = if n == 0 { 1.0 } else { x.sin() / x };
        let position = n as f64 / half as f64;
        sinc * bessel_i0(KAISER_BETA * (1.0 - position * position).sqrt())
    };
    (-half..=half).map(tap).collect()
}

/// The modified Bessel function of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

#[inline]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 4];
    sum_products(a, b, &mut sums);
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

/// Four interleaved sums, in memory and not inlined: so the compiler uses whole vectors, where
/// with the last additions in sight it falls back to halves of them.
#[inline(never)]
fn sum_products(a: &[f32], b: &[f32], sums: &mut [f32; 4]) {
    let mut lanes = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    *sums = from_fn(|n| (lanes[n] + lanes[n + 4]) + (lanes[n + 8] + lanes[n + 12]));
}

/// Rounds to the nearest sample, saturating.
#[inline]
fn to_sample(value: f32) -> i16 {
    // Adding 1.5 · 2²³ leaves no bits for a fraction: rounds without a call into the C library,
    // which is what `round` is on a processor that is only known to have SSE2.
    const NO_FRACTION: f32 = 12_582_912.0;
    let bounded = value.clamp(f32::from(i16::MIN), f32::from(i16::MAX));
    ((bounded + NO_FRACTION) - NO_FRACTION) as i16
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The rates that media legs, agents and recordings use.
const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];
/// Stop-band attenuation of 83 dB at these lengths and cut-offs.
const KAISER_BETA: f64 = 8.2;
const LANES: usize = 16;
/// 20 ms at the middle rate.
const BLOCK_SAMPLES: usize = 320;
