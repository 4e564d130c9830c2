//! When to play faster or slower than recorded, so that the delay follows its target.
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
}

/// Asks for stretching with enough hysteresis that a steady stream is never touched.
///
/// ```text
///            slack < target (2 ticks)               slack ≥ target + 1.5 frames (5 ticks)
///   Longer ◄───────────────────────── Steady ─────────────────────────────────────► Shorter
///          ─────────────────────────►        ◄─────────────────────────────────────
///              slack ≥ target                      slack < target + 1 frame
/// ```
#[derive(Debug, Default)]
pub(super) struct Pace {
    mode: Mode,
    /// Ticks in a row that spoke for a change.
    ticks: u32,
    /// Ticks until the next stretch.
    rest: u32,
    /// The delay is far above its target.
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
        self.mode = self.next_mode(reading);
        self.eager = reading.delay_us - reading.target_us >= EAGER_US;
        self.rest = self.rest.saturating_sub(1);
        match self.mode {
            Mode::Steady => Wish::Steady,
            _ if self.rest > 0 => Wish::Steady,
            Mode::Longer => Wish::Longer,
            Mode::Shorter => Wish::Shorter,
        }
    }

    /// Says that audio was stretched.
    pub(super) fn stretched(&mut self) {
        self.rest = if self.mode == Mode::Shorter && !self.eager { REST_TICKS } else { 1 };
    }

    fn next_mode(&mut self, reading: &Reading) -> Mode {
        let Reading { slack_us, target_us, frame_us, .. } = *reading;
        match self.mode {
            Mode::Shorter if slack_us >= target_us + frame_us => Mode::Shorter,
            Mode::Longer if slack_us < target_us => Mode::Longer,
            Mode::Steady if slack_us < target_us => self.after(LONGER_TICKS, Mode::Longer),
            Mode::Steady if slack_us >= target_us + frame_us * 3 / 2 => {
                self.after(SHORTER_TICKS, Mode::Shorter)
            }
            _ => {
                self.ticks = 0;
                Mode::Steady
            }
        }
    }

    /// `mode`, once that was asked for `ticks` times in a row.
    fn after(&mut self, ticks: u32, mode: Mode) -> Mode {
        self.ticks += 1;
        if self.ticks < ticks {
            return Mode::Steady;
        }
        self.ticks = 0;
        mode
    }
}

/// A tick that was called late once must not change anything.
const LONGER_TICKS: u32 = 2;
/// Shortening is never urgent.
const SHORTER_TICKS: u32 = 5;
/// Gentle shortening: a pitch period (5–10 ms) out of every 80 ms.
const REST_TICKS: u32 = 4;
/// From here on, shorten whenever the signal allows.
const EAGER_US: i64 = 100_000;
