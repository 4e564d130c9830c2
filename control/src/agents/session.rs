//! One call's brain: its line, its dialect, its socket.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Bytes, Error, Message};
use vox_call::CallId;
use vox_call::pipeline::{AgentLine, Tiding};
use vox_codecs::dsp::resample::Resampler;

use super::connect::Socket;
use super::dialect::{self, Dialect, Frame, News, Out, Stop, Wrong};
use super::{Act, AgentNews, Ask, Asked, SocketPlan, StartFacts};

/// A call's brain, as the hub's thread sees it.
#[derive(Debug)]
pub(super) struct Session {
    id: u64,
    call: CallId,
    plan: SocketPlan,
    facts: StartFacts,
    dialect: Box<dyn Dialect>,
    link: Link,
    live: Option<Live>,
    /// Connections that were lost in a row.
    lost: u32,
    /// Goes to control with the next turn.
    asks: VecDeque<Ask>,
    announcing: Option<Announcing>,
    /// Samples that were played, for whoever watches for silence.
    said: Arc<AtomicU64>,
    counts: Arc<Counts>,
}

/// A transfer waits for the brain to have said what it has to say.
#[derive(Debug, Clone, Copy)]
struct Announcing {
    silent_since: Instant,
    /// So long a silence is the end of it.
    quiet: Duration,
}

/// How the socket stands.
///
/// ```text
///  Connecting ──► Up ──► (lost) ──► Connecting … ──► Gone
///       └──────────────────┴──── no more tries ───────┘
/// ```
#[derive(Debug)]
enum Link {
    Connecting,
    Up(Box<Up>),
    Lost(String),
    Gone,
}

/// An open socket.
#[derive(Debug)]
struct Up {
    socket: Socket,
    readable: bool,
    /// What was written last is still here: the brain does not read.
    blocked: bool,
    /// Caller's frames that wait meanwhile, oldest first.
    waiting: VecDeque<(u32, Vec<i16>)>,
    opened_at: Instant,
    heard_at: Instant,
    pinged: bool,
    started: bool,
    /// Samples that the line had played before this connection.
    played_before: u64,
    /// What the brain wants and is not done yet: no more of it is read before.
    todo: VecDeque<Act>,
    /// Audio of the first `Say` in `todo`, at the call's rate.
    say: Vec<i16>,
    wrong: u32,
}

/// An answered call.
#[derive(Debug)]
struct Live {
    line: AgentLine,
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

/// What a session needs from the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Another connection, after a pause.
    Connection(Duration),
}

impl Session {
    pub(super) fn new(
        id: u64,
        call: CallId,
        plan: SocketPlan,
        facts: StartFacts,
        counts: Arc<Counts>,
    ) -> Self {
        let dialect = dialect::dialect(&plan);
        let (link, asks) = (Link::Connecting, VecDeque::new());
        Self {
            id,
            call,
            plan,
            facts,
            dialect,
            link,
            live: None,
            lost: 0,
            asks,
            announcing: None,
            said: Arc::default(),
            counts,
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn said(&self) -> Arc<AtomicU64> {
        self.said.clone()
    }

    pub(super) fn plan(&self) -> &SocketPlan {
        &self.plan
    }

    pub(super) fn subprotocol(&self) -> Option<&'static str> {
        dialect::subprotocol(self.plan.protocol)
    }

    /// The socket is open, or not.
    pub(super) fn connected(&mut self, socket: Result<Box<Socket>, String>) {
        let socket = match socket {
            Ok(socket) => *socket,
            Err(why) => return self.lost(why),
        };
        self.counts.connected.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let played_before = self.live.as_ref().map_or(0, |live| live.line.played());
        let mut up = Up {
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
        };
        self.dialect.connected(&self.facts, &mut up.mail(&self.counts));
        self.asks
            .push_back(Ask::Note("agent_connected", json!({"to": self.plan.address.to_string()})));
        self.link = Link::Up(Box::new(up));
        self.start();
    }

    /// The socket is gone, or never came.
    pub(super) fn lost(&mut self, why: String) {
        self.link = Link::Lost(why);
    }

    /// It fell over: nothing more is asked of what may have broken.
    pub(super) fn broken(&mut self) {
        tracing::error!(call_id = self.call.0, "a brain's session fell over");
        self.link = Link::Gone;
        self.live = None;
        self.asks.push_back(Ask::Gone { why: "a fault of this worker's".into() });
    }

    /// The call is answered.
    pub(super) fn answered(&mut self, line: AgentLine, codec: &'static str) {
        self.facts.codec = codec;
        let (call_hz, own_hz) = (line.rate_hz(), self.dialect.rate_hz());
        let convert = (call_hz != own_hz)
            .then(|| (Resampler::new(call_hz, own_hz), Resampler::new(own_hz, call_hz)));
        self.live = Some(Live { line, convert, marks: VecDeque::new(), next_mark: 0 });
        self.start();
    }

    /// The kernel has something for the socket, or room again.
    pub(super) fn ready(&mut self, readable: bool) {
        if let Link::Up(up) = &mut self.link {
            if readable {
                up.readable = true;
                up.socket.get_mut().readable();
            }
            up.blocked = false;
        }
    }

    /// Passes news on.
    pub(super) fn tell(&mut self, news: &AgentNews) {
        if let AgentNews::PreTransfer { message } = news {
            let quiet = if message.is_some() { ANNOUNCE_BEGIN } else { Duration::ZERO };
            self.announcing = Some(Announcing { silent_since: Instant::now(), quiet });
        }
        let Link::Up(up) = &mut self.link else { return };
        if !up.started {
            return;
        }
        let news = match news {
            AgentNews::Digit(digit) => News::Digit(*digit),
            AgentNews::Warning { seconds_left } => News::Warning { seconds_left: *seconds_left },
            AgentNews::ReEngage { attempt, message } => {
                News::ReEngage { attempt: *attempt, message }
            }
            AgentNews::PreTransfer { message: Some(message) } => News::PreTransfer { message },
            AgentNews::PreTransfer { message: None } => return,
            AgentNews::Transfer { failed } => News::Transfer { failed: failed.as_deref() },
            AgentNews::Refused { act, why } => News::Refused { act, why },
        };
        self.dialect.told(&news, &mut up.mail(&self.counts));
        up.flush();
    }

    /// Everything that there is to do now.
    pub(super) fn serve(&mut self, now: Instant, asked: &mpsc::Sender<Asked>) -> Option<Wants> {
        if let Some(why) = self.turn(now) {
            self.lost(why);
        }
        let wants = self.recover();
        self.announce(now);
        if let Some(live) = &self.live {
            self.said.store(live.line.played(), Ordering::Relaxed);
        }
        while let Some(what) = self.asks.pop_front() {
            if let Err(error) = asked.try_send(Asked { call: self.call, what }) {
                // A brain that asks faster than control can do loses its wishes, not others theirs.
                self.counts.wrong("too_many_acts");
                tracing::debug!(call_id = self.call.0, "{error}");
            }
        }
        wants
    }

    /// Says goodbye.
    pub(super) fn stop(&mut self, why: Stop) {
        if let Link::Up(up) = &mut self.link {
            if up.started {
                self.dialect.stop(why, &mut up.mail(&self.counts));
            }
            let code = if why == Stop::WorkerStopped { 1_001 } else { 1_000 };
            up.close(code, "");
        }
        self.link = Link::Gone;
    }

    fn start(&mut self) {
        let (Link::Up(up), Some(live)) = (&mut self.link, &mut self.live) else { return };
        if !up.started {
            up.started = true;
            // What came before belongs to nobody.
            live.line.hear(|_| {});
            live.line.tidings(|_| {});
            self.dialect.start(&self.facts, &mut up.mail(&self.counts));
            up.flush();
        }
    }

    /// One turn; why the socket is lost, when it is.
    fn turn(&mut self, now: Instant) -> Option<String> {
        let Link::Up(up) = &mut self.link else {
            if let Some(live) = &mut self.live {
                let lost = &self.counts.lost_frames;
                live.line.hear(|_| {
                    lost.fetch_add(1, Ordering::Relaxed);
                });
                live.line.tidings(|_| {});
                live.line.pour();
            }
            return None;
        };
        if let Some(live) = &mut self.live {
            let dialect = &mut *self.dialect;
            up.hear(live, dialect, &self.counts);
            up.tidings(live, dialect, &self.counts, &mut self.asks);
            live.line.pour();
        }
        let read =
            up.read(now, self.live.as_mut(), &mut *self.dialect, &self.counts, &mut self.asks);
        match read {
            Ok(()) => {}
            Err(End::Left) => {
                self.asks.push_back(Ask::Left);
                self.link = Link::Gone;
                return None;
            }
            Err(End::Failed(why)) => {
                self.lost = self.plan.limits.reconnects;
                return Some(why);
            }
            Err(End::Lost(why)) => return Some(why),
        }
        if now.saturating_duration_since(up.opened_at) >= PROVEN {
            self.lost = 0;
        }
        up.flush();
        up.watch(now, self.plan.limits.idle)
    }

    /// Says when what is to be said before a transfer has been heard: the brain has begun, and then
    /// nothing is left of it for a moment; or it does not begin, or is not there.
    fn announce(&mut self, now: Instant) {
        let Some(announcing) = &mut self.announcing else { return };
        let speaks = self.live.as_ref().is_some_and(|live| live.line.queued() > 0);
        if speaks && matches!(self.link, Link::Up(_)) {
            let quiet = announcing.quiet.min(ANNOUNCE_PAUSE);
            *announcing = Announcing { silent_since: now, quiet };
        } else if now.saturating_duration_since(announcing.silent_since) >= announcing.quiet {
            self.announcing = None;
            self.asks.push_back(Ask::Announced);
        }
    }

    /// What comes after a loss.
    fn recover(&mut self) -> Option<Wants> {
        let Link::Lost(why) = &mut self.link else { return None };
        let why = std::mem::take(why);
        let address = self.plan.address.to_string();
        if let Some(live) = &mut self.live {
            live.line.clear();
            live.marks.clear();
        }
        if self.lost < self.plan.limits.reconnects {
            self.lost += 1;
            self.facts.reconnects += 1;
            self.counts.reconnects.fetch_add(1, Ordering::Relaxed);
            self.asks.push_back(Ask::Note("agent_lost", json!({"to": address, "why": why})));
            self.dialect = dialect::dialect(&self.plan);
            self.link = Link::Connecting;
            return Some(Wants::Connection(FIRST_PAUSE * 2u32.pow(self.lost.min(6) - 1)));
        }
        self.counts.gone.fetch_add(1, Ordering::Relaxed);
        self.asks.push_back(Ask::Gone { why: format!("{address}: {why}") });
        self.link = Link::Gone;
        None
    }
}

/// How a connection ends.
enum End {
    /// The brain said goodbye.
    Left,
    /// Worth another try.
    Lost(String),
    /// Not worth one.
    Failed(String),
}

impl Up {
    fn mail<'a>(&'a mut self, counts: &'a Counts) -> Mail<'a> {
        Mail { up: self, counts }
    }

    /// The caller's frames, on to the brain; while it does not read, the newest of them are kept.
    fn hear(&mut self, live: &mut Live, dialect: &mut dyn Dialect, counts: &Counts) {
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

    fn tidings(
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
    fn read(
        &mut self,
        now: Instant,
        mut live: Option<&mut Live>,
        dialect: &mut dyn Dialect,
        counts: &Counts,
        asks: &mut VecDeque<Ask>,
    ) -> Result<(), End> {
        for _ in 0..MESSAGES_AT_ONCE {
            self.work_off(live.as_deref_mut(), counts, asks)?;
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

    /// Does what the brain wants, in order, until something has to wait.
    fn work_off(
        &mut self,
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
                (act, _) => asks.push_back(Ask::Act(act)),
            }
        }
        Ok(())
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
    fn watch(&mut self, now: Instant, idle: Duration) -> Option<String> {
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

    fn flush(&mut self) {
        if self.blocked {
            return;
        }
        match self.socket.flush() {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
            // A broken socket is found by the next read.
            _ => {}
        }
    }

    fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        // Both for the peer's sake only: it may be gone, or not read.
        let _ = self.socket.close(Some(frame));
        let _ = self.socket.flush();
        if code != 1_000 {
            self.socket.get_mut().shut();
        }
    }
}

impl Live {
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
struct Mail<'a> {
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

/// What brains' sockets have counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections tried.
    pub tried: AtomicU64,
    /// Connections opened.
    pub connected: AtomicU64,
    /// Connections tried again after a loss.
    pub reconnects: AtomicU64,
    /// Brains that were gone for good.
    pub gone: AtomicU64,
    /// Caller's frames of 20 ms that no brain got: it was slow, or not there.
    pub lost_frames: AtomicU64,
    /// Messages that found a brain's buffer full.
    pub unsent: AtomicU64,
    /// Messages that could not be used, by reason.
    wrong: std::sync::Mutex<std::collections::BTreeMap<&'static str, u64>>,
}

impl Counts {
    pub(super) fn connecting(&self) {
        self.tried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrong(&self, reason: &'static str) {
        *self.lock().entry(reason).or_default() += 1;
    }

    /// Messages that could not be used, by reason.
    pub fn wrongs(&self) -> Vec<(&'static str, u64)> {
        self.lock().iter().map(|(reason, count)| (*reason, *count)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<&'static str, u64>> {
        // Nothing in between panics.
        self.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
/// Between connections: 200 ms, 400 ms, …
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A connection that has lasted so long works: the next loss is the first in a row.
const PROVEN: Duration = Duration::from_secs(10);
/// A brain that has something to say before a transfer begins to within this,
const ANNOUNCE_BEGIN: Duration = Duration::from_secs(4);
/// and has said it when it is silent for so long.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(1_200);
