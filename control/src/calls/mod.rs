//! A worker's calls, from admission to the written result.
//!
//! Whoever speaks with the caller's side (SIP today) goes: [`Calls::admit`] → [`Calls::open`] →
//! [`LiveCall::answer`] → ([`LiveCall::next_order`] | [`LiveCall::close`]). Everything behind it (slot,
//! media engine, recording, result) is given back by this module, whatever happens:
//!
//! ```text
//! admit ─► open ─► live ─► ended ─────────► recorded ─► result in the outbox
//!  slot     ports   agent   slot free again   (10 s at most)
//! ```

mod brain;
mod destination;
mod digits;
mod finish;
mod journal;
mod latency;
mod leg;
mod live;
mod note;
mod outcome;
mod peer;
mod pump;
mod silence;
mod slots;
mod table;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, mpsc, watch};
use vox_call::hearing::VadOptions;
use vox_call::{Limits, Reason};
use vox_contracts::BotConfig;
use vox_engine::{CallOptions, Engine, Events, Refused};

use crate::agents::{Agents, Counts as AgentCounts};
use crate::bots::{AgentPlan, Bots, NoConfig, Wanted};
use crate::delivery::{OpenCalls, Outbox, Spool};
use crate::metrics::Counters;

pub use destination::{Destination, TransferMode};
pub use live::{AnswerError, BadDigits, LiveCall};
pub use peer::{PeerLine, PeerNews};
pub use slots::{Refusal, Slot, Slots};
pub use transfer::{Order, TransferRequest};
pub use vox_contracts::CallDirection;

use table::{Ends, Entry, Table};

/// The worker's calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Calls(Arc<Inner>);

/// What calls are made of.
#[derive(Debug)]
pub struct Parts {
    /// Places.
    pub slots: Slots,
    /// Media.
    pub engine: Engine,
    /// Who answers.
    pub bots: Bots,
    /// Where recordings wait for the store.
    pub spool: Spool,
    /// Where results wait for the Backend.
    pub outbox: Outbox,
    /// Notes of calls without a result.
    pub open_calls: OpenCalls,
    /// How calls ended.
    pub counters: Arc<Counters>,
    /// How long a call may be open without an answer.
    pub answer_limit: Duration,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    table: Table,
    agents: Agents,
    /// Calls whose result is not on disk yet.
    unfinished: watch::Sender<usize>,
    /// Set when the worker stops and waits for no disk any more.
    given_up: watch::Sender<bool>,
    /// Set when a part of the media engine has fallen over.
    crippled: watch::Sender<bool>,
}

impl Calls {
    /// Starts handing the engine's events to their calls, on the current runtime.
    pub fn start(parts: Parts, events: Events) -> std::io::Result<Self> {
        let unfinished = watch::Sender::new(0);
        let (table, given_up) = (Table::default(), watch::Sender::new(false));
        let crippled = watch::Sender::new(false);
        let (asks, asked) = mpsc::channel(ASKS);
        let agents = Agents::start(parts.engine.agents_bell(), asks, Handle::current())?;
        let inner = Inner { parts, table, agents, unfinished, given_up, crippled };
        let this = Self(Arc::new(inner));
        pump::start(events, this.clone())?;
        brain::start(asked, this.clone());
        silence::start(this.clone());
        Ok(this)
    }

    /// Takes exactly one slot, before any side effect. Dropping it gives it back.
    pub fn admit(&self) -> Result<Slot, Refusal> {
        let admitted = self.0.parts.slots.admit();
        if let Err(refusal) = &admitted {
            self.0.parts.counters.refused(match refusal {
                Refusal::Full => "at_capacity",
                Refusal::Draining => "draining",
            });
        }
        admitted
    }

    /// Fetches the bot's config and opens the call in the engine. On an error the slot is free
    /// again, and a result is written when a session was already created for the call.
    pub async fn open(&self, slot: Slot, facts: CallFacts) -> Result<LiveCall, OpenError> {
        self.open_as(slot, facts, Opening::default()).await
    }

    /// [`open`](Self::open) for a peer that names the bot itself, whatever number was dialled.
    pub async fn open_bot(
        &self,
        slot: Slot,
        bot_id: &str,
        facts: CallFacts,
    ) -> Result<LiveCall, OpenError> {
        let wanted = Wanted { bot_id: Some(bot_id.to_owned()), config_url: None };
        self.open_as(slot, facts, Opening { wanted, ..Opening::default() }).await
    }

    /// [`open`](Self::open), with what is particular about it.
    pub async fn open_as(
        &self,
        slot: Slot,
        facts: CallFacts,
        opening: Opening,
    ) -> Result<LiveCall, OpenError> {
        let opened = match self.bots().config(&opening.wanted, &facts).await {
            Ok(bot) => self.open_for(slot, facts.clone(), bot, opening.answer_limit).await,
            Err(NoConfig { error, session: Some(bot) }) => {
                Err(self.never_opened(facts.clone(), *bot, None, error))
            }
            Err(NoConfig { error, session: None }) if opening.owes_result => {
                let bot = self.bots().stand_in(&opening.wanted, &facts);
                Err(self.never_opened(facts.clone(), bot, None, error))
            }
            Err(NoConfig { error, session: None }) => Err(error),
        };
        if let Err(error) = &opened {
            self.not_opened(&facts, error);
        }
        opened
    }

    /// Counts and logs a call that was admitted and is not opened.
    pub fn not_opened(&self, facts: &CallFacts, error: &OpenError) {
        self.0.parts.counters.refused(error.name());
        let CallFacts { dialed, stream_id, .. } = facts;
        tracing::warn!(dialed, stream_id, "call refused: {error}");
    }

    async fn open_for(
        &self,
        slot: Slot,
        facts: CallFacts,
        bot: BotConfig,
        answer_limit: Option<Duration>,
    ) -> Result<LiveCall, OpenError> {
        let note = self.write_note(&facts, &bot).await;
        let plan = match self.0.parts.bots.plan(&bot).await {
            Ok(plan) => plan,
            Err(error) => return Err(self.never_opened(facts, bot, Some(note.open), error)),
        };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let limits = Limits {
            answer: answer_limit.unwrap_or_default().max(self.0.parts.answer_limit),
            no_audio: seconds(bot.no_audio_seconds),
            duration: seconds(bot.max_call_duration_seconds),
        };
        let vad = match vad_options(&plan, &bot) {
            Ok(vad) => vad,
            Err(why) => {
                let error = OpenError::BadBot(why);
                return Err(self.never_opened(facts, bot, Some(note.open), error));
            }
        };
        let options = CallOptions { limits, recording: None, vad };
        let (entry, ends) = Entry::new(slot, facts, bot, Some(note));
        self.enter(entry, ends, options, plan).map_err(|(entry, error)| {
            let open = entry.note.map(|note| note.open);
            self.never_opened(entry.facts, entry.bot, open, error)
        })
    }

    /// Opens a call in the engine and files it.
    fn enter(
        &self,
        entry: Entry,
        ends: Ends,
        options: CallOptions,
        plan: AgentPlan,
    ) -> Result<LiveCall, (Box<Entry>, OpenError)> {
        // The table is locked meanwhile: no event can arrive before its call is there and counted.
        let opened = self.0.table.insert_with(entry, || {
            let opened = self.engine().open(options)?;
            self.0.unfinished.send_modify(|unfinished| *unfinished += 1);
            Ok(opened)
        });
        match opened {
            Ok(opened) => {
                self.open_agent(opened.call, &plan);
                Ok(LiveCall {
                    call: opened.call,
                    rtp: opened.rtp,
                    plan,
                    calls: self.clone(),
                    ended: ends.ended,
                    orders: ends.orders,
                    agent: OnceCell::new(),
                })
            }
            Err((entry, refused)) => {
                let error = match refused {
                    Refused::NoPorts => OpenError::NoPorts,
                    refused => OpenError::Refused(refused),
                };
                Err((entry, error))
            }
        }
    }

    /// Refuses new calls; those that live run to their end.
    pub fn drain(&self) {
        self.0.parts.slots.drain();
        self.engine().drain();
    }

    /// Resolves when a part of the media engine has fallen over: this process is to be replaced.
    pub async fn crippled(&self) {
        // The sender lives in `self`.
        let _ = self.0.crippled.subscribe().wait_for(|crippled| *crippled).await;
    }

    /// Ends every call.
    pub fn close_all(&self, reason: Reason) {
        for call in self.0.table.live() {
            if let Err(refused) = self.engine().close(call, reason) {
                tracing::debug!(call_id = call.0, "close: {refused}");
            }
        }
    }

    /// Resolves when no slot is taken and every result is on disk.
    pub async fn idle(&self) {
        self.0.parts.slots.empty().await;
        self.finished().await;
    }

    /// For a worker that must stop now: results that still cannot be written go to the log, whole.
    /// Resolves within a few seconds.
    pub async fn give_up(&self) {
        self.finish_all(Reason::WorkerStopped);
        if tokio::time::timeout(LAST_LIMIT, self.finished()).await.is_err() {
            self.0.given_up.send_replace(true);
            // Only the log is left to write to.
            let _ = tokio::time::timeout(LAST_LIMIT, self.finished()).await;
        }
    }

    /// Resolves when every result is on disk, or lost and logged.
    async fn finished(&self) {
        // The sender lives in `self`.
        let _ = self.0.unfinished.subscribe().wait_for(|unfinished| *unfinished == 0).await;
    }

    /// Ends the brains' thread, once their calls have ended. Resolves when the brains know.
    pub async fn leave_brains(&self) {
        let agents = self.0.agents.clone();
        // One that fell over has said so.
        let _ = tokio::task::spawn_blocking(move || agents.stop()).await;
    }

    /// What brains' sockets have counted.
    pub fn agent_counts(&self) -> Arc<AgentCounts> {
        self.0.agents.counts()
    }

    /// Places, taken and in all.
    pub fn slots(&self) -> &Slots {
        &self.0.parts.slots
    }

    /// The media engine.
    pub fn engine(&self) -> &Engine {
        &self.0.parts.engine
    }

    /// Who answers calls.
    pub fn bots(&self) -> &Bots {
        &self.0.parts.bots
    }
}

/// What is particular about a call that is opened.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// Its bot.
    pub wanted: Wanted,
    /// A result is written even when no config, and so no session, can be had.
    pub owes_result: bool,
    /// It may be open without an answer for so long, when that is longer than usual.
    pub answer_limit: Option<Duration>,
}

/// How the caller's speech is looked for: by the bot's `vad` block (`enabled`, `neural`,
/// `hang_over_ms`). Unless it says otherwise, only a brain elsewhere is told of it.
fn vad_options(plan: &AgentPlan, bot: &BotConfig) -> Result<Option<VadOptions>, String> {
    let default = VadOptions::default();
    let field = |name: &str| bot.vad.as_ref().and_then(|vad| vad.get(name));
    let flag = |name: &str, default: bool| match field(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(found) => Err(format!("vad.{name}: expected true or false, found {found}")),
    };
    if !flag("enabled", matches!(plan, AgentPlan::Socket(_)))? {
        return Ok(None);
    }
    let neural = flag("neural", default.neural)?;
    let hang_over_frames = match field("hang_over_ms") {
        None | Some(Value::Null) => default.hang_over_frames,
        Some(found) => match found.as_u64() {
            Some(ms @ 40..=2_000) => (ms / 20) as u8,
            _ => return Err(format!("vad.hang_over_ms: expected 40 to 2000, found {found}")),
        },
    };
    Ok(Some(VadOptions { neural, hang_over_frames, ..default }))
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

impl CallFacts {
    /// The party that is not the bot.
    pub fn customer(&self) -> &str {
        match self.direction {
            CallDirection::Inbound => &self.caller,
            CallDirection::Outbound => &self.dialed,
        }
    }
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
    Refused(Refused),
}

impl OpenError {
    /// The label in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::NoSuchBot(_) => "no_such_bot",
            Self::Forbidden => "forbidden",
            Self::OutsideHours(_) => "outside_hours",
            Self::Unavailable(_) => "config_unavailable",
            Self::BadBot(_) => "bad_bot",
            Self::NoPorts => "no_ports",
            Self::Refused(_) => "engine_refused",
        }
    }
}

/// The engine syncs a recording within moments; a disk that takes longer does not hold up results.
const RECORDED_LIMIT: Duration = Duration::from_secs(10);

/// Wishes of all brains that wait to be done; each takes microseconds.
const ASKS: usize = 4_096;

/// A disk that refuses a result is given this many tries,
const PUT_TRIES: u32 = 20;
/// so far apart.
const PUT_PAUSE: Duration = Duration::from_secs(1);

/// For the engine to close a call, and for the writes themselves.
const MARGIN: Duration = Duration::from_secs(5);

/// How long the last calls may take from [`Calls::close_all`] to [`Calls::idle`].
pub const CLOSE_LIMIT: Duration = Duration::from_secs(
    RECORDED_LIMIT.as_secs() + PUT_TRIES as u64 * PUT_PAUSE.as_secs() + MARGIN.as_secs(),
);

/// For the last try to write what was late.
const LAST_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
pub(crate) mod tests;
