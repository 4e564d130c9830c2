//! The generic telephony dialler (contract §1.4).
//!
//! ```text
//! connected ─► start ─► answer ─► media… ─► hangup-call
//!  who calls    format   the bot starts
//! ```

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use vox_contracts::{CallDirection, Object};

use super::dialect::{Dialect, Head, Heard, Outbox, Start, Wrong, body, encode, field, whole};

/// One call of a dialler.
#[derive(Debug, Default)]
pub(super) struct Generic {
    phase: Phase,
    caller_id: String,
    did: String,
    /// As the peer spells it.
    direction: String,
    stream_id: String,
    connected_event: Object,
    /// `reverse-media` said so far.
    chunks: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    New,
    Connected,
    Started,
    Answered,
}

impl Dialect for Generic {
    fn receive(&mut self, text: &str, pcm: &mut Vec<u8>) -> Result<Heard, Wrong> {
        let head = Head::read(text)?;
        match (&*head.event, self.phase) {
            ("media", Phase::Answered) => head.decode(pcm).map(|()| Heard::Media),
            ("media", Phase::Started) => {
                Err(Wrong::ignored("early_media", "media before the answer is not heard"))
            }
            ("connected", Phase::New) => self.connected(whole(text)?),
            ("start", Phase::Connected) => self.start(&whole(text)?),
            ("answer", Phase::Started) => {
                self.phase = Phase::Answered;
                Ok(Heard::Answer)
            }
            ("answer", Phase::Answered) => Err(Wrong::ignored("repeated", "answered already")),
            ("hangup-call", _) => {
                let mut facts = whole(text)?;
                facts.shift_remove("event");
                Ok(Heard::HungUp(facts))
            }
            ("media" | "connected" | "start" | "answer", phase) => {
                Err(Wrong::order(format!("{} {}", head.event, phase.when())))
            }
            _ => Err(Wrong::ignored("unknown_event", "unknown event")),
        }
    }

    fn speak(&mut self, pcm: &[u8], now: OffsetDateTime, out: &mut Outbox) {
        self.chunks += 1;
        out.media(&ReverseMedia {
            event: "reverse-media",
            chunk: self.chunks,
            did: &self.did,
            payload: encode(pcm),
            // The format has no part that a UTC time lacks.
            timestamp: now.format(TIMESTAMP).unwrap_or_default(),
            stream_id: &self.stream_id,
            caller_id: &self.caller_id,
            chunk_durn_ms: 20,
            call_direction: &self.direction,
            encoding: "LINEAR",
            rev_media_q: 0,
            source: "ai",
        });
    }

    fn flush(&mut self, out: &mut Outbox) {
        out.clear_media();
        out.control(&json!({
            "event": "reverse-media-stop", "callerId": self.caller_id, "streamId": self.stream_id,
        }));
    }

    fn transfer(&mut self, to: &str, out: &mut Outbox) -> bool {
        self.flush(out);
        out.control(&json!({
            "event": "reverse-call-transfer", "streamId": self.stream_id,
            "callerId": self.caller_id, "transferTo": to,
        }));
        true
    }

    fn hang_up(&mut self, out: &mut Outbox) -> bool {
        self.flush(out);
        out.control(&json!({
            "event": "reverse-hangup-call", "streamId": self.stream_id,
            "callerId": self.caller_id, "source": "ai", "message": "Call ended by bot",
        }));
        true
    }
}

impl Generic {
    fn connected(&mut self, mut message: Object) -> Result<Heard, Wrong> {
        message.shift_remove("event");
        self.caller_id = field(&message, "callerId").unwrap_or_default();
        self.did = field(&message, "did").unwrap_or_default();
        self.direction = field(&message, "callDirection").unwrap_or_else(|| "incoming".into());
        if direction(&self.direction).is_none() {
            let why =
                format!("callDirection \"{}\": expected incoming or outgoing", self.direction);
            return Err(Wrong::data("bad_event", why));
        }
        self.stream_id = field(&message, "streamId").unwrap_or_default();
        self.connected_event = message;
        self.phase = Phase::Connected;
        Ok(Heard::Nothing)
    }

    fn start(&mut self, message: &Object) -> Result<Heard, Wrong> {
        let start = body(message, "start");
        if let Some(stream_id) = field(start, "streamId") {
            self.stream_id = stream_id;
        }
        if self.stream_id.is_empty() {
            return Err(Wrong::data("bad_event", "neither connected nor start has a streamId"));
        }
        check_format(start)?;
        self.phase = Phase::Started;
        Ok(Heard::Start(Box::new(Start {
            customer: self.caller_id.clone(),
            did: self.did.clone(),
            direction: direction(&self.direction).unwrap_or(CallDirection::Inbound),
            stream_id: self.stream_id.clone(),
            connected_event: std::mem::take(&mut self.connected_event),
            answered: false,
        })))
    }
}

impl Phase {
    const fn when(self) -> &'static str {
        match self {
            Self::New => "before connected",
            Self::Connected => "after connected, before start",
            Self::Started => "after start, before answer",
            Self::Answered => "after answer",
        }
    }
}

#[derive(Serialize)]
struct ReverseMedia<'a> {
    event: &'a str,
    chunk: u64,
    did: &'a str,
    payload: String,
    timestamp: String,
    #[serde(rename = "streamId")]
    stream_id: &'a str,
    #[serde(rename = "callerId")]
    caller_id: &'a str,
    chunk_durn_ms: u32,
    #[serde(rename = "callDirection")]
    call_direction: &'a str,
    encoding: &'a str,
    #[serde(rename = "RevMediaQ")]
    rev_media_q: u32,
    source: &'a str,
}

fn direction(text: &str) -> Option<CallDirection> {
    match text {
        _ if text.eq_ignore_ascii_case("incoming") => Some(CallDirection::Inbound),
        _ if text.eq_ignore_ascii_case("outgoing") => Some(CallDirection::Outbound),
        _ => None,
    }
}

/// What is not said is as the contract has it.
fn check_format(start: &Object) -> Result<(), Wrong> {
    let Some(format) = start.get("mediaFormat").and_then(|format| format.as_object()) else {
        return Ok(());
    };
    let expected = [("encoding", "LINEAR"), ("sampleRate", "8000"), ("channels", "1")];
    for (name, expected) in expected {
        match field(format, name) {
            Some(found) if !found.eq_ignore_ascii_case(expected) => {
                return Err(Wrong::format(format!("{name} {found}: expected {expected}")));
            }
            _ => {}
        }
    }
    Ok(())
}

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
