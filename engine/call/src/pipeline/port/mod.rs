//! An agent that lives elsewhere: the shard's end ([`AgentPort`]) and control's ([`AgentLine`]).
//!
//! ```text
//!  shard                                            control
//!  caller's 20 ms ──► ring of frames, 0.5 s ──────► AgentLine::hear
//!  agent's 20 ms  ◄── ring of samples, 0.5 s ◄──── AgentLine::say ◄ backlog, up to the stated limit
//!  what happened  ──► ring of news ───────────────► AgentLine::tidings (marks are resolved here)
//! ```
//!
//! The shard copies a frame in and a frame out, and nothing else: marks, positions and the backlog
//! are kept on control's end. What has to happen within the tick happens here: the caller's speech
//! stops the agent's audio ([`BargeIn`]), and a [`clear`](AgentLine::clear) drops it, both with a fade.

mod flow;
mod line;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use vox_codecs::dsp::resample::Resampler;

use super::Turn;
use flow::Flow;
pub use line::{AgentLine, HeardFrame, Tiding};

/// How a port is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortOptions {
    /// Rate of both directions at the port, 8,000 or 16,000 Hz: the call's, so that nothing is
    /// resampled. Should the call change its codec to the other rate, the port converts.
    pub rate_hz: u32,
    /// What the caller's speech does to the agent's audio; `None`: nothing.
    pub barge_in: Option<BargeIn>,
    /// How far ahead of the caller's ear the agent may speak. What it says beyond that is not taken.
    pub ahead_max: Duration,
}

/// The caller interrupts the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BargeIn {
    /// The agent pauses as soon as speech is detected; what it had to say is dropped once the
    /// speech is this long. A cough or a "mhm" is shorter: the agent goes on where it was.
    pub min_speech: Duration,
}

impl Default for BargeIn {
    fn default() -> Self {
        Self { min_speech: Duration::from_millis(300) }
    }
}

/// What the ear made of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Speech started or stopped with it.
    pub edge: Option<Edge>,
    /// There is speech in this very frame (no hang-over).
    pub speech: bool,
}

/// Speech starts and stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It began so many frames ago: 0 is this frame.
    Started {
        /// Frames of 20 ms.
        frames_ago: u8,
    },
    /// Its last frame was so many frames ago.
    Stopped {
        /// Frames of 20 ms.
        frames_ago: u8,
    },
}

/// Makes the two ends. Allocates everything but the backlog, which grows as it is needed.
pub fn agent_port(options: PortOptions) -> (AgentPort, AgentLine) {
    let rate_hz = options.rate_hz;
    let frame = rate_hz as usize / 50;
    let (heard, hears) = RingBuffer::new(RING_FRAMES * (HEADER_WORDS + frame));
    let (says, said) = RingBuffer::new(RING_FRAMES * frame);
    let (news, reads) = RingBuffer::new(NEWS);
    let shared = Arc::new(Shared::default());
    let other = if rate_hz == 8_000 { 16_000 } else { 8_000 };
    let port = AgentPort {
        rate_hz,
        barge_in: options.barge_in,
        heard,
        said,
        news,
        shared: shared.clone(),
        from_call: Resampler::new(other, rate_hz),
        to_call: Resampler::new(rate_hz, other),
        flow: Flow::Playing,
        audible: false,
        speech_from: None,
        played: 0,
        taken: 0,
        clears: 0,
    };
    let ahead_max = (u64::from(rate_hz) * options.ahead_max.as_millis() as u64 / 1_000) as usize;
    let line = AgentLine::new(rate_hz, ahead_max, hears, says, reads, shared);
    (port, line)
}

/// The shard's end.
#[derive(Debug)]
pub struct AgentPort {
    rate_hz: u32,
    barge_in: Option<BargeIn>,
    heard: Producer<i16>,
    said: Consumer<i16>,
    news: Producer<News>,
    shared: Arc<Shared>,
    /// From and to a call of the other rate.
    from_call: Resampler,
    to_call: Resampler,
    flow: Flow,
    /// The agent's audio was in the last frame.
    audible: bool,
    /// The call's frame in which the caller's present speech began.
    speech_from: Option<u32>,
    /// Samples that went to the wire.
    played: u64,
    /// Samples taken from the ring: played or dropped.
    taken: u64,
    /// Clears that were carried out.
    clears: u64,
}

/// What the shard tells the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    SpeechStarted {
        frame: u32,
        playing: bool,
    },
    SpeechStopped {
        frame: u32,
    },
    Paused {
        played: u64,
    },
    Resumed,
    /// Samples from `from` to `to` of those that came through the ring were dropped.
    Cleared {
        played: u64,
        from: u64,
        to: u64,
    },
    Interrupted {
        played: u64,
        from: u64,
        to: u64,
    },
    Drained {
        played: u64,
    },
}

#[derive(Debug, Default)]
struct Shared {
    /// Samples that left the ring of what the agent says. Written after the news of the same tick.
    taken: AtomicU64,
    /// Those of them that were played.
    played: AtomicU64,
    /// Times that the line cleared. Written after `clear_to`.
    clears: AtomicU64,
    /// What came through the ring up to here is to be dropped.
    clear_to: AtomicU64,
    /// Caller's frames that found the ring full.
    overruns: AtomicU64,
    closed: AtomicBool,
}

impl AgentPort {
    /// The caller's next 20 ms, and what the ear made of it.
    pub(super) fn hear(&mut self, turn: Turn<'_>) {
        self.file(turn);
        match turn.heard.edge {
            Some(Edge::Started { frames_ago }) => {
                let frame = turn.frame.wrapping_sub(frames_ago.into());
                self.speech_from = Some(frame);
                self.tell(News::SpeechStarted { frame, playing: self.audible });
                if self.barge_in.is_some() && self.audible {
                    self.flow.pause();
                }
            }
            Some(Edge::Stopped { frames_ago }) => {
                let frame = turn.frame.wrapping_sub(frames_ago.into());
                self.speech_from = None;
                self.tell(News::SpeechStopped { frame });
                if self.flow.resume() {
                    self.tell(News::Resumed);
                }
            }
            None => {}
        }
        if turn.heard.speech && self.is_confirmed(turn.frame) && self.flow.interrupt() {
            self.drop_all();
        }
    }

    /// The agent's next 20 ms, silence where it has nothing to say.
    pub(super) fn fill(&mut self, rate_hz: u32, out: &mut [i16]) {
        let mut own = [0; FRAME_SAMPLES_MAX];
        let own = &mut own[..self.rate_hz as usize / 50];
        self.play(own);
        if rate_hz == self.rate_hz {
            out.copy_from_slice(own);
        } else {
            let mut converted = [0; FRAME_SAMPLES_MAX + 2];
            let count = self.to_call.process(own, &mut converted).min(out.len());
            out.fill(0);
            out[..count].copy_from_slice(&converted[..count]);
        }
    }

    /// Says that nothing follows, while the port itself may be dropped later and elsewhere.
    pub(super) fn close(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
    }

    fn file(&mut self, turn: Turn<'_>) {
        let mut words = [0; HEADER_WORDS + FRAME_SAMPLES_MAX + 2];
        let samples = if turn.rate_hz == self.rate_hz {
            words[HEADER_WORDS..][..turn.caller.len()].copy_from_slice(turn.caller);
            turn.caller.len()
        } else {
            self.from_call.process(turn.caller, &mut words[HEADER_WORDS..])
        };
        let samples = samples.min(FRAME_SAMPLES_MAX);
        let header = [turn.frame as i16, (turn.frame >> 16) as i16, samples as i16];
        words[..HEADER_WORDS].copy_from_slice(&header);
        if self.heard.push_entire_slice(&words[..HEADER_WORDS + samples]).is_err() {
            self.shared.overruns.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn play(&mut self, own: &mut [i16]) {
        if self.shared.clears.load(Ordering::Acquire) != self.clears {
            if self.audible {
                self.flow.clear();
            } else {
                self.drop_cleared();
            }
        }
        if self.flow.is_paused() {
            own.fill(0);
            self.audible = false;
            return;
        }
        let count = self.take(own);
        self.flow.shape(&mut own[..count]);
        self.played += count as u64;
        let faded = self.flow.faded_out();
        // An agent that speaks in real time leaves the ring empty after every frame: it has come to
        // its end when a whole frame is missing.
        if self.audible && count == 0 && faded.is_none() {
            self.tell(News::Drained { played: self.played });
        }
        self.audible = count > 0 && faded.is_none();
        if let Some(then) = faded {
            self.after_fade(then);
        }
        self.publish();
    }

    fn after_fade(&mut self, then: flow::Then) {
        match then {
            flow::Then::Pause => self.tell(News::Paused { played: self.played }),
            flow::Then::Clear => self.drop_cleared(),
            flow::Then::Interrupt => self.drop_all(),
        }
    }

    /// Up to `own.len()` samples from the ring; the rest of `own` is silence.
    fn take(&mut self, own: &mut [i16]) -> usize {
        let count = self.said.slots().min(own.len());
        let (taken, rest) = own.split_at_mut(count);
        rest.fill(0);
        // As many as are there.
        let popped = self.said.pop_entire_slice(taken);
        debug_assert!(popped.is_ok(), "they were counted");
        self.taken += count as u64;
        count
    }

    /// Everything that is in the ring goes: the caller interrupted.
    fn drop_all(&mut self) {
        let from = self.taken;
        self.skip(self.said.slots());
        self.tell(News::Interrupted { played: self.played, from, to: self.taken });
        self.publish();
    }

    /// What was in the ring when the line cleared it goes.
    fn drop_cleared(&mut self) {
        self.clears = self.shared.clears.load(Ordering::Acquire);
        let (from, to) = (self.taken, self.shared.clear_to.load(Ordering::Relaxed));
        self.skip(to.saturating_sub(from) as usize);
        // The brain has heard the caller, too: what it says now is to be heard.
        self.flow.go_on();
        self.tell(News::Cleared { played: self.played, from, to: self.taken });
        self.publish();
    }

    fn skip(&mut self, samples: usize) {
        let samples = samples.min(self.said.slots());
        if let Ok(chunk) = self.said.read_chunk(samples) {
            chunk.commit_all();
            self.taken += samples as u64;
        }
    }

    fn publish(&self) {
        self.shared.played.store(self.played, Ordering::Relaxed);
        // Release: whoever sees it also finds the news that led to it.
        self.shared.taken.store(self.taken, Ordering::Release);
    }

    /// A line that does not read its news for seconds loses some of them, as it loses audio.
    fn tell(&mut self, news: News) {
        if self.news.push(news).is_err() {
            self.shared.overruns.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_confirmed(&self, frame: u32) -> bool {
        let (Some(barge_in), Some(from)) = (self.barge_in, self.speech_from) else { return false };
        FRAME * (frame.wrapping_sub(from) + 1) >= barge_in.min_speech
    }
}

impl Drop for AgentPort {
    fn drop(&mut self) {
        self.close();
    }
}

const FRAME: Duration = Duration::from_millis(20);
/// The rings hold 0.5 s: 250 times what the line's reader waits between two looks.
const RING_FRAMES: usize = 25;
/// Several a second at most, for as long as the audio beside them lasts.
const NEWS: usize = 64;
/// Index (two words), samples.
const HEADER_WORDS: usize = 3;
/// 20 ms at 16 kHz.
const FRAME_SAMPLES_MAX: usize = 320;

#[cfg(test)]
mod tests;
