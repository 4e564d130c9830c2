//! Voice activity: an energy gate on every frame, and `earshot`, a small neural network, behind it.
//!
//! ```text
//! frame ─► loud enough? (over the noise, over our own echo) ─► sounds like speech? ─► 3 of 4 frames ─► started
//!                │ no: nothing else is done                        (16 ms windows)     300 ms without ─► stopped
//! ```
//!
//! The gate is what most frames cost: a level and two comparisons. The network runs on frames that
//! pass it only.

use std::fmt;

use vox_codecs::dsp::level::energy;
use vox_codecs::dsp::resample::Resampler;

use crate::pipeline::{Edge, Heard};

/// How speech is detected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VadOptions {
    /// `earshot` behind the energy gate: noises that are loud but no speech are told apart. Off by
    /// default: it finds speech some 80 ms later, and its 50 µs for each frame of speech are more
    /// than everything else that is done to it.
    pub neural: bool,
    /// Frames of 20 ms without speech after which it is over.
    pub hang_over_frames: u8,
    /// While the agent speaks, the caller must be louder than its audio of the last 400 ms less this
    /// many dB: what comes back of it as an echo is no speech.
    pub echo_margin_db: f32,
}

impl Default for VadOptions {
    fn default() -> Self {
        Self { neural: false, hang_over_frames: 15, echo_margin_db: 15.0 }
    }
}

/// Finds a caller's speech. Says that it started with the third frame of four that hold some: 60 ms
/// after a sharp beginning; in recorded speech 80 ms in the middle and 100 ms for 95 of 100, with the
/// network 160 and 280 ms (`ears barge-in` in `benches/`).
pub struct Vad {
    options: VadOptions,
    /// Level of the noise, dBov.
    floor: f32,
    /// The agent's levels of the last frames, dBov, newest last.
    sent: [f32; ECHO_FRAMES],
    /// Which of the last frames hold speech, the newest in bit 0.
    recent: u8,
    speaking: bool,
    /// Frames since the last one with speech.
    quiet: u8,
    network: Option<Box<Network>>,
}

/// The network and what it needs: windows of 256 samples at 16 kHz.
struct Network {
    detector: earshot::Detector,
    to_16k: Resampler,
    window: [i16; WINDOW + FRAME_16K],
    filled: usize,
    score: f32,
}

impl fmt::Debug for Vad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vad").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Vad {
    /// Allocates all that it will ever need.
    pub fn new(options: VadOptions) -> Self {
        let network = options.neural.then(|| {
            Box::new(Network {
                detector: earshot::Detector::default(),
                to_16k: Resampler::new(8_000, 16_000),
                window: [0; WINDOW + FRAME_16K],
                filled: 0,
                score: 0.0,
            })
        });
        Self {
            options,
            floor: FLOOR_START_DBOV,
            sent: [SILENCE_DBOV; ECHO_FRAMES],
            recent: 0,
            speaking: false,
            quiet: u8::MAX,
            network,
        }
    }

    /// The caller's next 20 ms at 8,000 or 16,000 Hz.
    pub fn push(&mut self, rate_hz: u32, caller: &[i16]) -> Heard {
        let level = level(caller);
        let loud = level > self.gate();
        self.learn(level, loud);
        let speech = loud && self.sounds_like_speech(rate_hz, caller);
        if !loud && let Some(network) = &mut self.network {
            network.filled = 0;
        }
        self.recent = self.recent << 1 | u8::from(speech);
        self.quiet = if speech { 0 } else { self.quiet.saturating_add(1) };
        Heard { edge: self.edge(), speech }
    }

    /// What went out to the caller in the same 20 ms.
    pub fn sent(&mut self, agent: &[i16]) {
        self.sent.rotate_left(1);
        self.sent[ECHO_FRAMES - 1] = level(agent);
    }

    fn edge(&mut self) -> Option<Edge> {
        let window = self.recent & START_WINDOW;
        if !self.speaking && window.count_ones() >= START_FRAMES {
            self.speaking = true;
            // The oldest of them.
            let frames_ago = (u8::BITS - 1 - window.leading_zeros()) as u8;
            return Some(Edge::Started { frames_ago });
        }
        if self.speaking && self.quiet >= self.options.hang_over_frames {
            self.speaking = false;
            return Some(Edge::Stopped { frames_ago: self.quiet });
        }
        None
    }

    /// Levels below this are no speech.
    fn gate(&self) -> f32 {
        let echo = self.sent.iter().copied().fold(SILENCE_DBOV, f32::max);
        let over_echo = echo - self.options.echo_margin_db;
        (self.floor + OVER_NOISE_DB).max(GATE_MIN_DBOV).max(over_echo)
    }

    /// Follows the noise: down at once, up slowly, and not with what is loud.
    fn learn(&mut self, level: f32, loud: bool) {
        let pace = match (level < self.floor, loud) {
            (true, _) => 0.2,
            (false, false) => 0.02,
            // A noise that stays is no speech after some ten seconds.
            (false, true) => 0.001,
        };
        self.floor = (self.floor + pace * (level - self.floor)).clamp(FLOOR_MIN_DBOV, -20.0);
    }

    fn sounds_like_speech(&mut self, rate_hz: u32, caller: &[i16]) -> bool {
        match &mut self.network {
            Some(network) => network.push(rate_hz, caller) >= SPEECH_SCORE,
            None => true,
        }
    }
}

impl Network {
    /// The score of the newest window that is whole.
    fn push(&mut self, rate_hz: u32, caller: &[i16]) -> f32 {
        let mut wide = [0; FRAME_16K + 2];
        let samples = if rate_hz == 16_000 {
            caller
        } else {
            let count = self.to_16k.process(caller, &mut wide);
            &wide[..count]
        };
        let samples = &samples[..samples.len().min(FRAME_16K)];
        self.window[self.filled..][..samples.len()].copy_from_slice(samples);
        self.filled += samples.len();
        if self.filled >= WINDOW {
            self.score = self.detector.predict_i16(&self.window[..WINDOW]);
            self.window.copy_within(WINDOW..self.filled, 0);
            self.filled -= WINDOW;
        }
        // One frame in four brings two windows.
        if self.filled >= WINDOW {
            self.score = self.score.max(self.detector.predict_i16(&self.window[..WINDOW]));
            self.window.copy_within(WINDOW..self.filled, 0);
            self.filled -= WINDOW;
        }
        self.score
    }
}

/// In dBov.
fn level(pcm: &[i16]) -> f32 {
    let mean_square = energy(pcm) as f32 / pcm.len().max(1) as f32;
    (10.0 * (mean_square / (32_768.0 * 32_768.0)).log10()).max(SILENCE_DBOV)
}

/// Speech starts with so many of the last four frames.
const START_FRAMES: u32 = 3;
const START_WINDOW: u8 = 0b1111;
/// Of the network: from it on is speech. Narrow-band noise stays below 0.65, speech is mostly above 0.8.
const SPEECH_SCORE: f32 = 0.7;
const SILENCE_DBOV: f32 = -127.0;
/// A quiet line, until it is known better.
const FLOOR_START_DBOV: f32 = -60.0;
const FLOOR_MIN_DBOV: f32 = -75.0;
/// Speech is so much louder than the noise,
const OVER_NOISE_DB: f32 = 9.0;
/// and never softer than this.
const GATE_MIN_DBOV: f32 = -48.0;
/// 400 ms: echoes of the network and the room are back by then.
const ECHO_FRAMES: usize = 20;
/// What `earshot` wants: 16 ms at 16 kHz.
const WINDOW: usize = 256;
/// 20 ms at 16 kHz.
const FRAME_16K: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    const ENERGY: VadOptions =
        VadOptions { neural: false, hang_over_frames: 15, echo_margin_db: 15.0 };

    /// 20 ms of a buzz at this level, as long as the others.
    fn frame(dbov: f32, n: usize) -> Vec<i16> {
        let peak = 32_768.0 * 10f32.powf(dbov / 20.0) * std::f32::consts::SQRT_2;
        let at = |i: usize| (n * 160 + i) as f32 * 300.0 * std::f32::consts::TAU / 8_000.0;
        (0..160).map(|i| (peak * at(i).sin()) as i16).collect()
    }

    /// The edges of a scene of `(level, frames)`, with the frame they came in.
    fn edges(
        options: VadOptions,
        agent: Option<f32>,
        scene: &[(f32, usize)],
    ) -> Vec<(usize, Edge)> {
        let (mut vad, mut n, mut edges) = (Vad::new(options), 0, vec![]);
        for &(level, frames) in scene {
            for _ in 0..frames {
                edges.extend(vad.push(8_000, &frame(level, n)).edge.map(|edge| (n, edge)));
                vad.sent(&agent.map_or(vec![0; 160], |level| frame(level, n)));
                n += 1;
            }
        }
        edges
    }

    #[test]
    fn speech_starts_with_its_third_frame_and_stops_after_the_hang_over() {
        let scene = [(-70.0, 50), (-25.0, 40), (-70.0, 40)];
        let expected =
            [(52, Edge::Started { frames_ago: 2 }), (104, Edge::Stopped { frames_ago: 15 })];
        assert_eq!(edges(ENERGY, None, &scene), expected);
    }

    #[test]
    fn clicks_pauses_and_steady_noise_make_no_edge() {
        let clicks: Vec<_> = (0..20).flat_map(|_| [(-20.0, 2), (-70.0, 8)]).collect();
        assert_eq!(edges(ENERGY, None, &clicks), []);
        let words: Vec<_> = [(-70.0, 20)]
            .into_iter()
            .chain((0..10).flat_map(|_| [(-25.0, 10), (-70.0, 12)]))
            .collect();
        assert_eq!(edges(ENERGY, None, &words).len(), 1, "pauses between words end nothing");
        assert_eq!(edges(ENERGY, None, &[(-50.0, 3_000)]), []);
    }

    #[test]
    fn the_agents_own_echo_is_no_speech_and_a_caller_who_talks_over_it_is() {
        assert_eq!(edges(ENERGY, Some(-16.0), &[(-41.0, 500)]), []);
        let over = edges(ENERGY, Some(-16.0), &[(-41.0, 100), (-22.0, 20)]);
        assert_eq!(over, [(102, Edge::Started { frames_ago: 2 })]);
    }

    #[test]
    fn loud_noise_opens_the_gate_and_hardly_ever_the_network() {
        let mut seed = 1u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as i16 / 8
        };
        let (mut gated, mut heard) =
            (Vad::new(ENERGY), Vad::new(VadOptions { neural: true, ..ENERGY }));
        let (mut loud, mut speech) = (0, 0);
        for n in 0..100 {
            let frame: Vec<i16> = (0..160).map(|_| if n < 20 { 0 } else { noise() }).collect();
            loud += usize::from(gated.push(8_000, &frame).speech);
            speech += usize::from(heard.push(8_000, &frame).speech);
        }
        assert!(loud == 80 && speech <= loud / 5, "{speech} of {loud}");
    }
}
