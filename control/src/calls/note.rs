//! What stays on disk of a call for as long as it has no result.

use std::time::Duration;

use time::OffsetDateTime;
use vox_call::Reason;
use vox_contracts::BotConfig;

use super::outcome::Ended;
use super::transfer::TransferFacts;
use super::{CallFacts, Calls};
use crate::delivery::{OpenCall, OpenId, OpenNote, RecordingKey};

/// A call's note, and what it says about its recording.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) open: OpenCall,
    /// Names for the recording, the session's own first: a session that comes a second time gets
    /// one of its own.
    pub(super) recording_keys: Vec<RecordingKey>,
}

impl Calls {
    /// Writes down that there is a call, before anybody hears of it.
    pub(super) async fn write_note(&self, facts: &CallFacts, bot: &BotConfig) -> Note {
        let id = OpenId::new();
        let recording_keys = self.recording_keys(id, bot);
        let note = OpenNote {
            webhook_url: bot.webhook_url.clone(),
            recording_keys: recording_keys.iter().map(ToString::to_string).collect(),
            result: cut_off(facts.clone(), bot.clone()).into_result(),
        };
        Note { open: self.0.parts.open_calls.note(id, note).await, recording_keys }
    }

    fn recording_keys(&self, id: OpenId, bot: &BotConfig) -> Vec<RecordingKey> {
        if !bot.recording.enabled {
            return Vec::new();
        }
        let date = OffsetDateTime::now_utc().date();
        let [first, own] = [bot.session_id.clone(), id.own_session(&bot.session_id)]
            .map(|session| RecordingKey::new(date, &session));
        match self.0.parts.spool.begin(&first) {
            Some(_) => vec![first, own],
            None => vec![own],
        }
    }
}

/// The outcome of a call that nobody was there to see the end of.
fn cut_off(facts: CallFacts, bot: BotConfig) -> Ended {
    Ended {
        facts,
        bot,
        reason: Reason::Fault,
        duration: Duration::ZERO,
        quality: None,
        responses: Vec::new(),
        digits: String::new(),
        events: Vec::new(),
        recording: None,
        transfer: TransferFacts::default(),
    }
}
