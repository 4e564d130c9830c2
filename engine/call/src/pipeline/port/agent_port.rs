//! The shard's end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rtrb::{Consumer, Producer};
use vox_codecs::dsp::resample::Resampler;

use super::flow::{Flow, Then};
use super::frames::FrameWriter;
use super::{BargeIn, Edge, FRAME, FRAME_SAMPLES_MAX, NEWS_RESERVE, News, Shared, Turn};

/// The shard's end of an agent that lives elsewhere.
///
/// While something else is on the wire (a prompt, digits, nothing at all during a hold), the agent's
/// audio waits, and comes back with a fade. That is no pause: nobody is told.
#[derive(Debug)]
pub struct AgentPort {
    rate_hz: u32,
    barge_in: Option<BargeIn>,
    heard: FrameWriter,
    said: Consumer<i16>,
    news: Producer<News>,
    shared: Arc<Shared>,
    /// From and to a call of the other rate.
    from_call: Resampler,
    to_call: Resampler,
    flow: Flow,
    /// The call's present frame.
    frame: u32,
    /// The agent was asked for its audio in this tick.
    asked: bool,
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
    /// News that the line was given.
    told: u64,
    /// Frames, news and positions that the line was given.
    stirred: u64,
    wait: Wait,
}

/// How long the agent's audio lies in the ring before it begins to move.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// The ring was empty in this frame.
    Since(u32),
    /// It moves, after at most so many frames.
    Was(u32),
}

impl AgentPort {
    pub(super) fn new(
        rate_hz: u32,
        barge_in: Option<BargeIn>,
        heard: FrameWriter,
        said: Consumer<i16>,
        news: Producer<News>,
        shared: Arc<Shared>,
    ) -> Self {
        let other = if rate_hz == 8_000 { 16_000 } else { 8_000 };
        Self {
            rate_hz,
            barge_in,
            heard,
            said,
            news,
            shared,
            from_call: Resampler::new(other, rate_hz),
            to_call: Resampler::new(rate_hz, other),
            flow: Flow::Playing,
            frame: 0,
            asked: true,
            audible: false,
            speech_from: None,
            played: 0,
            taken: 0,
            clears: 0,
            told: 0,
            stirred: 0,
            wait: Wait::Was(1),
        }
    }

    /// The caller's next 20 ms, and what the ear made of it. Once in every tick, before
    /// [`fill`](Self::fill), which follows only where the agent is to be heard.
    pub(in super::super) fn hear(&mut self, turn: Turn<'_>) {
        self.frame = turn.frame;
        if !std::mem::take(&mut self.asked) {
            self.stand_by();
        }
        self.file(turn);
        match turn.heard.edge {
            Some(Edge::Started { frames_ago }) => self.started(turn.frame, frames_ago),
            Some(Edge::Stopped { frames_ago }) => self.stopped(turn.frame, frames_ago),
            None => {}
        }
        if turn.heard.speech && self.is_confirmed() && self.has_room() && self.flow.interrupt() {
            self.interrupted();
        }
    }

    /// The agent's next 20 ms, silence where it has nothing to say.
    pub(in super::super) fn fill(&mut self, rate_hz: u32, out: &mut [i16]) {
        self.asked = true;
        if rate_hz == self.rate_hz {
            return self.play(out);
        }
        let mut own = [0; FRAME_SAMPLES_MAX];
        let own = &mut own[..self.rate_hz as usize / 50];
        self.play(own);
        let mut converted = [0; FRAME_SAMPLES_MAX + 2];
        let count = self.to_call.process(own, &mut converted).min(out.len());
        out.fill(0);
        out[..count].copy_from_slice(&converted[..count]);
    }

    /// Says that nothing follows, while the port itself may be dropped later and elsewhere.
    pub(in super::super) fn close(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
    }

    /// What the agent said in this tick: how long that lay here before it began to move, at most.
    /// `None` when it said nothing.
    pub(in super::super) fn waited(&self) -> Option<Duration> {
        match self.wait {
            Wait::Was(frames) if self.asked && self.audible => Some(FRAME * frames),
            _ => None,
        }
    }

    fn file(&mut self, turn: Turn<'_>) {
        if turn.rate_hz == self.rate_hz {
            self.heard.push(turn.frame, turn.caller);
        } else {
            let mut converted = [0; FRAME_SAMPLES_MAX + 2];
            let count = self.from_call.process(turn.caller, &mut converted);
            self.heard.push(turn.frame, &converted[..count]);
        }
        self.stir();
    }

    fn started(&mut self, now: u32, frames_ago: u8) {
        let frame = now.wrapping_sub(frames_ago.into());
        self.speech_from = Some(frame);
        self.tell(News::SpeechStarted { frame, playing: self.audible });
        if self.barge_in.is_some() && self.audible {
            self.flow.pause();
        }
    }

    fn stopped(&mut self, now: u32, frames_ago: u8) {
        self.speech_from = None;
        self.tell(News::SpeechStopped { frame: now.wrapping_sub(frames_ago.into()) });
        if self.flow.resume() {
            self.tell(News::Resumed);
        }
    }

    /// The last tick was somebody else's.
    fn stand_by(&mut self) {
        let then = self.flow.stand_by(self.audible);
        self.audible = false;
        self.after_fade(then);
        if self.is_to_clear() {
            self.drop_cleared();
        }
    }

    fn play(&mut self, out: &mut [i16]) {
        let to_be_told = self.is_to_clear() && !self.clear();
        if to_be_told || self.flow.is_stopped() {
            out.fill(0);
            self.audible = false;
            return;
        }
        let count = self.take(out);
        self.flow.shape(&mut out[..count]);
        self.played += count as u64;
        let faded = self.flow.faded();
        // An agent that speaks in real time leaves the ring empty after every frame: it has come to
        // its end when a whole frame is missing.
        if self.audible && count == 0 && faded.is_none() {
            self.tell(News::Drained { played: self.played });
        }
        self.audible = count > 0 && faded.is_none();
        self.after_fade(faded);
        self.publish();
    }

    fn after_fade(&mut self, faded: Option<Then>) {
        match faded {
            Some(Then::Pause) => self.tell(News::Paused { played: self.played }),
            Some(Then::Clear) => drop(self.drop_cleared()),
            Some(Then::Interrupt) if self.has_room() => self.interrupted(),
            // Confirmed again by the next frame of speech.
            Some(Then::Interrupt) => self.flow = Flow::Paused,
            None => {}
        }
    }

    /// What is in the ring goes at once, and what the line adds before it knows when it answers.
    fn interrupted(&mut self) {
        let (from, there) = (self.taken, self.said.slots());
        // In this order: what was said behind a clear that comes just now is not to go.
        if !self.is_to_clear() {
            self.skip(there as u64);
        }
        self.tell_surely(News::Interrupted { played: self.played, from, to: self.taken });
        self.publish();
    }

    fn is_to_clear(&self) -> bool {
        self.shared.clears.load(Ordering::Acquire) != self.clears
    }

    /// The line cleared: with a fade, if any of that is being heard. `false`: not yet.
    fn clear(&mut self) -> bool {
        if self.audible && self.clear_to() > self.taken {
            self.flow.clear();
            return true;
        }
        self.drop_cleared()
    }

    fn clear_to(&self) -> u64 {
        self.shared.clear_to.load(Ordering::Relaxed)
    }

    /// What was in the ring when the line cleared it goes, as soon as that can be told.
    fn drop_cleared(&mut self) -> bool {
        if !self.has_room() {
            return false;
        }
        self.clears = self.shared.clears.load(Ordering::Acquire);
        let (from, to) = (self.taken, self.clear_to());
        self.skip(to.saturating_sub(from));
        self.flow.cleared();
        let (played, clears) = (self.played, self.clears);
        self.tell_surely(News::Cleared { played, from, to: self.taken, clears });
        self.publish();
        true
    }

    /// As many samples from the ring as there are; the rest of `out` is silence.
    fn take(&mut self, out: &mut [i16]) -> usize {
        let there = self.said.slots();
        let fading = self.flow == Flow::FadingOut(Then::Clear);
        // What was said behind the clear is not to be faded out with it.
        let limit = if fading { self.clear_to() - self.taken } else { u64::MAX };
        let count = there.min(out.len()).min(usize::try_from(limit).unwrap_or(usize::MAX));
        let (taken, rest) = out.split_at_mut(count);
        rest.fill(0);
        let popped = self.said.pop_entire_slice(taken);
        debug_assert!(popped.is_ok(), "they were counted");
        self.taken += count as u64;
        self.wait = match self.wait {
            _ if count == 0 => Wait::Since(self.frame),
            Wait::Since(empty) => Wait::Was(self.frame.wrapping_sub(empty)),
            was @ Wait::Was(_) => was,
        };
        count
    }

    fn skip(&mut self, samples: u64) {
        let there = self.said.slots();
        let samples = there.min(usize::try_from(samples).unwrap_or(usize::MAX));
        if let Ok(chunk) = self.said.read_chunk(samples) {
            chunk.commit_all();
            self.taken += samples as u64;
        }
        if samples == there {
            self.wait = Wait::Since(self.frame);
        }
    }

    fn publish(&mut self) {
        self.shared.played.store(self.played, Ordering::Relaxed);
        // Release: whoever sees it also finds the news that led to it.
        self.shared.taken.store(self.taken, Ordering::Release);
        self.stir();
    }

    /// A line that does not read its news for seconds loses some of them, as it loses audio.
    fn tell(&mut self, news: News) {
        if self.news.slots() > NEWS_RESERVE {
            self.tell_surely(news);
        } else {
            self.shared.unheard.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// After [`has_room`](Self::has_room) has said so.
    fn tell_surely(&mut self, news: News) {
        let told = self.news.push(news);
        debug_assert!(told.is_ok(), "there was room");
        self.told += u64::from(told.is_ok());
        self.shared.told.store(self.told, Ordering::Release);
        self.stir();
    }

    /// There is something for the line to look at.
    fn stir(&mut self) {
        self.stirred += 1;
        self.shared.stirred.store(self.stirred, Ordering::Release);
    }

    /// Whether there is room for news that must not be lost.
    fn has_room(&self) -> bool {
        self.news.slots() > 0
    }

    fn is_confirmed(&self) -> bool {
        let (Some(barge_in), Some(from)) = (self.barge_in, self.speech_from) else { return false };
        FRAME * (self.frame.wrapping_sub(from) + 1) >= barge_in.min_speech
    }
}

impl Drop for AgentPort {
    fn drop(&mut self) {
        self.close();
    }
}
