//! When to play faster or slower than recorded, so that the delay follows its target.
use vox_codecs::dsp::stretch::Eagerness;

use super::decide::Wish;

/// What the delay is on a tick, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// How much later the next sample is played than the fastest packet would have brought it.
    pub(super) delay_us: i64,
    /// How late a packet may come and still find its turn: the delay less the decoded rest.
    /// Packets are due on ticks, so this moves in steps of a frame while the delay moves smoothly.
    pub(super) slack_us: i64,
    /// The slack there should be.
    pub(super) target_us: i64,
    /// A tick.
    pub(super) frame_us: i64,
    /// What is played next is a pause between words.
    pub(super) quiet: bool,
}

/// Asks for stretching with enough hysteresis that a steady stream is never touched.
///
/// ```text
///            slack < target (2 ticks)              slack ≥ target + 1.5 frames (5 ticks)
///   Longer ◄───────────────────────── Steady ─────────────────────────────────────► Shorter
///          ─────────────────────────►        ◄─────────────────────────────────────
///              slack ≥ target                      slack < target + 1 frame
/// ```
///
/// A delay that is too long shrinks in the pauses between words, where nobody hears it and a turn
/// to speak is waited for. Only when no pause comes for a while does speech itself go faster.
#[derive(Debug, Default)]
pub(super) struct Pace {
    mode: Mode,
    /// Ticks since the mode changed.
    since: u32,
    /// Ticks in a row that spoke for a change.
    against: u32,
    /// Ticks until the next stretch.
    rest: u32,
    /// Stretches on this tick.
    stretches: u32,
    /// Ticks in a row that were quiet, counted while it matters.
    quiet: u32,
    /// The delay is far from its target, or a pause is on: a stretch may take what it gets.
    eager: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Steady,
    Shorter,
    Longer,
}

impl Pace {
    /// What to ask for on this tick. Called once a tick while real audio is played.
    pub(super) fn ask(&mut self, reading: &Reading) -> Wish {
        let mode = self.next_mode(reading);
        self.since = if mode == self.mode { self.since + 1 } else { 0 };
        self.mode = mode;
        self.stretches = 0;
        self.quiet = if reading.quiet { self.quiet + 1 } else { 0 };
        self.rest = self.rest.saturating_sub(1);
        self.wish(reading)
    }

    /// What to ask for after a stretch was tried: in a pause, another.
    pub(super) fn ask_again(&mut self, reading: &Reading) -> Wish {
        self.stretches += 1;
        if self.stretches < STRETCHES_MAX && reading.quiet && self.keeps_shortening(reading) {
            return self.wish(reading);
        }
        Wish::Steady
    }

    /// Says that the last stretch did something.
    pub(super) fn stretched(&mut self) {
        self.rest = match (self.mode, self.eager) {
            (Mode::Shorter, true) => EAGER_REST_TICKS,
            (Mode::Shorter, false) => GENTLE_REST_TICKS,
            _ => 1,
        };
    }

    /// Whether it matters if there is a pause.
    pub(super) fn is_shortening(&self) -> bool {
        self.mode == Mode::Shorter
    }

    /// How much a stretch may be heard.
    pub(super) fn eagerness(&self) -> Eagerness {
        if self.eager { Eagerness::Eager } else { Eagerness::Gentle }
    }

    fn wish(&mut self, reading: &Reading) -> Wish {
        let above_us = reading.delay_us - reading.target_us;
        match self.mode {
            Mode::Shorter if self.quiet >= QUIET_TICKS => {
                self.eager = true;
                Wish::Shorter
            }
            Mode::Shorter if self.rest == 0 && self.since >= PATIENCE_TICKS => {
                self.eager = above_us >= EAGER_ABOVE_US;
                Wish::Shorter
            }
            Mode::Longer if self.rest == 0 => {
                self.eager = reading.target_us - reading.slack_us >= EAGER_BELOW_US;
                Wish::Longer
            }
            _ => Wish::Steady,
        }
    }

    fn next_mode(&mut self, reading: &Reading) -> Mode {
        let Reading { slack_us, target_us, frame_us, .. } = *reading;
        let (mode, ticks) = match self.mode {
            Mode::Shorter if self.keeps_shortening(reading) => (Mode::Shorter, 0),
            Mode::Longer if slack_us < target_us => (Mode::Longer, 0),
            Mode::Steady if slack_us < target_us => (Mode::Longer, LONGER_TICKS),
            Mode::Steady if slack_us >= target_us + frame_us * 3 / 2 => {
                (Mode::Shorter, SHORTER_TICKS)
            }
            _ => (Mode::Steady, 0),
        };
        self.against = if ticks > 0 { self.against + 1 } else { 0 };
        if self.against >= ticks { mode } else { self.mode }
    }

    fn keeps_shortening(&self, reading: &Reading) -> bool {
        self.mode == Mode::Shorter && reading.slack_us >= reading.target_us + reading.frame_us
    }
}

/// A tick that was called late once must not change anything.
const LONGER_TICKS: u32 = 2;
/// Shortening is never urgent.
const SHORTER_TICKS: u32 = 5;
/// Quiet for 60 ms is a pause between words and not a stop consonant.
const QUIET_TICKS: u32 = 3;
/// Stretches on one tick of a pause.
const STRETCHES_MAX: u32 = 8;
/// Without a pause for 7 s, speech goes faster. 500 ms are then gone within 10 s.
const PATIENCE_TICKS: u32 = 350;
/// Above the target: take what the signal gives, a period (5–15 ms) out of every 40 ms.
const EAGER_ABOVE_US: i64 = 60_000;
const EAGER_REST_TICKS: u32 = 2;
/// Otherwise a period out of every 80 ms, and only where it is not heard.
const GENTLE_REST_TICKS: u32 = 4;
/// Below the target: packets are too late now.
const EAGER_BELOW_US: i64 = 10_000;
