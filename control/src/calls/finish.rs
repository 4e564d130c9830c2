//! The end of a call: its recording goes to the uploads, its result to the outbox.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use vox_call::quality::Quality;
use vox_call::{CallId, Ending, Outcome, Reason};
use vox_contracts::{BotConfig, CallResult};

use super::journal::Journal;
use super::outcome::{Ended, outcome_name, reason_name};
use super::table::{Entry, Recording};
use super::transfer::TransferFacts;
use super::{CallFacts, Calls, OpenError, PUT_PAUSE, PUT_TRIES};
use crate::delivery::OpenCall;

impl Calls {
    /// Writes the result when nothing is missing. Whether it did.
    pub(super) fn finish_if_complete(&self, call: CallId) -> bool {
        let complete = self.0.table.take_complete(call);
        complete.map(|entry| self.finish(call, entry)).is_some()
    }

    /// Writes the result of an ended call, also when its recording is late.
    pub(super) fn finish_anyway(&self, call: CallId) {
        if let Some(mut entry) = self.0.table.take_ended(call) {
            tracing::warn!(call_id = call.0, "the recording is late; the result goes without it");
            entry.journal.write("recording_late", json!({}));
            self.finish(call, entry);
        }
    }

    /// Writes every result that is missing; calls that have not ended count as ended now.
    pub(super) fn finish_all(&self, reason: Reason) {
        for (call, mut entry) in self.0.table.take_all() {
            let duration = if entry.answered { entry.elapsed() } else { Duration::ZERO };
            entry.ending.get_or_insert_with(|| Ending {
                outcome: Outcome::Failed,
                reason,
                duration,
                quality: Quality::default(),
            });
            self.finish(call, entry);
        }
    }

    /// A recording that was completed after its result had gone.
    pub(super) fn complete_late(&self, path: PathBuf) {
        let spool = self.0.parts.spool.clone();
        tokio::spawn(async move {
            if let Err(error) = spool.complete(path).await {
                tracing::error!("a late recording stays where it is: {error}");
            }
        });
    }

    fn finish(&self, call: CallId, entry: Entry) {
        let this = self.clone();
        tokio::spawn(async move {
            this.write_down(call, entry).await;
            this.0.unfinished.send_modify(|unfinished| *unfinished -= 1);
        });
    }

    async fn write_down(&self, call: CallId, entry: Entry) {
        let Some(ending) = entry.ending else { return };
        if entry.withdrawn {
            return self.withdraw(entry).await;
        }
        let recording = match entry.recording {
            Recording::None => None,
            Recording::Running(key) => Some(key),
            Recording::Complete(key, path) => self.hand_over(path).await.then_some(key),
        };
        self.say_ended(call, &entry.bot, &ending);
        if entry.leg_of.is_some() {
            return;
        }
        let ended = Ended {
            reason: ending.reason,
            duration: ending.duration,
            quality: entry.answered.then_some(ending.quality),
            responses: entry.responses,
            digits: entry.digits.pressed().to_owned(),
            events: entry.journal.into_events(),
            transfer: entry.transfer.map(TransferFacts::from).unwrap_or_default(),
            recording: recording.map(|key| (key.clone(), self.0.parts.spool.url(&key))),
            facts: entry.facts,
            bot: entry.bot,
        };
        self.deliver(ended, entry.note.map(|note| note.open)).await;
    }

    /// Whether there is a recording, here or in the store.
    async fn hand_over(&self, path: PathBuf) -> bool {
        let completed = tokio::select! {
            completed = self.0.parts.spool.complete(path) => completed,
            () = self.given_up() => Err(io::Error::other("the worker stops")),
        };
        completed.unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                tracing::error!("there is no recording: {error}");
                false
            }
            _ => {
                tracing::error!("the recording stays where it is until the next start: {error}");
                true
            }
        })
    }

    /// A crash would make a result of the note.
    async fn withdraw(&self, entry: Entry) {
        tracing::info!(session_id = entry.bot.session_id, "answered elsewhere: there is no result");
        if let Some(note) = entry.note
            && let Err(error) = note.open.withdraw().await
        {
            tracing::error!("the note of a call that was none stays: {error}");
        }
    }

    fn say_ended(&self, call: CallId, bot: &BotConfig, ending: &Ending) {
        let (outcome, reason) = (outcome_name(ending.outcome), reason_name(ending.reason));
        self.0.parts.counters.ended(outcome, reason);
        let quality = &ending.quality;
        tracing::info!(
            call_id = call.0,
            session_id = bot.session_id,
            bot_id = bot.bot_id,
            outcome,
            reason,
            seconds = ending.duration.as_secs_f64(),
            packets = quality.packets_received,
            lost = quality.lost,
            mos = f64::from(quality.mos_lq_hundredths) / 100.0,
            "call ended"
        );
    }

    /// A session exists in the Backend, but no call came of it: its outcome is told all the same.
    pub(super) fn never_opened(
        &self,
        facts: CallFacts,
        bot: BotConfig,
        open: Option<OpenCall>,
        error: OpenError,
    ) -> OpenError {
        let reason = match error {
            OpenError::NoPorts | OpenError::Refused(_) => Reason::AtCapacity,
            OpenError::OutsideHours(_) => Reason::OutsideHours,
            _ => Reason::SignallingFailed,
        };
        self.0.parts.counters.ended(outcome_name(Outcome::Failed), reason_name(reason));
        let mut journal = Journal::begin();
        journal.write("not_opened", json!({"why": error.to_string()}));
        let ended = Ended {
            facts,
            bot,
            reason,
            duration: Duration::ZERO,
            quality: None,
            responses: Vec::new(),
            digits: String::new(),
            events: journal.into_events(),
            recording: None,
            transfer: TransferFacts::default(),
        };
        self.0.unfinished.send_modify(|unfinished| *unfinished += 1);
        let this = self.clone();
        tokio::spawn(async move {
            this.deliver(ended, open).await;
            this.0.unfinished.send_modify(|unfinished| *unfinished -= 1);
        });
        error
    }

    /// Into the outbox. A disk that refuses is given some time, unless the worker stops; then the
    /// result is at least in the log.
    async fn deliver(&self, ended: Ended, open: Option<OpenCall>) {
        let webhook_url = ended.bot.webhook_url.clone();
        let result = ended.into_result();
        let written = tokio::select! {
            written = self.write_result(&webhook_url, &result, open) => written,
            () = self.given_up() => false,
        };
        if !written {
            log_lost(&result);
        }
    }

    async fn write_result(
        &self,
        webhook_url: &str,
        result: &CallResult,
        open: Option<OpenCall>,
    ) -> bool {
        for _ in 0..PUT_TRIES {
            match self.0.parts.outbox.put(webhook_url, result, open.as_ref()).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::error!("the result cannot be written, trying again: {error}")
                }
            }
            tokio::time::sleep(PUT_PAUSE).await;
        }
        false
    }

    /// Resolves once nobody waits for the disk any more.
    async fn given_up(&self) {
        // The sender lives in `self`.
        let _ = self.0.given_up.subscribe().wait_for(|given_up| *given_up).await;
    }
}

fn log_lost(result: &CallResult) {
    let body = serde_json::to_string(result).unwrap_or_default();
    tracing::error!(session_id = result.session_id, "the result could not be written: {body}");
}
