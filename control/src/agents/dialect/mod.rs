//! The languages that brains speak over a WebSocket. Sans-IO: messages in, messages out.
//!
//! The hub hands a dialect the caller's audio and what happened on the call, and every message of
//! the brain; the dialect writes messages through [`Out`] and says what the brain wants as [`Act`]s.
//! A dialect knows nothing of sockets, clocks or engines, so each is proven by transcripts.

mod openai;
#[cfg(test)]
mod tests;
mod twilio;
mod vox;

use std::collections::VecDeque;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use vox_codecs::Decoder;
use vox_contracts::AgentProtocol;

use super::SocketPlan;

/// One message of the brain.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Frame<'a> {
    /// Text, valid UTF-8.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// Where messages for the brain go.
pub(crate) trait Out {
    /// Sends a text message.
    fn text(&mut self, text: &str);
    /// Sends a binary message: a header, then samples in two bytes each, the lower one first.
    fn samples(&mut self, header: &[u8], samples: &[i16]);
}

/// What the brain wants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// The samples that `receive` appended are to be played.
    Say,
    /// Tell it (by [`News::Mark`]) when everything said so far is played.
    Mark(String),
    /// Drop what is queued.
    Clear,
    /// End the call.
    HangUp {
        /// Once everything said so far is played.
        after_playback: bool,
        /// In its words, for the result.
        reason: Option<String>,
    },
    /// Send the caller somewhere else.
    Transfer {
        /// Id of one of the bot's targets, a number or a URI; `None` is the default target.
        target: Option<String>,
        /// In its words, for the result.
        reason: Option<String>,
        /// `blind` or `attended`; `None` is as the target says.
        mode: Option<String>,
    },
    /// Press keys.
    Digits(String),
    /// Play a WAV file of the worker's over the agent.
    Play(String),
    /// Keep a fact for the result's events.
    Note(Map<String, Value>),
    /// It cannot go on; why, for the result. Not worth another try.
    Fail(String),
}

/// What happens on the call. Milliseconds of playback count what was said on this connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News<'a> {
    /// What was said before a mark has been played, or dropped.
    Mark {
        /// Its name.
        name: &'a str,
        /// Whether it was heard to its end.
        played: bool,
    },
    /// What was queued is dropped, as asked.
    Cleared {
        /// Heard so far.
        played_ms: u64,
        /// Dropped now.
        dropped_ms: u64,
    },
    /// The caller began to speak.
    SpeechStarted {
        /// Since the answer.
        at_ms: u64,
        /// While the agent was heard.
        playing: bool,
    },
    /// The caller stopped.
    SpeechStopped {
        /// Since the answer.
        at_ms: u64,
    },
    /// The caller speaks: the agent is silent, its audio waits.
    Paused {
        /// Heard so far.
        played_ms: u64,
    },
    /// It was a cough: the agent goes on.
    Resumed,
    /// The caller interrupted: what was queued is dropped.
    Interrupted {
        /// Heard so far.
        played_ms: u64,
        /// Dropped now.
        dropped_ms: u64,
    },
    /// Nothing is left to play.
    Drained {
        /// Heard so far.
        played_ms: u64,
    },
    /// The caller pressed a key.
    Digit(char),
    /// The call ends soon, by its longest duration.
    Warning {
        /// Until then.
        seconds_left: u32,
    },
    /// Neither side has spoken for a while.
    ReEngage {
        /// 1 for the first time.
        attempt: u32,
        /// What the bot's config wants to be said.
        message: &'a str,
    },
    /// The bot's config wants this said before a transfer.
    PreTransfer {
        /// What.
        message: &'a str,
    },
    /// What became of a transfer.
    Transfer {
        /// `None`: the caller is gone there.
        failed: Option<&'a str>,
    },
    /// A refusal of something that the brain asked for.
    Refused {
        /// Which act, in one word.
        act: &'a str,
        /// In words.
        why: &'a str,
    },
}

/// All that is known of the call when the brain's socket is up.
#[derive(Debug, Clone, Default)]
pub(crate) struct StartFacts {
    /// From the bot's config.
    pub(crate) session_id: String,
    /// The signalling's id.
    pub(crate) stream_id: String,
    /// The engine's id.
    pub(crate) call_id: u64,
    /// Who calls.
    pub(crate) caller: String,
    /// Who was called.
    pub(crate) dialed: String,
    /// `inbound` or `outbound`.
    pub(crate) direction: &'static str,
    /// The bot.
    pub(crate) bot_id: String,
    /// What the peer passed along.
    pub(crate) connected_event: Map<String, Value>,
    /// From the agent's config.
    pub(crate) custom_parameters: Map<String, Value>,
    /// From the bot's config.
    pub(crate) system_prompt: Option<String>,
    /// From the bot's config.
    pub(crate) opening_message: Option<String>,
    /// From the bot's config: those enabled, as JSON.
    pub(crate) transfer_targets: Vec<Value>,
    /// Words of the caller that interrupt the bot, left to the brain.
    pub(crate) min_words_interruption: u32,
    /// The codec towards the caller; empty before the answer.
    pub(crate) codec: &'static str,
    /// Connections before this one.
    pub(crate) reconnects: u32,
}

/// A message that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// A label for metrics: `bad_json`, `bad_base64`, `wrong_rate`, …
    pub(crate) reason: &'static str,
    /// End the socket with this code; `None`: count it and go on.
    pub(crate) close: Option<u16>,
}

impl Wrong {
    /// Whether a brain that does so is broken when it does so often.
    pub(crate) fn is_a_fault(&self) -> bool {
        *self != UNKNOWN
    }
}

/// Why the brain's socket is closed by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The call is over.
    CallEnded,
    /// The worker stops.
    WorkerStopped,
}

/// One connection with a brain.
pub(crate) trait Dialect: std::fmt::Debug + Send {
    /// Rate of the audio both ways, 8,000, 16,000 or 24,000 Hz; the hub converts.
    fn rate_hz(&self) -> u32;
    /// The socket is up, while the call may still ring.
    fn connected(&mut self, facts: &StartFacts, out: &mut dyn Out);
    /// The call is answered, and the socket is up: audio follows.
    fn start(&mut self, facts: &StartFacts, out: &mut dyn Out);
    /// 20 ms of the caller at the dialect's rate; `frame` counts from the answer.
    fn heard(&mut self, frame: u32, samples: &[i16], out: &mut dyn Out);
    /// What happened.
    fn told(&mut self, news: &News<'_>, out: &mut dyn Out);
    /// A message of the brain. Audio is appended to `say` (with an [`Act::Say`] in its place).
    fn receive(
        &mut self,
        message: Frame<'_>,
        say: &mut Vec<i16>,
        acts: &mut VecDeque<Act>,
        out: &mut dyn Out,
    ) -> Result<(), Wrong>;
    /// The last words, before the socket is closed.
    fn stop(&mut self, why: Stop, out: &mut dyn Out);
}

/// A dialect for a new connection.
pub(crate) fn dialect(plan: &SocketPlan) -> Box<dyn Dialect> {
    match plan.protocol {
        AgentProtocol::Twilio => Box::new(twilio::Twilio::default()),
        AgentProtocol::Vox => Box::new(vox::Vox::new(plan.sample_rate.unwrap_or(8_000))),
        AgentProtocol::OpenaiRealtime => {
            let rate_hz = plan.sample_rate.unwrap_or(8_000);
            Box::new(openai::OpenAi::new(rate_hz, plan.session.clone()))
        }
    }
}

/// The subprotocol that is asked for in the upgrade.
pub(crate) fn subprotocol(protocol: AgentProtocol) -> Option<&'static str> {
    match protocol {
        AgentProtocol::Vox => Some(vox::SUBPROTOCOL),
        AgentProtocol::Twilio => None,
        AgentProtocol::OpenaiRealtime => Some("realtime"),
    }
}

/// The field of that name as text.
fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

/// A message as JSON, or what is wrong with it.
fn json(frame: Frame<'_>) -> Result<Value, Wrong> {
    let Frame::Text(text) = frame else {
        return Err(Wrong { reason: "unexpected_binary", close: Some(1_003) });
    };
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(Wrong { reason: "bad_json", close: None }),
    }
}

/// Appends coded audio of any length: a brain may say whole seconds in one message, more than a
/// decoder takes for a packet.
fn decode(decoder: &mut Decoder, payload: &[u8], say: &mut Vec<i16>) -> Result<(), Wrong> {
    if payload.is_empty() {
        return Err(wrong("bad_audio"));
    }
    for frame in payload.chunks(FRAME_BYTES) {
        let from = say.len();
        say.resize(from + frame.len(), 0);
        decoder.decode(frame, &mut say[from..]).map_err(|_| wrong("bad_audio"))?;
    }
    Ok(())
}

/// 20 ms of G.711.
const FRAME_BYTES: usize = 160;

/// Payloads with or without padding: apps differ, and both are clear.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A message of a kind that is not known here. Counted and ignored, however many there are: apps
/// talk about more than the call.
const UNKNOWN: Wrong = wrong("unknown_type");

/// Counted; the connection goes on.
const fn wrong(reason: &'static str) -> Wrong {
    Wrong { reason, close: None }
}
