//! A call of ours on behalf of another one: to whom its caller is to be handed over.

use std::time::Duration;

use serde_json::json;
use vox_call::{CallId, Limits};
use vox_contracts::BotConfig;
use vox_engine::CallOptions;

use super::table::Entry;
use super::{CallDirection, CallFacts, Calls, LiveCall, Refusal};
use crate::bots::AgentPlan;

impl Calls {
    /// Opens the call to the target of `of`'s attended transfer. It is a call like every other (a
    /// slot, ports, deadlines, counters, the one close) but for what the caller's call has: a bot,
    /// a recording, a result. The target hears the file of its config, again and again, or silence.
    pub(super) fn consult(&self, of: CallId) -> Result<LiveCall, String> {
        let begun = self.0.table.with(of, |entry| self.leg(entry));
        let (facts, bot, plan) = begun.flatten().ok_or("there is no transfer")?;
        let slot = self.0.parts.slots.admit().map_err(|refusal| match refusal {
            Refusal::Full => "no slot is free for the call to the target",
            Refusal::Draining => "the worker drains and places no calls",
        })?;
        let limits = Limits {
            answer: self.0.parts.answer_limit,
            no_audio: Duration::from_secs(bot.no_audio_seconds.into()),
            duration: Duration::from_secs(bot.max_call_duration_seconds.into()),
        };
        let options = CallOptions { limits, recording: None, vad: None };
        let to = facts.dialed.clone();
        let (mut entry, ends) = Entry::new(slot, facts, bot, None);
        entry.leg_of = Some(of);
        let leg = self.enter(entry, ends, options, plan).map_err(|(_, error)| error.to_string())?;
        self.note(of, "consultation_started", json!({"to": to}));
        Ok(leg)
    }

    fn leg(&self, entry: &Entry) -> Option<(CallFacts, BotConfig, AgentPlan)> {
        let transfer = entry.transfer.as_ref().filter(|_| entry.ending.is_none())?;
        let facts = CallFacts {
            dialed: transfer.destination.to_string(),
            caller: entry.facts.dialed.clone(),
            direction: CallDirection::Outbound,
            stream_id: entry.facts.stream_id.clone(),
            connected_event: serde_json::Map::new(),
        };
        let mut bot = BotConfig::new(entry.bot.session_id.clone(), "");
        bot.bot_id.clone_from(&entry.bot.bot_id);
        bot.no_audio_seconds = entry.bot.no_audio_seconds;
        bot.max_call_duration_seconds = entry.bot.max_call_duration_seconds;
        // The target may listen without a word for as long as the transfer takes.
        bot.rnr_seconds = 0;
        bot.warning_seconds = 0;
        bot.recording.enabled = false;
        let plan = self.bots().looping(transfer.consultation_file.as_deref());
        Some((facts, bot, plan))
    }
}
