//! Calls whose brain lives elsewhere: what is told to it, and what it asks for.

use std::path::{Component, Path, PathBuf};

use serde_json::json;
use tokio::sync::{mpsc, watch};
use vox_call::pipeline::{Agent, AgentLine, BargeIn, PortOptions, agent_port};
use vox_call::{CallId, Digits, Reason};
use vox_codecs::CodecKind;

use super::journal::NOTES_BYTES_MAX;
use super::silence::{RE_ENGAGEMENT, Watch};
use super::table::Entry;
use super::transfer::ANNOUNCEMENT;
use super::{Calls, TransferRequest};
use crate::agents::{Act, AgentNews, Ask, Asked, OnGone, SocketPlan, StartFacts};
use crate::bots::AgentPlan;
use crate::calls::CallDirection;

/// Does what brains ask for, for as long as the runtime lives.
pub(super) fn start(mut asked: mpsc::Receiver<Asked>, calls: Calls) {
    tokio::spawn(async move {
        while let Some(Asked { call, what }) = asked.recv().await {
            calls.asked(call, what);
        }
    });
}

impl Calls {
    /// Opens the brain's socket, while the call rings.
    pub(super) fn open_agent(&self, call: CallId, plan: &AgentPlan) {
        let AgentPlan::Socket(plan) = plan else { return };
        self.0.table.with(call, |entry| {
            let (facts, bot) = (&entry.facts, &entry.bot);
            let targets = bot.transfer_targets.iter().filter(|target| target.enabled);
            let facts = StartFacts {
                session_id: bot.session_id.clone(),
                stream_id: facts.stream_id.clone(),
                call_id: call.0,
                caller: facts.caller.clone(),
                dialed: facts.dialed.clone(),
                direction: match facts.direction {
                    CallDirection::Inbound => "inbound",
                    CallDirection::Outbound => "outbound",
                },
                bot_id: bot.bot_id.clone(),
                connected_event: facts.connected_event.clone(),
                custom_parameters: plan.custom_parameters.clone(),
                system_prompt: bot.system_prompt.clone(),
                opening_message: bot.opening_message.clone(),
                transfer_targets: targets.map(|target| json!(target)).collect(),
                min_words_interruption: bot.min_words_interruption,
                ..StartFacts::default()
            };
            entry.agent = Some(self.0.agents.open(call, plan, facts));
            entry.on_gone = plan.on_gone.clone();
        });
    }

    /// The call is answered: the brain hears it, and is heard.
    pub(super) fn start_agent(&self, call: CallId, line: AgentLine, codec: CodecKind) {
        self.0.table.with(call, |entry| {
            if let Some(agent) = &entry.agent {
                agent.answered(line, codec.sdp_name());
            }
        });
    }

    /// A prompt is over: the last one, perhaps.
    pub(super) fn played(&self, call: CallId, id: u32) {
        match id {
            APOLOGY => self.end(call, Reason::AgentGone),
            ANNOUNCEMENT => self.announced(call),
            RE_ENGAGEMENT => self.watched(call, Watch::prompted),
            _ => {}
        }
    }

    fn asked(&self, call: CallId, what: Ask) {
        match what {
            Ask::Note(event, facts) => self.note(call, event, facts),
            Ask::Left => {
                self.note(call, "agent_left", json!({}));
                self.end(call, Reason::BotHungUp);
            }
            Ask::Announced => self.announced(call),
            Ask::Cut => {
                self.0.table.with(call, |entry| entry.cuts.send_replace(()));
            }
            Ask::Gone { why } => self.gone(call, &why),
            Ask::Act(act) => self.act(call, act),
        }
    }

    pub(super) fn cuts(&self, call: CallId) -> watch::Receiver<()> {
        let cuts = self.0.table.with(call, |entry| entry.cuts.subscribe());
        // One that never changes for a call that is gone.
        cuts.unwrap_or_else(|| watch::channel(()).1)
    }

    fn act(&self, call: CallId, act: Act) {
        match act {
            Act::HangUp { reason, .. } => self.hang_up_by_bot(call, reason.as_deref()),
            Act::Digits(digits) => {
                let sent = Digits::new(&digits)
                    .ok_or_else(|| "expected 1 to 32 of 0-9 * # A-D".to_owned())
                    .and_then(|it| self.press(call, it).map_err(|no| no.to_string()));
                self.refused(call, "digits", sent);
            }
            Act::Play(file) if !is_below(Path::new(&file)) => {
                let why = format!("expected a file below the bots' own directory, found {file}");
                self.refused(call, "play", Err(why));
            }
            Act::Play(file) => self.prompt(call, file.into(), PROMPT, "play"),
            Act::Note(facts) => {
                let facts = facts.into();
                let note = |entry: &mut Entry| entry.journal.note("agent_note", facts);
                let noted = self.0.table.with(call, note).unwrap_or(true);
                let why = format!("a call's notes are {NOTES_BYTES_MAX} bytes at most, 500 in all");
                self.refused(call, "note", if noted { Ok(()) } else { Err(why) });
            }
            Act::Transfer { target, reason, mode } => {
                let begun = self.transfer(call, TransferRequest { target, reason, mode });
                self.refused(call, "transfer", begun);
            }
            // The hub does these itself.
            Act::Say | Act::Mark(_) | Act::Clear | Act::Fail(_) => {}
        }
    }

    fn gone(&self, call: CallId, why: &str) {
        self.note(call, "agent_given_up", json!({"why": why}));
        tracing::warn!(call_id = call.0, "a brain is gone: {why}");
        let Some(on_gone) = self.0.table.with(call, |entry| entry.on_gone.clone()) else { return };
        match on_gone {
            OnGone::GoOn => {}
            OnGone::HangUp => self.end(call, Reason::AgentGone),
            OnGone::Apologise(file) => self.prompt(call, file, APOLOGY, "apology"),
        }
    }

    /// Plays a file over the agent. An apology that cannot be played ends the call without it.
    pub(super) fn prompt(&self, call: CallId, file: PathBuf, id: u32, act: &'static str) {
        let this = self.clone();
        tokio::spawn(async move {
            let played = this.play(call, &file, id).await;
            if played.is_err() && id == APOLOGY {
                this.end(call, Reason::AgentGone);
            }
            this.refused(call, act, played);
        });
    }

    pub(super) async fn play(&self, call: CallId, file: &Path, id: u32) -> Result<(), String> {
        let rate_hz = self.0.table.with(call, |entry| entry.answered.then_some(entry.rate_hz));
        let rate_hz = rate_hz.flatten().ok_or("the call is not answered")?;
        let prompt = self.bots().prompt(file, rate_hz).await?;
        self.engine().play(call, id, prompt).map_err(|refused| refused.to_string())
    }

    /// Tells the brain, and the call's events, what could not be done.
    fn refused(&self, call: CallId, act: &'static str, done: Result<(), String>) {
        let Err(why) = done else { return };
        self.0.table.with(call, |entry| {
            entry.journal.note("agent_refused", json!({"act": act, "why": why}));
            if let Some(agent) = &entry.agent {
                agent.tell(AgentNews::Refused { act, why });
            }
        });
    }

    pub(super) fn end(&self, call: CallId, reason: Reason) {
        if let Err(refused) = self.engine().close(call, reason) {
            tracing::debug!(call_id = call.0, "close: {refused}");
        }
    }
}

impl SocketPlan {
    /// Both ends of the way between a call with this codec and its brain.
    pub(super) fn line(&self, codec: CodecKind) -> (Agent, AgentLine) {
        let (port, line) = agent_port(PortOptions {
            rate_hz: codec.rate_hz(),
            barge_in: self.barge_in.map(|min_speech| BargeIn { min_speech }),
            ahead_max: self.limits.ahead,
        });
        (Agent::port(port), line)
    }
}

/// Whether a path that a brain names stays where the bots' files are.
fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Ids of `Play` commands: what the brain wants to be played,
const PROMPT: u32 = 1;
/// and what is said when it is gone.
const APOLOGY: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brain_names_files_below_the_bots_directory_only() {
        for (path, expected) in [
            ("sorry.wav", true),
            ("prompts/sorry.wav", true),
            ("/etc/passwd", false),
            ("../secret.wav", false),
            ("prompts/../../secret.wav", false),
        ] {
            assert_eq!(is_below(Path::new(path)), expected, "{path}");
        }
    }
}
