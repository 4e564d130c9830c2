//! An open socket of a brain: the call's audio and news out, what the brain says and wants in.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tungstenite::protocol::CloseFrame;
use tungstenite::{Bytes, Error, Message};
use vox_call::pipeline::{AgentLine, Tiding};
use vox_codecs::dsp::resample::Resampler;

use super::connect::Socket;
use super::counts::Counts;
use super::dialect::{Dialect, Frame, News, Out, Wrong};
use super::leaving::Leaving;
use super::{Act, Ask};

/// An open socket.
#[derive(Debug)]
pub(super) struct Up {
    socket: Socket,
    readable: bool,
    /// What was written last is still here: the brain does not read.
    blocked: bool,
    /// Caller's frames that wait meanwhile, oldest first.
    waiting: VecDeque<(u32, Vec<i16>)>,
    pub(super) opened_at: Instant,
    heard_at: Instant,
    pinged: bool,
    /// The brain was told that the call is answered.
    pub(super) started: bool,
    /// Samples that the line had played before this connection.
    played_before: u64,
    /// What the brain wants and is not done yet: no more of it is read before.
    todo: VecDeque<Act>,
    /// Audio of the first `Say` in `todo`, at the call's rate.
    say: Vec<i16>,
    wrong: u32,
    /// What the brain may still ask of its call at `asked_at`.
    asks_left: f64,
    asked_at: Instant,
}

/// An answered call.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) line: AgentLine,
    /// Call's rate to dialect's and back, where they differ.
    convert: Option<(Resampler, Resampler)>,
    marks: VecDeque<(u32, Marked)>,
    next_mark: u32,
}

/// What is to be done when a mark comes.
#[derive(Debug)]
enum Marked {
    Tell(String),
    HangUp(Option<String>),
}

/// How a connection ends.
pub(super) enum End {
    /// The brain said goodbye.
    Left,
    /// Worth another try.
    Lost(String),
    /// Not worth one.
    Failed(String),
}

impl Up {
    /// Just opened; the line has played so many samples for others before.
    pub(super) fn new(socket: Socket, played_before: u64) -> Self {
        let now = Instant::now();
        Self {
            socket,
            readable: true,
            blocked: false,
            waiting: VecDeque::new(),
            opened_at: now,
            heard_at: now,
            pinged: false,
            started: false,
            played_before,
            todo: VecDeque::new(),
            say: vec![],
            wrong: 0,
            asks_left: ASKS_AT_ONCE,
            asked_at: now,
        }
    }

    /// The kernel has something for us, or room again.
    pub(super) fn ready(&mut self, readable: bool) {
        if readable {
            self.readable = true;
            self.socket.get_mut().readable();
        }
        self.blocked = false;
    }

    pub(super) fn mail<'a>(&'a mut self, counts: &'a Counts) -> Mail<'a> {
        Mail { up: self, counts }
    }

    /// The caller's frames, on to the brain; while it does not read, the newest of them are kept.
    pub(super) fn hear(&mut self, live: &mut Live, dialect: &mut dyn Dialect, counts: &Counts) {
        if self.blocked {
            let waiting = &mut self.waiting;
            live.line.hear(|frame| waiting.push_back((frame.index, frame.samples.to_vec())));
            while waiting.len() > WAITING_FRAMES {
                waiting.pop_front();
                counts.lost_frames.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let convert = &mut live.convert;
        let mut pass = |index: u32, samples: &[i16], mail: &mut Mail<'_>| match convert {
            None => dialect.heard(index, samples, mail),
            Some((to_brain, _)) => {
                let mut converted = [0; FRAME_SAMPLES_MAX];
                let count = to_brain.process(samples, &mut converted);
                dialect.heard(index, &converted[..count], mail);
            }
        };
        for (index, samples) in std::mem::take(&mut self.waiting) {
            pass(index, &samples, &mut self.mail(counts));
        }
        live.line.hear(|frame| pass(frame.index, frame.samples, &mut self.mail(counts)));
    }

    pub(super) fn tidings(
        &mut self,
        live: &mut Live,
        dialect: &mut dyn Dialect,
        counts: &Counts,
        asks: &mut VecDeque<Ask>,
    ) {
        let (rate_hz, before) = (u64::from(live.line.rate_hz()), self.played_before);
        let ms = |samples: u64| samples * 1_000 / rate_hz;
        let played_ms = |samples: u64| ms(samples.saturating_sub(before));
        let marks = &mut live.marks;
        live.line.tidings(|tiding| {
            let news = match tiding {
                Tiding::Mark { id, played } => {
                    let Some((_, marked)) = marks.pop_front_if(|(next, _)| *next == id) else {
                        return;
                    };
                    match marked {
                        Marked::HangUp(reason) => {
                            let act = Act::HangUp { after_playback: false, reason };
                            return asks.push_back(Ask::Act(act));
                        }
                        Marked::Tell(name) => {
                            let news = News::Mark { name: &name, played };
                            return dialect.told(&news, &mut self.mail(counts));
                        }
                    }
                }
                Tiding::Cleared { played, dropped } => {
                    asks.push_back(Ask::Cut);
                    News::Cleared { played_ms: played_ms(played), dropped_ms: ms(dropped) }
                }
                Tiding::Interrupted { played, dropped } => {
                    asks.push_back(Ask::Cut);
                    News::Interrupted { played_ms: played_ms(played), dropped_ms: ms(dropped) }
                }
                Tiding::SpeechStarted { frame, playing } => {
                    News::SpeechStarted { at_ms: u64::from(frame) * 20, playing }
                }
                Tiding::SpeechStopped { frame } => {
                    News::SpeechStopped { at_ms: (u64::from(frame) + 1) * 20 }
                }
                Tiding::Paused { played } => News::Paused { played_ms: played_ms(played) },
                Tiding::Resumed => News::Resumed,
                Tiding::Drained { played } => News::Drained { played_ms: played_ms(played) },
            };
            dialect.told(&news, &mut self.mail(counts));
        });
    }

    /// What the brain says, as long as what it wants can be done.
    pub(super) fn read(
        &mut self,
        now: Instant,
        mut live: Option<&mut Live>,
        dialect: &mut dyn Dialect,
        counts: &Counts,
        asks: &mut VecDeque<Ask>,
    ) -> Result<(), End> {
        for _ in 0..MESSAGES_AT_ONCE {
            self.work_off(now, live.as_deref_mut(), counts, asks)?;
            if !self.todo.is_empty() || !self.readable {
                return Ok(());
            }
            let message = match self.socket.read() {
                Ok(message) => message,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(());
                }
                Err(error) => return Err(self.broken(error, counts)),
            };
            (self.heard_at, self.pinged) = (now, false);
            let frame = match &message {
                Message::Text(text) => Frame::Text(text),
                Message::Binary(bytes) => Frame::Binary(bytes),
                Message::Close(frame) => return Err(left(frame.as_ref())),
                // Pings are answered by the next write.
                _ => continue,
            };
            let mut acts = vec![];
            let mut say = std::mem::take(&mut self.say);
            let received = dialect.receive(frame, &mut say, &mut acts, &mut self.mail(counts));
            if received.is_err() {
                // What could be read of its audio is not played either.
                say.clear();
            }
            self.say = match live.as_deref_mut().and_then(|live| live.convert.as_mut()) {
                Some((_, to_call)) => converted(to_call, &say),
                None => say,
            };
            self.todo.extend(acts);
            if let Err(wrong) = received {
                self.wrong(wrong, counts)?;
            }
        }
        Ok(())
    }

    /// Whether there is more to read, and nothing that has to wait for the call first.
    pub(super) fn has_more(&self) -> bool {
        self.readable && self.todo.is_empty()
    }

    /// Does what the brain wants, in order, until something has to wait.
    fn work_off(
        &mut self,
        now: Instant,
        mut live: Option<&mut Live>,
        counts: &Counts,
        asks: &mut VecDeque<Ask>,
    ) -> Result<(), End> {
        while let Some(act) = self.todo.pop_front() {
            match (act, live.as_deref_mut()) {
                (Act::Say, Some(live)) => {
                    let taken = live.line.say(&self.say);
                    self.say.drain(..taken);
                    if !self.say.is_empty() {
                        self.todo.push_front(Act::Say);
                        return Ok(());
                    }
                }
                // Nobody is there to hear it.
                (Act::Say, None) => self.say.clear(),
                (Act::Clear, Some(live)) => live.line.clear(),
                (Act::Mark(name), Some(live)) => {
                    if live.mark(Marked::Tell(name)).is_some() {
                        counts.wrong("too_many_marks");
                    }
                }
                (Act::HangUp { after_playback: true, reason }, Some(live)) => {
                    // With so much still to be marked nobody waits for the end.
                    if let Some(Marked::HangUp(reason)) = live.mark(Marked::HangUp(reason)) {
                        asks.push_back(Ask::Act(Act::HangUp { after_playback: false, reason }));
                    }
                }
                (Act::Clear | Act::Mark(_), None) => {}
                (Act::Fail(why), _) => return Err(End::Failed(why)),
                (act, _) if self.may_ask(now) => asks.push_back(Ask::Act(act)),
                _ => self.wrong(TOO_MANY_ACTS, counts)?,
            }
        }
        Ok(())
    }

    /// Whether the brain may ask for one thing more: a number at once, then so many a second.
    fn may_ask(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.asked_at).as_secs_f64();
        self.asks_left = (self.asks_left + since * ASKS_PER_SECOND).min(ASKS_AT_ONCE);
        self.asked_at = now;
        let may = self.asks_left >= 1.0;
        self.asks_left -= f64::from(u8::from(may));
        may
    }

    /// A message that cannot be used: counted; too many of them, or a bad one, end the socket.
    fn wrong(&mut self, wrong: Wrong, counts: &Counts) -> Result<(), End> {
        counts.wrong(wrong.reason);
        self.wrong += u32::from(wrong.is_a_fault());
        let code = wrong.close.or((self.wrong > WRONG_MAX).then_some(1_008));
        let Some(code) = code else { return Ok(()) };
        self.close(code, wrong.reason);
        Err(End::Failed(format!("it sends what cannot be used: {}", wrong.reason)))
    }

    fn broken(&mut self, error: Error, counts: &Counts) -> End {
        let (code, reason) = match &error {
            Error::Capacity(_) => (1_009, "too_large"),
            Error::Utf8(_) => (1_007, "bad_utf8"),
            Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_) => return End::Lost(error.to_string()),
            _ => (1_002, "bad_frame"),
        };
        counts.wrong(reason);
        self.close(code, reason);
        End::Failed(error.to_string())
    }

    /// Whether the brain still says something; why it is lost, when it does not.
    pub(super) fn watch(&mut self, now: Instant, idle: Duration) -> Option<String> {
        let silent = now.saturating_duration_since(self.heard_at);
        // A brain that is held back by us cannot be asked whether it lives.
        if silent >= idle && self.todo.is_empty() {
            self.close(1_011, "no pong");
            return Some(format!("no word and no pong for {} s", idle.as_secs()));
        }
        if silent >= idle / 2 && !self.pinged {
            self.pinged = true;
            // What fails here fails again with the next flush.
            let _ = self.socket.write(Message::Ping(Bytes::new()));
        }
        None
    }

    pub(super) fn flush(&mut self) {
        if self.blocked {
            return;
        }
        match self.socket.flush() {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
            // A broken socket is found by the next read.
            _ => {}
        }
    }

    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        // For the peer's sake only: it may be gone, or have closed before.
        let _ = self.socket.close(Some(frame));
    }

    /// Nothing more is said.
    pub(super) fn leave(self, now: Instant) -> Leaving {
        Leaving::new(self.socket, now)
    }
}

impl Live {
    /// With a brain that hears and speaks at `own_hz`.
    pub(super) fn new(line: AgentLine, own_hz: u32) -> Self {
        let call_hz = line.rate_hz();
        let convert = (call_hz != own_hz)
            .then(|| (Resampler::new(call_hz, own_hz), Resampler::new(own_hz, call_hz)));
        Self { line, convert, marks: VecDeque::new(), next_mark: 0 }
    }

    /// What was said on a connection that is gone is not to be heard any more.
    pub(super) fn forget(&mut self) {
        self.line.clear();
        self.marks.clear();
    }

    /// Sets a mark; gives it back when there are too many.
    fn mark(&mut self, marked: Marked) -> Option<Marked> {
        let id = self.next_mark;
        self.next_mark = id.wrapping_add(1);
        if !self.line.mark(id) {
            return Some(marked);
        }
        self.marks.push_back((id, marked));
        None
    }
}

/// Writes a dialect's messages into the socket's buffer; one flush sends what a turn has gathered.
pub(super) struct Mail<'a> {
    up: &'a mut Up,
    counts: &'a Counts,
}

impl Mail<'_> {
    fn post(&mut self, message: Message) {
        match self.up.socket.write(message) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                self.up.blocked = true
            }
            Err(Error::WriteBufferFull(_)) => {
                self.up.blocked = true;
                self.counts.unsent.fetch_add(1, Ordering::Relaxed);
            }
            // A broken socket is found by the next read.
            _ => {}
        }
    }
}

impl Out for Mail<'_> {
    fn text(&mut self, text: &str) {
        self.post(Message::text(text));
    }

    fn binary(&mut self, header: &[u8], body: &[u8]) {
        self.post(Message::binary([header, body].concat()));
    }
}

/// The brain closed its socket: as one that is done, or not.
fn left(frame: Option<&CloseFrame>) -> End {
    match frame.map(|frame| (u16::from(frame.code), frame.reason.as_str())) {
        None | Some((1_000, _)) => End::Left,
        Some((code, "")) => End::Lost(format!("it closed with {code}")),
        Some((code, reason)) => End::Lost(format!("it closed with {code}: {reason}")),
    }
}

fn converted(resampler: &mut Resampler, samples: &[i16]) -> Vec<i16> {
    let mut out = vec![0; samples.len() * 2 + 4];
    let count = resampler.process(samples, &mut out);
    out.truncate(count);
    out
}

/// 20 ms at 24 kHz, and what a resampler may have over.
const FRAME_SAMPLES_MAX: usize = 484;
/// Of the caller, for a brain that does not read: a second.
const WAITING_FRAMES: usize = 50;
/// Messages of one brain in one turn: others have theirs in between.
const MESSAGES_AT_ONCE: usize = 64;
/// Messages that cannot be used before a brain is broken.
const WRONG_MAX: u32 = 100;
/// What a brain may ask of its call besides to be heard,
const ASKS_AT_ONCE: f64 = 100.0;
/// and again after it has.
const ASKS_PER_SECOND: f64 = 20.0;
const TOO_MANY_ACTS: Wrong = Wrong { reason: "too_many_acts", close: None };
