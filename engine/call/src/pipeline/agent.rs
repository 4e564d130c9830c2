use std::sync::Arc;
use std::time::Duration;

use vox_codecs::dsp::resample::Resampler;
use vox_codecs::tones::ToneGenerator;

use super::{AgentPort, Turn};

/// Audio to be played (mono).
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Samples.
    pub samples: Arc<[i16]>,
    /// Their rate in Hz. [`Command::Play`](crate::Command::Play) wants the codec's
    /// [`rate_hz`](vox_codecs::CodecKind::rate_hz); [`Agent::play`] converts from 8, 16, 24 and 48 kHz.
    pub rate_hz: u32,
}

/// What answers the caller.
#[derive(Debug)]
pub struct Agent {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Silent,
    Echo,
    Tone { generator: ToneGenerator, rate_hz: u32, frequency_hz: f32 },
    Play(Player),
    Port(Box<AgentPort>),
}

impl Agent {
    /// Says nothing.
    pub fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// Gives back what the caller said.
    pub fn echo() -> Self {
        Self { kind: Kind::Echo }
    }

    /// A steady sine at −16 dBov.
    pub fn tone(rate_hz: u32, frequency_hz: f32) -> Self {
        let generator = ToneGenerator::sine(rate_hz, frequency_hz, TONE_DBOV);
        Self { kind: Kind::Tone { generator, rate_hz, frequency_hz } }
    }

    /// A recording, once or for ever. At a rate that is not 8, 16, 24 or 48 kHz it can be heard
    /// only on a call of just that rate, and is over at once on another.
    pub fn play(prompt: Prompt, repeat: bool) -> Self {
        Self { kind: Kind::Play(Player::converting(prompt, repeat)) }
    }

    /// An agent that lives elsewhere, by its line.
    pub fn port(port: AgentPort) -> Self {
        Self { kind: Kind::Port(Box::new(port)) }
    }

    /// The caller's next 20 ms. Whether the agent lives elsewhere, and is to be woken.
    pub(crate) fn hear(&mut self, turn: Turn<'_>) -> bool {
        let Kind::Port(port) = &mut self.kind else { return false };
        port.hear(turn);
        true
    }

    /// Of an agent elsewhere: whether it said anything in this tick, and how long that waited in its
    /// port.
    pub(crate) fn waited(&self) -> Option<Option<Duration>> {
        let Kind::Port(port) = &self.kind else { return None };
        Some(port.waited())
    }

    /// Says to an agent elsewhere that nothing follows; whether it is one, and to be woken.
    pub(crate) fn close(&mut self) -> bool {
        let Kind::Port(port) = &mut self.kind else { return false };
        port.close();
        true
    }

    /// Fills `out` with the next 20 ms at `rate_hz`; `caller` is what was heard in this tick and as
    /// long. Returns how the agent's own recording ended, in the tick where it does.
    pub(crate) fn fill(
        &mut self,
        rate_hz: u32,
        caller: &[i16],
        out: &mut [i16],
    ) -> Option<PlayedOut> {
        match &mut self.kind {
            Kind::Silent => out.fill(0),
            Kind::Echo => out.copy_from_slice(caller),
            Kind::Tone { generator, rate_hz: made_for, frequency_hz } => {
                if *made_for != rate_hz {
                    *generator = ToneGenerator::sine(rate_hz, *frequency_hz, TONE_DBOV);
                    *made_for = rate_hz;
                }
                generator.fill(out);
            }
            Kind::Play(player) => return player.fill(rate_hz, out),
            Kind::Port(port) => port.fill(rate_hz, out),
        }
        None
    }
}

/// How playing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlayedOut {
    /// How much of it was sent.
    pub(crate) played: Duration,
    /// Whether that was all.
    pub(crate) complete: bool,
}

/// Plays a prompt in 20 ms frames.
#[derive(Debug)]
pub(crate) struct Player {
    prompt: Prompt,
    /// In `0..=prompt.samples.len()`.
    position: usize,
    repeat: bool,
    over: bool,
    /// To 8 and to 16 kHz, where the prompt has another rate that can be converted.
    converters: [Option<Resampler>; 2],
}

impl Player {
    /// Plays once, at the prompt's own rate only. Allocates nothing.
    pub(crate) fn exact(prompt: Prompt) -> Self {
        Self { prompt, position: 0, repeat: false, over: false, converters: [None, None] }
    }

    /// Plays at any rate of a call. Allocates.
    pub(crate) fn converting(prompt: Prompt, repeat: bool) -> Self {
        let from = prompt.rate_hz;
        let convertible = CONVERTIBLE_HZ.contains(&from);
        let to = |rate| (convertible && from != rate).then(|| Resampler::new(from, rate));
        let converters = CALL_HZ.map(to);
        Self { repeat, converters, ..Self::exact(prompt) }
    }

    /// Gives the prompt back.
    pub(crate) fn into_prompt(self) -> Prompt {
        self.prompt
    }

    /// How it stands when it is broken off now.
    pub(crate) fn so_far(&self) -> PlayedOut {
        let rate_hz = u64::from(self.prompt.rate_hz.max(1));
        let played = Duration::from_micros(self.position as u64 * 1_000_000 / rate_hz);
        PlayedOut { played, complete: self.position == self.prompt.samples.len() }
    }

    /// Fills `out` with the next 20 ms at `rate_hz`, silence behind the end. Says how it ended in
    /// the tick where it does, and only there.
    pub(crate) fn fill(&mut self, rate_hz: u32, out: &mut [i16]) -> Option<PlayedOut> {
        out.fill(0);
        if self.over {
            return None;
        }
        if !self.fits(rate_hz) || self.prompt.samples.is_empty() {
            return self.end();
        }
        if self.prompt.rate_hz == rate_hz {
            self.take(out);
        } else {
            self.convert(rate_hz, out);
        }
        let finished = !self.repeat && self.position == self.prompt.samples.len();
        if finished { self.end() } else { None }
    }

    fn end(&mut self) -> Option<PlayedOut> {
        self.over = true;
        Some(self.so_far())
    }

    fn fits(&self, rate_hz: u32) -> bool {
        self.prompt.rate_hz == rate_hz || self.converter(rate_hz).is_some()
    }

    fn converter(&self, rate_hz: u32) -> Option<usize> {
        let index = CALL_HZ.iter().position(|&rate| rate == rate_hz)?;
        self.converters[index].is_some().then_some(index)
    }

    /// Copies the next samples as they are.
    fn take(&mut self, out: &mut [i16]) {
        let mut filled = 0;
        while filled < out.len() {
            if self.position == self.prompt.samples.len() {
                if !self.repeat {
                    return;
                }
                self.position = 0;
            }
            let rest = &self.prompt.samples[self.position..];
            let count = rest.len().min(out.len() - filled);
            out[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.position += count;
        }
    }

    fn convert(&mut self, rate_hz: u32, out: &mut [i16]) {
        let Some(index) = self.converter(rate_hz) else { return };
        let mut input = [0; MAX_PROMPT_FRAME];
        let input = &mut input[..self.prompt.rate_hz as usize / 50];
        self.take(input);
        let mut converted = [0; MAX_CALL_FRAME + 1];
        if let Some(converter) = &mut self.converters[index] {
            let count = converter.process(input, &mut converted).min(out.len());
            out[..count].copy_from_slice(&converted[..count]);
        }
    }
}

const TONE_DBOV: f32 = -16.0;
/// Rates of a call's audio.
const CALL_HZ: [u32; 2] = [8_000, 16_000];
/// Rates that [`Resampler`] takes.
const CONVERTIBLE_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];
/// 20 ms at 48 kHz.
const MAX_PROMPT_FRAME: usize = 960;
/// 20 ms at 16 kHz.
const MAX_CALL_FRAME: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(samples: &[i16], rate_hz: u32) -> Prompt {
        Prompt { samples: samples.into(), rate_hz }
    }

    #[test]
    fn a_recording_is_played_once_and_says_so_once() {
        let mut agent = Agent::play(prompt(&[5; 400], 8_000), false);
        let mut out = [1; 160];
        let ends: Vec<_> = (0..5).map(|_| agent.fill(8_000, &[0; 160], &mut out)).collect();
        let end = PlayedOut { played: Duration::from_millis(50), complete: true };
        assert_eq!(ends, [None, None, Some(end), None, None]);
        assert_eq!(out, [0; 160]);
    }

    #[test]
    fn a_repeated_recording_wraps_without_a_gap() {
        let samples: Vec<i16> = (1..=100).collect();
        let mut agent = Agent::play(prompt(&samples, 8_000), true);
        let mut heard = Vec::new();
        for _ in 0..5 {
            let mut out = [0; 160];
            assert_eq!(agent.fill(8_000, &[0; 160], &mut out), None);
            heard.extend(out);
        }
        assert_eq!(heard, samples.repeat(8));
    }

    #[test]
    fn a_prompt_that_cannot_be_heard_is_over_at_once() {
        let nothing = PlayedOut { played: Duration::ZERO, complete: false };
        let rows = [
            (Player::exact(prompt(&[1; 320], 16_000)), Some(nothing)),
            (Player::converting(prompt(&[1; 320], 44_100), true), Some(nothing)),
            (
                Player::exact(prompt(&[], 8_000)),
                Some(PlayedOut { played: Duration::ZERO, complete: true }),
            ),
        ];
        for (mut player, expected) in rows {
            let mut out = [9; 160];
            assert_eq!(player.fill(8_000, &mut out), expected);
            assert_eq!(out, [0; 160]);
            assert_eq!(player.fill(8_000, &mut out), None);
        }
    }

    #[test]
    fn echo_and_silence_are_exact() {
        let caller: Vec<i16> = (0..160).collect();
        let mut out = [7; 160];
        Agent::echo().fill(8_000, &caller, &mut out);
        assert_eq!(out[..], caller);
        Agent::silent().fill(8_000, &caller, &mut out);
        assert_eq!(out, [0; 160]);
    }
}
