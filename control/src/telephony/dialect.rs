//! What the two dialects have in common: a peer's messages in, ours out, no I/O.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use vox_contracts::{CallDirection, Object};

/// How a peer speaks. Audio is PCM16, little endian, 8 kHz, mono.
pub(super) trait Dialect: std::fmt::Debug + Send {
    /// Reads one message. Its audio is appended to `pcm`, whole samples.
    fn receive(&mut self, text: &str, pcm: &mut Vec<u8>) -> Result<Heard, Wrong>;
    /// Says 20 ms of the bot's audio.
    fn speak(&mut self, pcm: &[u8], now: OffsetDateTime, out: &mut Outbox);
    /// Makes the peer drop what it has not played yet.
    fn flush(&mut self, out: &mut Outbox);
    /// Asks the peer to send its caller elsewhere; whether that can be said at all.
    fn transfer(&mut self, to: &str, out: &mut Outbox) -> bool;
    /// Asks the peer to hang up; whether it answers that before the socket is to be closed.
    fn hang_up(&mut self, out: &mut Outbox) -> bool;
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// Nothing to do.
    Nothing,
    /// Who calls: the bot's config can be fetched.
    Start(Box<Start>),
    /// The call is answered: the bot starts.
    Answer,
    /// Audio.
    Media,
    /// The caller pressed a key.
    Digit {
        /// `0-9 * # A-D`.
        digit: char,
        /// How long it was held.
        held: Duration,
    },
    /// What was said and not played yet is void.
    Clear,
    /// The call is over, with what the peer says about it.
    HungUp(Object),
}

/// What is known about a call when its stream starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Start {
    /// The customer's number.
    pub(super) customer: String,
    /// Ours.
    pub(super) did: String,
    /// Seen from us.
    pub(super) direction: CallDirection,
    /// The peer's id of the stream.
    pub(super) stream_id: String,
    /// For the bot.
    pub(super) connected_event: Object,
    /// The caller is on the line already: no [`Heard::Answer`] follows.
    pub(super) answered: bool,
}

/// A message that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The label in metrics.
    pub(super) label: &'static str,
    /// For people, in the close frame and in the result.
    pub(super) why: String,
    /// The socket is closed with this (RFC 6455 §7.4.1); `None` counts it and goes on.
    pub(super) close: Option<u16>,
}

impl Wrong {
    /// Counted and left out.
    pub(super) fn ignored(label: &'static str, why: impl Into<String>) -> Self {
        Self { label, why: why.into(), close: None }
    }

    /// Not the data that the protocol has there (RFC 6455: 1007).
    pub(super) fn data(label: &'static str, why: impl Into<String>) -> Self {
        Self { label, why: why.into(), close: Some(1007) }
    }

    /// Right, but not now (1002).
    pub(super) fn order(why: impl Into<String>) -> Self {
        Self { label: "out_of_order", why: why.into(), close: Some(1002) }
    }

    /// Audio of a kind that we do not take (1003).
    pub(super) fn format(why: impl Into<String>) -> Self {
        Self { label: "wrong_format", why: why.into(), close: Some(1003) }
    }

    /// Awaited for too long (1008).
    pub(super) fn late() -> Self {
        Self { label: "no_start", why: "no start within 10 s".into(), close: Some(1008) }
    }

    /// A frame that carries no text (1003).
    pub(super) fn binary() -> Self {
        let why = "a binary message: expected JSON in text".into();
        Self { label: "binary", why, close: Some(1003) }
    }

    /// No WebSocket (1002).
    pub(super) fn frame(why: impl Into<String>) -> Self {
        Self { label: "bad_frame", why: why.into(), close: Some(1002) }
    }

    /// More than we take (1009).
    pub(super) fn large(why: impl Into<String>) -> Self {
        Self { label: "too_large", why: why.into(), close: Some(1009) }
    }
}

/// Messages that wait to be written. A peer that does not read loses the oldest audio.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Out>,
    /// Messages with audio among them.
    media: usize,
    /// Messages with audio that were thrown away because the peer did not read.
    pub(super) dropped: u64,
}

#[derive(Debug)]
enum Out {
    Media(String),
    Control(String),
}

impl Outbox {
    pub(super) fn media(&mut self, message: &impl serde::Serialize) {
        if self.media == MEDIA_MAX {
            let oldest = self.waiting.iter().position(|out| matches!(out, Out::Media(_)));
            oldest.and_then(|oldest| self.waiting.remove(oldest));
            self.media -= 1;
            self.dropped += 1;
        }
        self.media += 1;
        self.waiting.push_back(Out::Media(text(message)));
    }

    pub(super) fn control(&mut self, message: &impl serde::Serialize) {
        self.waiting.push_back(Out::Control(text(message)));
    }

    /// Throws away the audio that waits.
    pub(super) fn clear_media(&mut self) {
        self.waiting.retain(|out| matches!(out, Out::Control(_)));
        self.media = 0;
    }

    pub(super) fn pop(&mut self) -> Option<String> {
        match self.waiting.pop_front()? {
            Out::Control(text) => Some(text),
            Out::Media(text) => {
                self.media -= 1;
                Some(text)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Our own messages have only string keys: they are always JSON.
fn text(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

/// What every message has, and audio when it is there: read without copying.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    media: Option<Media<'a>>,
}

#[derive(Debug, Deserialize)]
struct Media<'a> {
    #[serde(borrow, default)]
    payload: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Wrong> {
        serde_json::from_str(text).map_err(|error| unreadable(&error))
    }

    /// Appends the message's audio.
    pub(super) fn decode(&self, pcm: &mut Vec<u8>) -> Result<(), Wrong> {
        let nested = self.media.as_ref().and_then(|media| media.payload.as_ref());
        let Some(payload) = self.payload.as_ref().or(nested) else {
            return Err(Wrong::data("bad_event", "media without payload"));
        };
        let before = pcm.len();
        let decoded = STANDARD.decode_vec(payload.as_bytes(), pcm);
        let wrong = match decoded {
            Ok(()) if (pcm.len() - before).is_multiple_of(2) => return Ok(()),
            Ok(()) => Wrong::data("odd_bytes", "a payload of PCM16 has an even number of bytes"),
            Err(error) => Wrong::data("bad_base64", format!("payload: {error}")),
        };
        pcm.truncate(before);
        Err(wrong)
    }
}

/// The whole of a message that carries no audio.
pub(super) fn whole(text: &str) -> Result<Object, Wrong> {
    if text.len() > FACTS_BYTES_MAX {
        return Err(Wrong::large(format!(
            "facts about a call are {FACTS_BYTES_MAX} bytes at most"
        )));
    }
    read(text)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Wrong> {
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Wrong {
    let label = if error.is_data() { "bad_event" } else { "bad_json" };
    Wrong::data(label, error.to_string())
}

/// What stands under the event's own name, or the message itself.
pub(super) fn body<'a>(message: &'a Object, event: &str) -> &'a Object {
    message.get(event).and_then(Value::as_object).unwrap_or(message)
}

/// A field as text, whether it came as text or as number; without control characters, because it
/// goes into logs and addresses.
pub(super) fn field(object: &Object, name: &str) -> Option<String> {
    let text = match object.get(name)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let clean: String = text.chars().filter(|c| !c.is_control()).take(FIELD_CHARS_MAX).collect();
    (!clean.is_empty()).then_some(clean)
}

pub(super) fn encode(pcm: &[u8]) -> String {
    STANDARD.encode(pcm)
}

/// Messages with audio that wait for a peer: 1 s of 20 ms.
const MEDIA_MAX: usize = 50;
/// The facts travel on in the query of the config fetch.
const FACTS_BYTES_MAX: usize = 16 << 10;
/// Of a number or an id.
const FIELD_CHARS_MAX: usize = 256;
