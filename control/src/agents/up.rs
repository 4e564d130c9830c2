//! An open socket of a brain: the call's audio and news out, what the brain says and wants in.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::dialect::{Dialect, Frame, Out, Wrong};
use super::leaving::Leaving;
use super::live::{Happened, Live, Marked};
use super::socket::{Opened, Reader, Room, Writer};
use super::websocket::{Fault, Kind, Message};
use super::{Act, Ask};

/// An open socket.
#[derive(Debug)]
pub(super) struct Up {
    reader: Reader,
    writer: Writer,
    readable: bool,
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
    pub(super) fn new(opened: Opened, played_before: u64) -> Self {
        let now = Instant::now();
        Self {
            reader: Reader::new(opened.early),
            writer: Writer::new(opened.stream),
            readable: true,
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
        self.readable |= readable;
        self.writer.ready(readable);
    }

    /// For a turn.
    pub(super) fn borrow(&mut self, room: &mut Room) {
        self.reader.borrow(room);
        self.writer.borrow(room);
    }

    /// The end of [`borrow`](Self::borrow): what is not read or written to its end stays here.
    pub(super) fn give_back(&mut self, room: &mut Room) {
        self.reader.give_back(room);
        self.writer.give_back(room);
    }

    pub(super) fn mail<'a>(&'a mut self, counts: &'a Counts) -> Mail<'a> {
        Mail { writer: &mut self.writer, counts }
    }

    /// The caller's frames, on to the brain; while it does not read, the newest of them are kept.
    pub(super) fn hear(&mut self, live: &mut Live, dialect: &mut dyn Dialect, counts: &Counts) {
        if self.writer.is_blocked() {
            let waiting = &mut self.waiting;
            live.line.hear(|frame| waiting.push_back((frame.index, frame.samples.to_vec())));
            while waiting.len() > WAITING_FRAMES {
                waiting.pop_front();
                counts.lost_frames.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let mut mail = Mail { writer: &mut self.writer, counts };
        for (index, samples) in self.waiting.drain(..) {
            live.pass(index, &samples, dialect, &mut mail);
        }
        live.hear(dialect, &mut mail);
    }

    pub(super) fn tidings(
        &mut self,
        live: &mut Live,
        dialect: &mut dyn Dialect,
        counts: &Counts,
        asks: &mut VecDeque<Ask>,
    ) {
        let mut mail = Mail { writer: &mut self.writer, counts };
        live.tidings(self.played_before, |happened| match happened {
            Happened::News(news) => dialect.told(&news, &mut mail),
            Happened::Ask(ask) => asks.push_back(ask),
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
            if !self.todo.is_empty() {
                return Ok(());
            }
            let message = match self.reader.next() {
                Ok(Some(message)) => message,
                Ok(None) if !self.readable => return Ok(()),
                Ok(None) => {
                    self.fill()?;
                    continue;
                }
                Err(fault) => return Err(self.broken(fault, counts)),
            };
            (self.heard_at, self.pinged) = (now, false);
            let frame = match message {
                Message::Text(text) => Frame::Text(text),
                Message::Binary(bytes) => Frame::Binary(bytes),
                Message::Close(said) => {
                    self.writer.closed_by_peer(said);
                    return Err(left(said));
                }
                Message::Ping(data) => {
                    self.writer.write_bytes(Kind::Pong, data);
                    continue;
                }
                Message::Pong => continue,
            };
            let mut mail = Mail { writer: &mut self.writer, counts };
            let received = dialect.receive(frame, &mut self.say, &mut self.todo, &mut mail);
            if received.is_err() {
                // What could be read of its audio is not played either.
                self.say.clear();
            }
            if let Some(live) = live.as_deref_mut() {
                live.convert_said(&mut self.say);
            }
            if let Err(wrong) = received {
                self.wrong(wrong, counts)?;
            }
        }
        Ok(())
    }

    /// Reads what is there, once.
    fn fill(&mut self) -> Result<(), End> {
        match self.reader.fill(&mut self.writer) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(())
            }
            Err(error) => Err(lost(&error)),
        }
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

    fn broken(&mut self, fault: Fault, counts: &Counts) -> End {
        counts.wrong(fault.reason);
        self.close(fault.code, fault.reason);
        End::Failed(format!("it does not keep to the WebSocket protocol: {}", fault.reason))
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
            self.writer.write_bytes(Kind::Ping, &[]);
            self.writer.flush();
        }
        None
    }

    pub(super) fn flush(&mut self) {
        self.writer.flush();
    }

    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        self.writer.close(code, reason);
    }

    /// Nothing more is said.
    pub(super) fn leave(self, now: Instant) -> Leaving {
        Leaving::new(self.writer, now)
    }
}

/// Writes a dialect's messages; one flush sends what a turn has gathered.
pub(super) struct Mail<'a> {
    writer: &'a mut Writer,
    counts: &'a Counts,
}

impl Mail<'_> {
    fn post(&mut self, kind: Kind, length: usize, fill: impl FnOnce(&mut [u8])) {
        if !self.writer.write(kind, length, fill) {
            self.counts.unsent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Out for Mail<'_> {
    fn text(&mut self, text: &str) {
        self.post(Kind::Text, text.len(), |room| room.copy_from_slice(text.as_bytes()));
    }

    fn samples(&mut self, header: &[u8], samples: &[i16]) {
        self.post(Kind::Binary, header.len() + 2 * samples.len(), |room| {
            let (head, body) = room.split_at_mut(header.len());
            head.copy_from_slice(header);
            let (places, _) = body.as_chunks_mut();
            places
                .iter_mut()
                .zip(samples)
                .for_each(|(place, sample)| *place = sample.to_le_bytes());
        });
    }
}

/// The brain closed its socket: as one that is done, or not.
fn left(said: Option<(u16, &str)>) -> End {
    match said {
        None | Some((1_000, _)) => End::Left,
        Some((code, "")) => End::Lost(format!("it closed with {code}")),
        Some((code, reason)) => End::Lost(format!("it closed with {code}: {reason}")),
    }
}

/// The stream broke, or ended without a goodbye.
fn lost(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::UnexpectedEof => End::Lost("it closed its connection without a word".into()),
        _ => End::Lost(error.to_string()),
    }
}

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
