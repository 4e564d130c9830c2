//! Markers: short sweeps between two silences, which are found again in what is heard.
//!
//! A sweep survives G.711, G.722, Opus and a jitter buffer, and its correlation with itself has one
//! narrow peak, so that it is placed to a fraction of a millisecond. It is found in two steps, so
//! that thousands of legs can be listened to: a silence, then sound that is over after about as long
//! as a sweep lasts, by the energy of 5 ms blocks; only such a stretch is correlated.

use std::f32::consts::TAU;

/// Which way a marker's pitch goes. Two ends of a call that both speak use one each: a leg finds
/// only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sweep {
    /// From low to high: callers.
    #[default]
    Rising,
    /// From high to low: callees.
    Falling,
}

impl Sweep {
    /// The marker itself, at any rate from 8,000 Hz on.
    pub(super) fn samples(self, rate_hz: u32) -> Vec<i16> {
        let rate = rate_hz as f32;
        let count = (rate * SECONDS) as usize;
        let shape = |n: usize| {
            let t = n as f32 / rate;
            let slope = (HIGH_HZ - LOW_HZ) / SECONDS;
            let phase = match self {
                Self::Rising => LOW_HZ * t + slope * t * t / 2.0,
                Self::Falling => HIGH_HZ * t - slope * t * t / 2.0,
            };
            let edge = t.min(SECONDS - t).min(FADE_SECONDS) / FADE_SECONDS;
            let fade = (1.0 - (edge * TAU / 2.0).cos()) / 2.0;
            (AMPLITUDE * fade * (TAU * phase).sin()) as i16
        };
        (0..count).map(shape).collect()
    }
}

/// Finds markers in a stream of 8 kHz audio.
#[derive(Debug)]
pub(super) struct Finder {
    template: Box<[f32]>,
    template_energy: f32,
    /// Blocks of silence just heard.
    quiet: u32,
    /// A stretch that may be a marker: its first block is the one before the sound began.
    stretch: Box<[i16; STRETCH]>,
    /// Samples of it so far; fewer than two blocks: none was begun.
    filled: usize,
    /// Samples that wait for their block to be full.
    partial: usize,
}

impl Finder {
    /// Looks for `sweep`.
    pub(super) fn new(sweep: Sweep) -> Self {
        let template: Box<[f32]> = sweep.samples(FINDER_HZ).into_iter().map(f32::from).collect();
        Self {
            template_energy: dot(&template, &template),
            template,
            quiet: 0,
            stretch: Box::new([0; STRETCH]),
            filled: 0,
            partial: 0,
        }
    }

    /// Takes the next `pcm` (8 kHz). When a marker has become complete: where it began, in samples
    /// relative to the first of `pcm` (negative: before it).
    pub(super) fn push(&mut self, pcm: &[i16]) -> Option<i32> {
        let mut found = None;
        for (at, &sample) in pcm.iter().enumerate() {
            self.stretch[self.filled + self.partial] = sample;
            self.partial += 1;
            if self.partial == BLOCK {
                self.partial = 0;
                let end = at as i32 + 1;
                found = self.block().map(|start| end - STRETCH as i32 + start).or(found);
            }
        }
        found
    }

    /// Something is missing in the stream here: a stretch across it is none.
    pub(super) fn interrupt(&mut self) {
        self.filled = 0;
        self.partial = 0;
    }

    /// Nothing that was heard before says anything about what comes now.
    pub(super) fn restart(&mut self) {
        self.interrupt();
        self.quiet = 0;
    }

    /// A block is full, at `filled`. Where in the stretch a marker begins, if one is complete.
    fn block(&mut self) -> Option<i32> {
        let block = &self.stretch[self.filled..self.filled + BLOCK];
        let loud = is_loud(block);
        if self.filled >= 2 * BLOCK {
            self.filled += BLOCK;
            self.quiet = if loud { 0 } else { self.quiet + 1 };
            if self.filled < STRETCH {
                return None;
            }
            self.filled = 0;
            return self.correlate();
        }
        if loud && self.quiet >= QUIET_BLOCKS && self.filled == BLOCK {
            self.quiet = 0;
            self.filled = 2 * BLOCK;
            return None;
        }
        self.quiet = if loud { 0 } else { self.quiet.saturating_add(1) };
        // The block before the sound begins is kept: the sweep fades in.
        self.stretch.copy_within(self.filled..self.filled + BLOCK, 0);
        self.filled = BLOCK;
        None
    }

    fn correlate(&self) -> Option<i32> {
        // Speech goes on; a sweep is over.
        if self.stretch[STRETCH - TAIL_BLOCKS * BLOCK..].chunks_exact(BLOCK).any(is_loud) {
            return None;
        }
        let stretch = self.stretch.map(f32::from);
        let score = |lag: usize| {
            let part = &stretch[lag..lag + self.template.len()];
            let product = dot(part, &self.template);
            product * product.abs() / (dot(part, part) * self.template_energy).max(1.0)
        };
        let lags = 0..=STRETCH - self.template.len();
        let (lag, best) = lags.map(|lag| (lag, score(lag))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        (best >= SCORE_MIN).then_some(lag as i32)
    }
}

fn is_loud(block: &[i16]) -> bool {
    vox_codecs::dsp::level::energy(block) > LOUD_ENERGY
}

/// In eight sums, so that they are made at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for n in 0..8 {
            sums[n] += a[n] * b[n];
        }
    }
    sums.iter().sum()
}

/// Silence on both sides of a marker.
pub(super) const SILENCE_SECONDS: f32 = 0.22;
/// Length of a marker.
pub(super) const SECONDS: f32 = 0.04;
/// The rate markers are looked for at.
pub(super) const FINDER_HZ: u32 = 8_000;
const LOW_HZ: f32 = 500.0;
const HIGH_HZ: f32 = 2_100.0;
const FADE_SECONDS: f32 = 0.004;
/// −10 dBov.
const AMPLITUDE: f32 = 10_000.0;
/// 5 ms at 8 kHz.
const BLOCK: usize = 40;
/// A block before, the marker's eight, and as many behind as codecs smear it over.
const STRETCH: usize = 15 * BLOCK;
/// At the stretch's end it must be quiet again.
const TAIL_BLOCKS: usize = 2;
/// 150 ms.
const QUIET_BLOCKS: u32 = 30;
/// Above −40 dBov, 30 dB below a marker: noise and the residue of codecs are softer.
const LOUD_ENERGY: u64 = (328 * 328) * BLOCK as u64;
/// Square of the normalised correlation, with its sign. Other sounds reach a tenth of it.
const SCORE_MIN: f32 = 0.4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks for a rising marker in frames of 20 ms; where it is found.
    fn find(pcm: &[i16]) -> Vec<i32> {
        let mut finder = Finder::new(Sweep::Rising);
        pcm.chunks(160)
            .enumerate()
            .filter_map(|(frame, pcm)| Some(finder.push(pcm)? + frame as i32 * 160))
            .collect()
    }

    /// Silence, the marker scaled down by `divisor`, silence.
    fn around(sweep: Sweep, before: usize, divisor: i16) -> Vec<i16> {
        let marker = sweep.samples(FINDER_HZ).into_iter().map(|s| s / divisor);
        let mut pcm = vec![0; before];
        pcm.extend(marker);
        pcm.extend([0; 1_600]);
        pcm
    }

    #[test]
    fn a_marker_is_found_where_it_is_whatever_its_place_in_the_frame() {
        for before in [1_300, 1_301, 1_399, 1_440, 1_459, 1_777] {
            for divisor in [1, 4, 10] {
                let found = find(&around(Sweep::Rising, before, divisor));
                let [found] = found[..] else { panic!("{before} {divisor}: {found:?}") };
                assert!((found - before as i32).abs() <= 1, "{before}: {found}");
            }
        }
    }

    #[test]
    fn nothing_else_is_a_marker() {
        let speech = crate::generator::Speech::synthetic(8.0, FINDER_HZ);
        let tone: Vec<i16> =
            (0..8_000).map(|n| ((n as f32 * 0.785).sin() * 9_000.0) as i16).collect();
        let rows = [
            ("the other sweep", around(Sweep::Falling, 1_600, 1)),
            ("too little silence before", around(Sweep::Rising, 800, 1)),
            ("speech", speech),
            ("a tone", [vec![0; 1_600], tone].concat()),
            ("a click", [vec![0; 1_600], vec![20_000; 30], vec![0; 1_600]].concat()),
            (
                "noise",
                (0..80_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as i16 / 8).collect(),
            ),
        ];
        for (what, pcm) in rows {
            assert_eq!(find(&pcm), Vec::<i32>::new(), "{what}");
        }
    }

    #[test]
    fn what_is_interrupted_is_not_found_and_the_next_one_is() {
        let once = around(Sweep::Rising, 1_600, 1);
        let mut finder = Finder::new(Sweep::Rising);
        let mut found = 0;
        for n in 0..2 {
            for (frame, pcm) in once.chunks(160).enumerate() {
                if n == 0 && frame == 11 {
                    finder.interrupt();
                }
                found += usize::from(finder.push(pcm).is_some());
            }
        }
        assert_eq!(found, 1);
    }
}
