//! One telephony socket's call, from the first message to the closed socket.
//!
//! ```text
//! start ─► open ─► ring ─► talk ─► leave
//!  10 s     config  answer  media   bye, at most 2 s each
//! ```

use std::pin::pin;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until, timeout};
use vox_call::Reason;
use vox_contracts::{CallDirection, Object};

use super::dialect::{Dialect, Heard, Start, Wrong};
use super::media::Media;
use super::wire::{Incoming, NO_CODE, Wire};
use crate::calls::{AnswerError, CallFacts, Calls, LiveCall, OpenError, Order, Slot};
use crate::metrics::Counters;

/// A socket and what is spoken over it.
pub(super) struct CallTask {
    calls: Calls,
    counters: Counters,
    bot_id: String,
    dialect: Box<dyn Dialect>,
    wire: Wire,
    /// Audio of the message read last.
    pcm: Vec<u8>,
}

/// How a call came to its end.
#[derive(Debug)]
enum Fate {
    /// The peer says so.
    HungUp(Object),
    /// The peer hung up after it was asked to take the caller over.
    TakenOver(Object),
    /// The peer is gone without a word.
    Lost,
    /// The peer sent what we do not take.
    Wrong(Wrong),
    /// The bot, a limit, the worker.
    Ended(Reason),
    /// There is no call.
    NotOpened(OpenError),
    /// Media cannot be had.
    NoMedia(String),
}

impl CallTask {
    pub(super) fn new(
        calls: Calls,
        counters: Counters,
        bot_id: String,
        dialect: Box<dyn Dialect>,
        wire: Wire,
    ) -> Self {
        Self { calls, counters, bot_id, dialect, wire, pcm: Vec::new() }
    }

    /// Everything. The slot goes back with the call's end, before the peer's last words.
    pub(super) async fn run(mut self, slot: Slot) {
        let started = timeout(START_LIMIT, self.started()).await;
        let fate = match started.unwrap_or_else(|_| Err(Fate::Wrong(Wrong::late()))) {
            Ok(start) => self.call(slot, start).await,
            Err(fate) => {
                drop(slot);
                fate
            }
        };
        self.leave(fate).await;
    }

    async fn started(&mut self) -> Result<Start, Fate> {
        loop {
            match self.hear().await? {
                Heard::Start(start) => return Ok(*start),
                Heard::HungUp(facts) => return Err(Fate::HungUp(facts)),
                _ => {}
            }
        }
    }

    async fn call(&mut self, slot: Slot, start: Start) -> Fate {
        let mut answered = start.answered;
        let mut line = match self.open(slot, start, &mut answered).await {
            Ok((line, None)) => line,
            // What was asked for is undone where it was done: the bot's session exists already.
            Ok((line, Some(fate))) => return settled(&line, fate, answered),
            Err(fate) => return fate,
        };
        if !answered && let Err(fate) = self.ring(&mut line).await {
            return settled(&line, fate, false);
        }
        let fate = self.talk(&mut line).await;
        settled(&line, fate, true)
    }

    /// Opens the call; also says whether the peer ended it meanwhile. Keys pressed meanwhile are
    /// the call's first.
    async fn open(
        &mut self,
        slot: Slot,
        start: Start,
        answered: &mut bool,
    ) -> Result<(LiveCall, Option<Fate>), Fate> {
        let (calls, bot_id) = (self.calls.clone(), self.bot_id.clone());
        let mut opening = pin!(calls.open_bot(slot, &bot_id, facts(start, &bot_id)));
        let mut fate = None;
        let mut pressed = Vec::new();
        loop {
            tokio::select! {
                opened = &mut opening => return match (opened, fate) {
                    (Ok(line), fate) => {
                        for (digit, held) in pressed {
                            line.digit_from_socket(digit, held);
                        }
                        Ok((line, fate))
                    }
                    (Err(_), Some(fate)) => Err(fate),
                    (Err(error), None) => Err(Fate::NotOpened(error)),
                },
                heard = self.hear(), if fate.is_none() => match heard {
                    Ok(Heard::Answer) => *answered = true,
                    Ok(Heard::HungUp(facts)) => fate = Some(Fate::HungUp(facts)),
                    Ok(Heard::Digit { digit, held }) if pressed.len() < EARLY_DIGITS => {
                        pressed.push((digit, held));
                    }
                    Ok(_) => {}
                    Err(ended) => fate = Some(ended),
                },
            }
        }
    }

    /// Until the answer. One that never comes ends by the engine's limit.
    async fn ring(&mut self, line: &mut LiveCall) -> Result<(), Fate> {
        loop {
            tokio::select! {
                reason = line.ended() => return Err(Fate::Ended(reason)),
                heard = self.hear() => match heard? {
                    Heard::Answer => return Ok(()),
                    Heard::HungUp(facts) => return Err(Fate::HungUp(facts)),
                    Heard::Digit { digit, held } => line.digit_from_socket(digit, held),
                    _ => {}
                },
            }
        }
    }

    async fn talk(&mut self, line: &mut LiveCall) -> Fate {
        let mut media = match answer(line).await {
            Ok(media) => media,
            Err(why) => return Fate::NoMedia(why),
        };
        let mut cuts = line.cuts();
        // Until when the peer may take the caller over.
        let mut leaving = None;
        loop {
            tokio::select! {
                order = line.next_order() => match order {
                    Order::Ended(reason) => return Fate::Ended(reason),
                    // How is the dialler's to decide.
                    Order::Transfer { to, .. } => leaving = self.transfer(line, &to.to_string()),
                },
                heard = self.hear() => match heard {
                    Ok(Heard::Media) => {
                        self.counters.telephony_dropped("caller", media.hear(&self.pcm));
                    }
                    Ok(Heard::Digit { digit, held }) => line.digit_from_socket(digit, held),
                    Ok(Heard::Clear) => media.clear(),
                    Ok(Heard::HungUp(facts)) if leaving.is_some() => return Fate::TakenOver(facts),
                    Ok(Heard::HungUp(facts)) => return Fate::HungUp(facts),
                    Ok(Heard::Nothing | Heard::Start(_) | Heard::Answer) => {}
                    Err(fate) => return fate,
                },
                // A caller who is being taken over hears no bot any more.
                said = media.said() => if leaving.is_none() {
                    self.dialect.speak(said, OffsetDateTime::now_utc(), &mut self.wire.out);
                    let dropped = std::mem::take(&mut self.wire.out.dropped);
                    self.counters.telephony_dropped("bot", dropped);
                },
                Ok(()) = cuts.changed() => self.dialect.flush(&mut self.wire.out),
                () = sleep_until(leaving.unwrap_or_else(Instant::now)), if leaving.is_some() => {
                    line.transferred(TRANSFER, Err("the dialler did not take the caller".into()));
                    leaving = None;
                }
            }
        }
    }

    /// Asks the peer to take the caller over; until when it may.
    fn transfer(&mut self, line: &LiveCall, to: &str) -> Option<Instant> {
        if self.dialect.transfer(to, &mut self.wire.out) {
            return Some(Instant::now() + TRANSFER_LIMIT);
        }
        line.transferred(TRANSFER, Err("this dialler's protocol has no transfer".into()));
        None
    }

    /// What the peer says next. What cannot be used and does no harm is counted and left out.
    async fn hear(&mut self) -> Result<Heard, Fate> {
        loop {
            let text = match self.wire.next().await {
                Incoming::Text(text) => text,
                // RFC 6455 §7.4.1: the purpose of the connection is fulfilled.
                Incoming::Closed(1000 | NO_CODE) => return Ok(Heard::HungUp(Object::new())),
                Incoming::Closed(_) | Incoming::Lost => return Err(Fate::Lost),
                Incoming::Wrong(wrong) => return Err(Fate::Wrong(wrong)),
            };
            self.pcm.clear();
            match self.dialect.receive(&text, &mut self.pcm) {
                Ok(Heard::Nothing) => {}
                Ok(heard) => return Ok(heard),
                Err(wrong) if wrong.close.is_some() => return Err(Fate::Wrong(wrong)),
                Err(wrong) => self.counters.telephony_wrong(wrong.label),
            }
        }
    }

    /// Tells the peer, and closes the socket.
    async fn leave(mut self, fate: Fate) {
        let (code, why) = match fate {
            Fate::HungUp(_) | Fate::TakenOver(_) => (1000, String::new()),
            Fate::Lost => {
                self.counters.telephony_wrong("broken_off");
                (1001, String::new())
            }
            Fate::Wrong(wrong) => {
                self.counters.telephony_wrong(wrong.label);
                self.dialect.hang_up(&mut self.wire.out);
                (wrong.close.unwrap_or(1002), wrong.why)
            }
            Fate::Ended(reason) => {
                if self.dialect.hang_up(&mut self.wire.out) {
                    // Its answer is its affair; we do not wait for it for long.
                    let _ = timeout(HANG_UP_LIMIT, self.hung_up()).await;
                }
                close_code(reason)
            }
            Fate::NotOpened(error) => (refusal_code(&error), error.to_string()),
            Fate::NoMedia(why) => (1011, why),
        };
        self.wire.close(code, &why).await;
    }

    async fn hung_up(&mut self) {
        loop {
            if matches!(self.hear().await, Ok(Heard::HungUp(_)) | Err(_)) {
                return;
            }
        }
    }
}

/// The bot starts.
async fn answer(line: &LiveCall) -> Result<Media, String> {
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    let media = Media::open(line.rtp(), seed).await;
    let media = media.map_err(|error| format!("no loopback socket: {error}"))?;
    let session = media.session().map_err(|error| format!("no loopback socket: {error}"))?;
    line.answer(session).await.map_err(|error: AnswerError| error.to_string())?;
    Ok(media)
}

/// Ends the call for what came of it, and writes down what the peer said.
fn settled(line: &LiveCall, fate: Fate, answered: bool) -> Fate {
    match &fate {
        Fate::HungUp(facts) => {
            line.note("peer_hung_up", facts.clone());
            let given_up = if answered { Reason::CallerHungUp } else { Reason::CallerCancelled };
            line.close(given_up);
        }
        Fate::TakenOver(facts) => {
            line.note("peer_hung_up", facts.clone());
            line.transferred(TRANSFER, Ok(()));
        }
        Fate::Lost => {
            line.note("socket_lost", Object::new());
            line.close(Reason::SignallingFailed);
        }
        Fate::Wrong(wrong) => {
            let facts = [("reason", wrong.label), ("why", &wrong.why)];
            let facts = facts.map(|(name, text)| (name.to_owned(), json!(text)));
            line.note("peer_refused", facts.into_iter().collect());
            line.close(Reason::SignallingFailed);
        }
        Fate::NotOpened(_) | Fate::NoMedia(_) => line.close(Reason::SignallingFailed),
        Fate::Ended(_) => {}
    }
    fate
}

/// In the terms of all calls: whoever was dialled, and by whom.
fn facts(start: Start, bot_id: &str) -> CallFacts {
    let Start { customer, did, direction, stream_id, connected_event, .. } = start;
    let (caller, dialed) = match direction {
        CallDirection::Inbound => (customer, did),
        CallDirection::Outbound => (did, customer),
    };
    let dialed = if dialed.is_empty() { bot_id.to_owned() } else { dialed };
    CallFacts { dialed, caller, direction, stream_id, connected_event }
}

/// RFC 6455 §7.4.1, and 4000 with the HTTP status that says the same (§7.4.2).
fn refusal_code(error: &OpenError) -> u16 {
    match error {
        OpenError::NoSuchBot(_) => 4404,
        OpenError::Forbidden => 4403,
        OpenError::OutsideHours(_) | OpenError::Unavailable(_) => 4503,
        OpenError::NoPorts | OpenError::Refused(_) => 1013,
        OpenError::BadBot(_) => 1011,
    }
}

fn close_code(reason: Reason) -> (u16, String) {
    let (code, why) = match reason {
        Reason::SetupTimeout => (1008, "no answer in time"),
        Reason::MediaTimeout => (1008, "no media in time"),
        Reason::WorkerStopped => (1001, "this worker stops"),
        Reason::AtCapacity => (1013, "at capacity"),
        Reason::Fault => (1011, "a bug ended this call"),
        Reason::MaxDuration => (1000, "the call was as long as it may be"),
        _ => (1000, ""),
    };
    (code, why.to_owned())
}

/// The contract's word for how it is done.
const TRANSFER: &str = "websocket_reverse_transfer";
/// Keys that a call takes along which were pressed before it was open.
const EARLY_DIGITS: usize = 32;

/// For a dialler to reach whom it transfers to, and to hang up.
const TRANSFER_LIMIT: Duration = Duration::from_secs(30);
/// From the socket to its `start`.
const START_LIMIT: Duration = Duration::from_secs(10);
/// For the peer to answer that it hung up.
const HANG_UP_LIMIT: Duration = Duration::from_secs(2);
