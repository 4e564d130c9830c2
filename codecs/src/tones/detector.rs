//! Recognises DTMF digits.
//!
//! Audio is looked at in blocks of 10 ms. Of each, inner products with eight tones tell how much energy the
//! row and the column that stand out hold; only when three blocks in a row agree on a key are
//! these 30 ms examined: frequencies, levels, twist, steadiness, and that nothing else sounds.

use super::sine::sin_turns;
use super::{COLUMNS_HZ, KEYS, ROWS_HZ};
use crate::dsp::pitch::dot;

/// DTMF detector over 8 or 16 kHz PCM, with the limits of ITU-T Q.24 (AT&T's column).
///
/// Recognises tones of 40 ms with pauses of 40 ms, within ±1.5 % of their frequencies (beyond
/// ±3.5 %: refused), from −36 to 0 dBm0 per frequency, with the column from 8 dB below to 4 dB
/// above its row, in noise 15 dB below. Speech is refused because it holds more than two sines.
#[derive(Debug)]
pub struct DtmfDetector {
    decimator: Option<Decimator>,
    /// The last three blocks, oldest first; the newest grows.
    window: [f32; WINDOW],
    /// Samples in the newest block, in 0..`BLOCK`.
    filled: usize,
    /// Key that stood out in the last block.
    last: Option<Key>,
    /// Blocks in a row in which it did.
    run: u32,
    /// Whether the block before was not looked at.
    skipped: bool,
    pressed: Option<Pressed>,
}

impl DtmfDetector {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        Self {
            decimator: (rate_hz == 16_000).then(Decimator::default),
            window: [0.0; WINDOW],
            filled: 0,
            last: None,
            run: 0,
            skipped: false,
            pressed: None,
        }
    }

    /// Takes audio, 60 ms at most at a time; returns a digit when one has just been recognised
    /// (once per press).
    pub fn push(&mut self, pcm: &[i16]) -> Option<char> {
        let mut digit = None;
        let mut rest = pcm;
        while !rest.is_empty() {
            rest = self.fill(rest);
            if self.filled == BLOCK {
                self.filled = 0;
                digit = self.block().or(digit);
                self.window.copy_within(BLOCK.., 0);
            }
        }
        digit
    }

    /// Adds to the newest block what it has room for; returns what is left.
    fn fill<'a>(&mut self, pcm: &'a [i16]) -> &'a [i16] {
        let room = &mut self.window[WINDOW - BLOCK + self.filled..];
        let Some(decimator) = &mut self.decimator else {
            let (now, rest) = pcm.split_at(pcm.len().min(room.len()));
            for (to, sample) in room.iter_mut().zip(now) {
                *to = f32::from(*sample);
            }
            self.filled += now.len();
            return rest;
        };
        let (now, rest) = pcm.split_at(pcm.len().min(2 * room.len() - usize::from(decimator.odd)));
        let smooth = now.iter().filter_map(|sample| decimator.next(f32::from(*sample)));
        for (to, sample) in room.iter_mut().zip(smooth) {
            *to = sample;
            self.filled += 1;
        }
        rest
    }

    /// Looks at a full block, and at the window when it is worth it.
    fn block(&mut self) -> Option<char> {
        // While nothing sounds, every other block will do: a tone fills three.
        if self.last.is_none() && self.pressed.is_none() && !self.skipped {
            self.skipped = true;
            return None;
        }
        let (earlier, newest) = self.window.split_at(WINDOW - BLOCK);
        let energy = dot(newest, newest);
        let key = standing_out(newest, energy);
        if std::mem::take(&mut self.skipped) && key.is_some() {
            let skipped = &earlier[WINDOW - 2 * BLOCK..];
            (self.last, self.run) = (standing_out(skipped, dot(skipped, skipped)), 1);
        }
        self.run = if key.is_some() && key == self.last { self.run + 1 } else { 1 };
        self.last = key;
        self.release(key, energy);
        let key = key.filter(|_| self.run >= BLOCKS)?;
        if self.pressed.is_some_and(|pressed| pressed.key == key) || !is_digit(&self.window, key) {
            return None;
        }
        self.pressed = Some(Pressed { key, energy, missed: 0 });
        Some(KEYS[key.row][key.column])
    }

    /// Notes whether the key that is down still sounds.
    fn release(&mut self, key: Option<Key>, energy: f32) {
        let Some(pressed) = &mut self.pressed else { return };
        let sounds = key == Some(pressed.key) && energy > pressed.energy * RELEASE_SHARE;
        pressed.missed = if sounds { 0 } else { pressed.missed + 1 };
        if pressed.missed >= RELEASE_BLOCKS {
            self.pressed = None;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    row: usize,
    column: usize,
}

/// A key that is down and has been told.
#[derive(Debug, Clone, Copy)]
struct Pressed {
    key: Key,
    /// Energy of a block of it.
    energy: f32,
    /// Blocks without it in a row.
    missed: u32,
}

/// Halves the rate; what folds onto the digits' band is 20 dB down.
#[derive(Debug, Clone, Copy, Default)]
struct Decimator {
    before: f32,
    middle: f32,
    odd: bool,
}

impl Decimator {
    fn next(&mut self, sample: f32) -> Option<f32> {
        let smooth = 0.25 * self.before + 0.5 * self.middle + 0.25 * sample;
        (self.before, self.middle) = (self.middle, sample);
        self.odd = !self.odd;
        (!self.odd).then_some(smooth)
    }
}

/// The key whose two tones hold most of the block's energy, if they hold enough.
fn standing_out(block: &[f32], energy: f32) -> Option<Key> {
    if energy < BLOCK_ENERGY_MIN {
        return None;
    }
    let mut products = [0.0; 2 * TONES];
    for (sample, row) in block.iter().zip(&BANK) {
        for (product, value) in products.iter_mut().zip(row) {
            *product += sample * value;
        }
    }
    let (cos, sin) = products.split_at(TONES);
    let strongest = |tones: std::ops::Range<usize>| {
        let powers = tones.map(|tone| cos[tone] * cos[tone] + sin[tone] * sin[tone]);
        powers.enumerate().fold((0, 0.0), |best, power| if power.1 > best.1 { power } else { best })
    };
    let (row, row_power) = strongest(0..ROWS_HZ.len());
    let (column, column_power) = strongest(ROWS_HZ.len()..TONES);
    // A sine of amplitude a has energy a²·n/2 and power (a·n/2)².
    let share = (row_power + column_power) * 2.0 / BLOCK as f32 / energy;
    (share > BLOCK_SHARE_MIN).then_some(Key { row, column })
}

/// Whether the window holds the two tones of `key` and nothing else, throughout.
fn is_digit(window: &[f32; WINDOW], key: Key) -> bool {
    let mut tapered = *window;
    let mut energy = 0.0;
    for (sample, taper) in tapered.iter_mut().zip(&HANN) {
        *sample *= taper;
        energy += *sample * *sample;
    }
    let row = Tone::measure(&tapered, ROWS_HZ[key.row]);
    let column = Tone::measure(&tapered, COLUMNS_HZ[key.column]);
    let twist = column.power / row.power;
    let share = (row.power + column.power) / energy;
    row.is_in_tune()
        && column.is_in_tune()
        && row.power.min(column.power) > TONE_POWER_MIN
        && (TWIST_MIN..=TWIST_MAX).contains(&twist)
        && share > SHARE_MIN
        && is_steady(window)
}

/// Whether the window sounds from its start to its end: tones of under 25 ms do not.
fn is_steady(window: &[f32; WINDOW]) -> bool {
    let energies = window.chunks_exact(STEADY_BLOCK).map(|block| dot(block, block));
    let (least, most) =
        energies.fold((f32::MAX, 0.0f32), |(least, most), e| (least.min(e), most.max(e)));
    least > most * STEADY_SHARE
}

/// A sine found near a frequency.
#[derive(Debug, Clone, Copy)]
struct Tone {
    nominal_hz: f32,
    off_hz: f32,
    /// Its energy in a window tapered by [`HANN`].
    power: f32,
}

impl Tone {
    fn measure(tapered: &[f32; WINDOW], nominal_hz: f32) -> Self {
        let below = magnitude(tapered, nominal_hz - BIN_HZ);
        let at = magnitude(tapered, nominal_hz);
        let above = magnitude(tapered, nominal_hz + BIN_HZ);
        // For a Hann window this is exact between −1 and 1, and still grows beyond.
        let off = 2.0 * (above - below) / (below + 2.0 * at + above + f32::MIN_POSITIVE);
        // Σ over the lobe of a Hann window: 1² + 2·(½)² for the three bins around a sine.
        let power = (below.powi(2) + at.powi(2) + above.powi(2)) * 2.0 / WINDOW as f32;
        Self { nominal_hz, off_hz: off * BIN_HZ, power }
    }

    fn is_in_tune(self) -> bool {
        self.off_hz.abs() < self.nominal_hz * OFF_TUNE_MAX
    }
}

/// Magnitude of the spectrum at `frequency_hz`, by Goertzel's recursion.
fn magnitude(samples: &[f32], frequency_hz: f32) -> f32 {
    let coefficient = 2.0 * (std::f32::consts::TAU * frequency_hz / RATE_HZ as f32).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in samples {
        (before, last) = (last, sample + coefficient * last - before);
    }
    (before * before + last * last - coefficient * before * last).max(0.0).sqrt()
}

/// The detector works at 8 kHz.
const RATE_HZ: usize = 8_000;
/// 10 ms.
const BLOCK: usize = 80;
/// Blocks examined: the most that a tone of 40 ms is sure to fill.
const BLOCKS: u32 = 3;
const WINDOW: usize = BLOCK * BLOCKS as usize;
/// Distance of the bins of a window, in Hz.
const BIN_HZ: f32 = RATE_HZ as f32 / WINDOW as f32;
/// Energy of a block at −40 dBm0: two tones of −36 dBm0 hold more, with 1 dB to spare each.
const BLOCK_ENERGY_MIN: f32 = BLOCK as f32 * 160.0 * 160.0;
/// Share of a block's energy that a key's tones hold, off tune and all.
const BLOCK_SHARE_MIN: f32 = 0.5;
/// Energy of one tone at −38 dBm0 in a tapered window (whose mean square is ⅜).
const TONE_POWER_MIN: f32 = WINDOW as f32 * 0.375 * 200.0 * 200.0;
/// Share of a window's energy that the two tones hold: noise 13 dB below both leaves 0.975.
const SHARE_MIN: f32 = 0.96;
/// Between the 1.5 % that must be accepted and the 3.5 % that must be refused; nearer to the first,
/// since speech comes near tones more often than phones go off tune.
const OFF_TUNE_MAX: f32 = 0.021;
/// Column against row, as power: −9 dB, since halving 16 kHz costs a column 0.6 dB.
const TWIST_MIN: f32 = 0.126;
/// Column against row, as power: +5 dB.
const TWIST_MAX: f32 = 3.16;
/// 5 ms: long enough that the beat of two tones evens out.
const STEADY_BLOCK: usize = BLOCK / 2;
const STEADY_SHARE: f32 = 0.45;
/// A key has gone when its energy falls by 10 dB,
const RELEASE_SHARE: f32 = 0.1;
/// for three blocks, which every pause of 40 ms has: a drop-out of 10 ms is not a second press.
const RELEASE_BLOCKS: u32 = 3;

/// Rows and columns.
const TONES: usize = ROWS_HZ.len() + COLUMNS_HZ.len();

/// For each sample of a block the cosines of all rows and columns, then their sines: one pass over
/// a block makes all inner products, and the compiler can keep them in vector registers.
static BANK: [[f32; 2 * TONES]; BLOCK] = {
    let mut bank = [[0.0; 2 * TONES]; BLOCK];
    let mut i = 0;
    while i < BLOCK {
        let mut tone = 0;
        while tone < TONES {
            let hz = if tone < 4 { ROWS_HZ[tone] } else { COLUMNS_HZ[tone - 4] };
            let turns = hz as f64 * i as f64 / RATE_HZ as f64;
            bank[i][tone] = sin_turns(turns + 0.25) as f32;
            bank[i][TONES + tone] = sin_turns(turns) as f32;
            tone += 1;
        }
        i += 1;
    }
    bank
};

/// Hann window.
static HANN: [f32; WINDOW] = {
    let mut hann = [0.0; WINDOW];
    let mut i = 0;
    while i < WINDOW {
        let turns = (i as f64 + 0.5) / WINDOW as f64;
        hann[i] = (0.5 - 0.5 * sin_turns(turns + 0.25)) as f32;
        i += 1;
    }
    hann
};
