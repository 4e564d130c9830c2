//! Exotel's Voicebot applet (contract §1.5).
//!
//! ```text
//! connected ─► start ─► media, dtmf, mark, clear… ─► stop
//! ```
//!
//! The caller is on the line before the stream starts, so the bot starts with `start`.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use vox_contracts::{CallDirection, Object};

use super::dialect::{Dialect, Head, Heard, Outbox, Start, Wrong, body, encode, field, whole};

/// One stream of Exotel's.
#[derive(Debug)]
pub(super) struct Exotel {
    phase: Phase,
    stream_sid: String,
    /// Parameters of the socket's address, for the bot.
    parameters: Object,
    /// Audio that makes no whole chunk yet.
    chunk: Vec<u8>,
    chunk_bytes: usize,
    chunks: u64,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Connected,
    Started,
}

impl Exotel {
    /// `parameters` are those of the socket's address: Exotel has the applet's custom parameters
    /// there, and the sample rate.
    pub(super) fn new(parameters: Object) -> Result<Self, Wrong> {
        if let Some(rate) = field(&parameters, "sample-rate").filter(|rate| rate != "8000") {
            return Err(Wrong::format(format!("sample-rate {rate}: expected 8000")));
        }
        Ok(Self {
            phase: Phase::New,
            stream_sid: String::new(),
            chunk_bytes: chunk_bytes(&parameters)?,
            parameters,
            chunk: Vec::new(),
            chunks: 0,
            sequence: 0,
        })
    }

    fn start(&mut self, mut message: Object) -> Result<Heard, Wrong> {
        let outer = field(&message, "stream_sid");
        message.shift_remove("event");
        let mut start = match message.remove("start") {
            Some(Value::Object(start)) => start,
            _ => message,
        };
        let stream_sid = field(&start, "stream_sid").or(outer);
        let Some(stream_sid) = stream_sid else {
            return Err(Wrong::data("bad_event", "start without stream_sid"));
        };
        check_format(&start)?;
        self.stream_sid.clone_from(&stream_sid);
        self.phase = Phase::Started;
        let (customer, did) = (field(&start, "from"), field(&start, "to"));
        start.extend(std::mem::take(&mut self.parameters));
        Ok(Heard::Start(Box::new(Start {
            customer: customer.unwrap_or_default(),
            did: did.unwrap_or_default(),
            direction: CallDirection::Inbound,
            stream_id: stream_sid,
            connected_event: start,
            answered: true,
        })))
    }

    fn next_sequence(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }
}

impl Dialect for Exotel {
    fn receive(&mut self, text: &str, pcm: &mut Vec<u8>) -> Result<Heard, Wrong> {
        let head = Head::read(text)?;
        match (&*head.event, self.phase) {
            ("media", Phase::Started) => head.decode(pcm).map(|()| Heard::Media),
            ("connected", Phase::New) => {
                self.phase = Phase::Connected;
                Ok(Heard::Nothing)
            }
            ("start", Phase::Connected) => self.start(whole(text)?),
            ("dtmf", Phase::Started) => dtmf(&whole(text)?),
            // The peer tells that a mark of ours was reached. We set none.
            ("mark", Phase::Started) => Ok(Heard::Nothing),
            ("clear", Phase::Started) => Ok(Heard::Clear),
            ("stop", _) => {
                let message = whole(text)?;
                let mut facts = body(&message, "stop").clone();
                facts.shift_remove("event");
                Ok(Heard::HungUp(facts))
            }
            ("media" | "connected" | "start" | "dtmf" | "mark" | "clear", phase) => {
                Err(Wrong::order(format!("{} {}", head.event, phase.when())))
            }
            _ => Err(Wrong::ignored("unknown_event", "unknown event")),
        }
    }

    fn speak(&mut self, pcm: &[u8], _: OffsetDateTime, out: &mut Outbox) {
        self.chunk.extend_from_slice(pcm);
        if self.chunk.len() < self.chunk_bytes {
            return;
        }
        let timestamp_ms = self.chunks * (self.chunk_bytes / BYTES_PER_MS) as u64;
        self.chunks += 1;
        let sequence_number = self.next_sequence();
        out.media(&json!({
            "event": "media", "sequence_number": sequence_number, "stream_sid": self.stream_sid,
            "media": {
                "chunk": self.chunks.to_string(), "timestamp": timestamp_ms.to_string(),
                "payload": encode(&self.chunk),
            },
        }));
        self.chunk.clear();
    }

    fn flush(&mut self, out: &mut Outbox) {
        self.chunk.clear();
        out.clear_media();
        out.control(&json!({"event": "clear", "stream_sid": self.stream_sid}));
    }

    /// What becomes of the caller after the bot stands in Exotel's own flow.
    fn transfer(&mut self, _: &str, _: &mut Outbox) -> bool {
        false
    }

    /// Exotel hangs up when the socket is closed.
    fn hang_up(&mut self, _: &mut Outbox) -> bool {
        false
    }
}

impl Phase {
    const fn when(self) -> &'static str {
        match self {
            Self::New => "before connected",
            Self::Connected => "after connected, before start",
            Self::Started => "after start",
        }
    }
}

fn dtmf(message: &Object) -> Result<Heard, Wrong> {
    let dtmf = body(message, "dtmf");
    let digit = field(dtmf, "digit").and_then(|digit| {
        let mut all = digit.chars();
        let digit = all.next()?.to_ascii_uppercase();
        let is_key = digit.is_ascii_digit() || matches!(digit, '*' | '#' | 'A'..='D');
        (is_key && all.next().is_none()).then_some(digit)
    });
    let Some(digit) = digit else {
        return Err(Wrong::ignored("bad_digit", "dtmf without one of 0-9 * # A-D"));
    };
    let held_ms = field(dtmf, "duration").and_then(|text| text.parse::<u16>().ok());
    Ok(Heard::Digit { digit, held: Duration::from_millis(held_ms.unwrap_or(PRESS_MS).into()) })
}

/// What is not said is as Exotel has it by default: raw linear PCM.
fn check_format(start: &Object) -> Result<(), Wrong> {
    let Some(format) = start.get("media_format").and_then(Value::as_object) else {
        return Ok(());
    };
    if let Some(rate) = field(format, "sample_rate").filter(|rate| rate != "8000") {
        return Err(Wrong::format(format!("sample_rate {rate}: expected 8000")));
    }
    let encoding = field(format, "encoding").unwrap_or_default().to_ascii_lowercase();
    if ENCODINGS.contains(&&*encoding) {
        return Ok(());
    }
    Err(Wrong::format(format!("encoding {encoding}: expected raw linear PCM")))
}

/// How much audio goes into a message of ours, from the parameter `chunk-ms`.
fn chunk_bytes(parameters: &Object) -> Result<usize, Wrong> {
    let Some(text) = field(parameters, "chunk-ms") else { return Ok(CHUNK_MS * BYTES_PER_MS) };
    match text.parse::<usize>() {
        Ok(ms) if (20..=1_000).contains(&ms) && ms.is_multiple_of(20) => Ok(ms * BYTES_PER_MS),
        _ => Err(Wrong::format(format!("chunk-ms {text}: expected a multiple of 20, 20 to 1000"))),
    }
}

/// What raw linear PCM is called in Exotel's pages, and by those who imitate it.
const ENCODINGS: [&str; 7] =
    ["", "audio/x-raw", "raw/slin", "raw", "slin", "base64", "audio/x-l16"];
/// A multiple of the 320 bytes that Exotel wants, as long as the chunks that it sends itself.
const CHUNK_MS: usize = 100;
/// PCM16 at 8 kHz.
const BYTES_PER_MS: usize = 16;
/// How long a key is taken to be held when the message does not say.
const PRESS_MS: u16 = 160;
