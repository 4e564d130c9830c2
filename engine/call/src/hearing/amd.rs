//! Whether a person or a machine answered: a decision over the first frames of 20 ms.
//!
//! ```text
//! answer ─► silence ──────── initial_silence ─────────────► Unknown (InitialSilence)
//!             │ speech
//!             ▼
//!          greeting ─ a pause of after_greeting ──────────► Human
//!             │ ────── more than max_words, or greeting ──► Machine (ManyWords, LongGreeting)
//!             │ ────── analysis over, and it goes on ──► Machine (LongGreeting), else Unknown
//!             └─ at any time a beep ──────────────────────► Machine (Beep)
//! ```
//!
//! Beeps are looked for after the verdict, too: that a message can be left is told with their end.

use std::time::Duration;

use vox_codecs::dsp::level::level_dbov;

/// The dialler's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AmdOptions {
    /// At the latest then there is a verdict, counted from the answer; from 250 to 5,000 ms.
    pub total_analysis: Duration,
    /// Nobody said anything so long.
    pub initial_silence: Duration,
    /// People's greetings are shorter.
    pub greeting: Duration,
    /// A pause that ends a person's greeting.
    pub after_greeting: Duration,
    /// People's greetings have no more words, which are bursts of sound with a pause between.
    pub max_words: u32,
    /// Frequencies of beeps, in Hz.
    pub beep_hz: (f32, f32),
}

impl Default for AmdOptions {
    fn default() -> Self {
        Self {
            total_analysis: Duration::from_millis(2_000),
            initial_silence: Duration::from_millis(2_000),
            greeting: Duration::from_millis(2_000),
            after_greeting: Duration::from_millis(800),
            max_words: 4,
            beep_hz: (850.0, 1_500.0),
        }
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// A person.
    Human,
    /// A voicemail or an announcement.
    Machine,
    /// It cannot be told.
    Unknown,
}

/// What led to a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmdReason {
    /// Nothing was said.
    InitialSilence,
    /// A short greeting, and then a pause.
    ShortGreeting,
    /// It did not end, or not soon enough.
    LongGreeting,
    /// More words than people say.
    ManyWords,
    /// A beep.
    Beep,
    /// The time for the analysis is over.
    TimeOver,
}

/// Who answered, and why this is thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmdVerdict {
    /// Who.
    pub answered: Answered,
    /// Why.
    pub reason: AmdReason,
    /// Time since the answer.
    pub after: Duration,
}

/// What a frame led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmdNews {
    /// Who answered; once.
    Verdict(AmdVerdict),
    /// A beep is over: now a message can be left. Told for each.
    BeepEnded {
        /// Time since the answer.
        after: Duration,
    },
}

/// Decides who answered.
#[derive(Debug, Clone)]
pub struct Amd {
    options: AmdOptions,
    /// Frames of 20 ms since the answer.
    frames: u32,
    decided: bool,
    /// The frame in which the greeting began.
    greeting_from: Option<u32>,
    words: u32,
    /// Frames with sound in a row.
    sound: u32,
    /// Frames without since the last one with.
    pause: u32,
    beep: Beep,
}

impl Amd {
    /// Allocates nothing. Times out of their range are brought into it.
    pub fn new(mut options: AmdOptions) -> Self {
        options.total_analysis = options.total_analysis.clamp(ANALYSIS_MIN, ANALYSIS_MAX);
        Self {
            options,
            frames: 0,
            decided: false,
            greeting_from: None,
            words: 0,
            sound: 0,
            pause: 0,
            beep: Beep::default(),
        }
    }

    /// The next 20 ms of what was called; the first are those after the answer.
    pub fn push(&mut self, rate_hz: u32, pcm: &[i16]) -> Option<AmdNews> {
        self.frames = self.frames.saturating_add(1);
        let loud = level_dbov(pcm) > SPEECH_DBOV;
        let tone_hz = if loud { tone_hz(rate_hz, pcm) } else { None };
        let beep_hz = tone_hz.filter(|hz| self.is_beep(*hz));
        let after = FRAME * self.frames;
        if self.beep.push(beep_hz) {
            return Some(AmdNews::BeepEnded { after });
        }
        if self.decided {
            return None;
        }
        // A beep is no word.
        self.follow(loud && beep_hz.is_none());
        let (answered, reason) = self.decide()?;
        self.decided = true;
        Some(AmdNews::Verdict(AmdVerdict { answered, reason, after }))
    }

    fn is_beep(&self, hz: f32) -> bool {
        (self.options.beep_hz.0..=self.options.beep_hz.1).contains(&hz)
    }

    fn follow(&mut self, sounds: bool) {
        if !sounds {
            (self.sound, self.pause) = (0, self.pause.saturating_add(1));
            return;
        }
        // A pause that was too short to part words is none.
        if self.sound == 0 && self.pause < WORD_PAUSE_FRAMES && self.words > 0 {
            self.sound = WORD_FRAMES;
        }
        self.sound += 1;
        if self.sound == WORD_FRAMES {
            self.words += 1;
            self.greeting_from.get_or_insert(self.frames - WORD_FRAMES);
        }
        self.pause = 0;
    }

    fn decide(&self) -> Option<(Answered, AmdReason)> {
        let now = FRAME * self.frames;
        let over = now >= self.options.total_analysis;
        if self.beep.is_heard() {
            return Some((Answered::Machine, AmdReason::Beep));
        }
        let Some(from) = self.greeting_from else {
            return (over || now >= self.options.initial_silence)
                .then_some((Answered::Unknown, AmdReason::InitialSilence));
        };
        let greeting = FRAME * (self.frames - self.pause - from);
        if self.words > self.options.max_words {
            return Some((Answered::Machine, AmdReason::ManyWords));
        }
        // The analysis may end before a long greeting can have been that long.
        let most = self.options.total_analysis * 3 / 5;
        let goes_on = over && self.pause <= GOES_ON_FRAMES;
        if greeting >= self.options.greeting || (goes_on && greeting >= most) {
            return Some((Answered::Machine, AmdReason::LongGreeting));
        }
        if FRAME * self.pause >= self.options.after_greeting {
            return Some((Answered::Human, AmdReason::ShortGreeting));
        }
        over.then_some((Answered::Unknown, AmdReason::TimeOver))
    }
}

/// A tone of one frequency that lasts.
#[derive(Debug, Clone, Copy, Default)]
struct Beep {
    hz: f32,
    /// Frames in a row.
    frames: u32,
}

impl Beep {
    /// Takes the frame's tone; whether a beep ended with the frame before.
    fn push(&mut self, tone_hz: Option<f32>) -> bool {
        match tone_hz {
            Some(hz) if self.frames > 0 && (hz - self.hz).abs() < STEADY_HZ => {
                self.frames = self.frames.saturating_add(1);
                false
            }
            other => {
                let ended = self.is_heard();
                *self = Self { hz: other.unwrap_or(0.0), frames: u32::from(other.is_some()) };
                ended
            }
        }
    }

    fn is_heard(self) -> bool {
        self.frames >= BEEP_FRAMES
    }
}

/// The frequency of a frame that is one sine and little else.
///
/// Of a sine, x[n−1] + x[n+1] = 2·cos ω·x[n] for all n: the factor that fits best gives ω, and what
/// it leaves over says how much else there is.
fn tone_hz(rate_hz: u32, pcm: &[i16]) -> Option<f32> {
    let (mut cross, mut middle, mut sides) = (0.0f32, 0.0f32, 0.0f32);
    // As far apart at any rate: neighbours at 16 kHz are much alike, whatever sounds.
    let apart = (rate_hz / 8_000).max(1) as usize;
    for window in pcm.windows(2 * apart + 1) {
        let side = f32::from(window[0]) + f32::from(window[2 * apart]);
        let at = f32::from(window[apart]);
        cross += side * at;
        middle += at * at;
        sides += side * side;
    }
    let factor = cross / middle.max(1.0);
    // Relative to the tone itself: near a quarter of the rate, the sides cancel each other.
    let left_over = (sides - factor * cross) / middle.max(1.0);
    let cosine = factor / 2.0;
    (left_over < LEFT_OVER_MAX && cosine.abs() < 1.0)
        .then(|| cosine.acos() * rate_hz as f32 / (apart as f32 * std::f32::consts::TAU))
}

const FRAME: Duration = Duration::from_millis(20);
const ANALYSIS_MIN: Duration = Duration::from_millis(250);
const ANALYSIS_MAX: Duration = Duration::from_millis(5_000);
/// Louder is sound.
const SPEECH_DBOV: i8 = -42;
/// 60 ms: shorter is a click.
const WORD_FRAMES: u32 = 3;
/// 80 ms: shorter pauses are in words.
const WORD_PAUSE_FRAMES: u32 = 4;
/// 200 ms: after a longer pause a greeting may be over.
const GOES_ON_FRAMES: u32 = 10;
/// 120 ms: no vowel is a sine so long.
const BEEP_FRAMES: u32 = 6;
const STEADY_HZ: f32 = 25.0;
/// Speech leaves 0.05 and more in nearly every frame, a sine through G.711 0.003.
const LEFT_OVER_MAX: f32 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;

    /// What sounds for so many frames.
    #[derive(Debug, Clone, Copy)]
    enum Sound {
        Silence(u32),
        Voice(u32),
        Tone(f32, u32),
    }
    use Sound::{Silence, Tone, Voice};

    fn news(options: AmdOptions, rate_hz: u32, scene: &[Sound]) -> Vec<AmdNews> {
        let (mut amd, mut n, mut news) = (Amd::new(options), 0u32, vec![]);
        for &sound in scene {
            let (Silence(frames) | Voice(frames) | Tone(_, frames)) = sound;
            for _ in 0..frames {
                let frame: Vec<i16> = (0..rate_hz / 50)
                    .map(|i| {
                        let turns = (n * (rate_hz / 50) + i) as f32 / rate_hz as f32;
                        let sine = |hz: f32| (turns * hz * std::f32::consts::TAU).sin();
                        (4_000.0
                            * match sound {
                                Silence(_) => 0.0,
                                Voice(_) => sine(140.0) + sine(420.0) + sine(1_260.0),
                                Tone(hz, _) => sine(hz),
                            }) as i16
                    })
                    .collect();
                news.extend(amd.push(rate_hz, &frame));
                n += 1;
            }
        }
        news
    }

    fn verdict(answered: Answered, reason: AmdReason, frames: u32) -> AmdNews {
        AmdNews::Verdict(AmdVerdict { answered, reason, after: FRAME * frames })
    }

    #[test]
    fn verdicts_follow_the_settings() {
        use AmdReason::*;
        use Answered::*;
        let words = |count| [Voice(8), Silence(8)].repeat(count);
        let rows = [
            (vec![Silence(200)], verdict(Unknown, InitialSilence, 100)),
            (vec![Silence(10), Voice(25), Silence(200)], verdict(Human, ShortGreeting, 75)),
            (vec![Silence(5), Voice(200)], verdict(Machine, LongGreeting, 100)),
            (words(6), verdict(Machine, ManyWords, 67)),
            (vec![Silence(60), Voice(200)], verdict(Unknown, TimeOver, 100)),
            (vec![Silence(10), Tone(1_000.0, 20)], verdict(Machine, Beep, 16)),
            (vec![Voice(2), Silence(200)], verdict(Unknown, InitialSilence, 100)),
        ];
        for (scene, expected) in rows {
            for rate_hz in [8_000, 16_000] {
                let news = news(AmdOptions::default(), rate_hz, &scene);
                assert_eq!(news.first(), Some(&expected), "{scene:?} at {rate_hz}");
            }
        }
    }

    #[test]
    fn beeps_in_the_band_are_told_when_they_end_after_the_verdict_too() {
        for (hz, told) in [(800.0, 0), (860.0, 1), (1_000.0, 1), (1_490.0, 1), (1_600.0, 0)] {
            let scene = [Voice(150), Silence(10), Tone(hz, 15), Silence(5)];
            let news = news(AmdOptions::default(), 8_000, &scene);
            let ended = AmdNews::BeepEnded { after: FRAME * 176 };
            assert_eq!(news[1..], vec![ended; told], "{hz} Hz");
        }
    }

    #[test]
    fn times_out_of_range_are_brought_into_it() {
        for (asked_ms, frames) in [(0, 13), (60_000, 250)] {
            let long = Duration::from_secs(60);
            let total_analysis = Duration::from_millis(asked_ms);
            let options =
                AmdOptions { total_analysis, initial_silence: long, ..AmdOptions::default() };
            let told = news(options, 8_000, &[Silence(400)]);
            assert_eq!(
                told,
                [verdict(Answered::Unknown, AmdReason::InitialSilence, frames)],
                "{asked_ms} ms"
            );
        }
    }
}
