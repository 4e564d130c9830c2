//! A brain sends its caller somewhere else.
//!
//! ```text
//!  asked ─► announced ─► ordered ─► the caller's side tries ─► gone there (the call ends)
//!    │      (bounded)                                      └─► failed (the call goes on)
//!    └─► refused
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use vox_call::{CallId, Reason};
use vox_contracts::BotConfig;

use super::destination::{Chosen, TransferMode, choose};
use super::table::Entry;
use super::{Calls, Destination};
use crate::agents::AgentNews;

/// What a brain wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferRequest {
    /// Id, label or value of one of the bot's targets; of a bot that lists none: a number or a
    /// URI. `None` is the default target.
    pub target: Option<String>,
    /// In the brain's words, for the result.
    pub reason: Option<String>,
    /// `blind` or `attended`; `None` is as the target says.
    pub mode: Option<String>,
}

/// What the caller's side is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The call is over.
    Ended(Reason),
    /// Send the caller there, then say what became of it
    /// ([`LiveCall::transferred`](super::LiveCall::transferred)).
    Transfer {
        /// There.
        to: Destination,
        /// How.
        mode: TransferMode,
    },
}

/// A call's transfer, the last one when there were several.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) destination: Destination,
    pub(super) mode: TransferMode,
    /// What the target hears when it is called first.
    pub(super) consultation_file: Option<String>,
    pub(super) target: Option<String>,
    pub(super) reason: Option<String>,
    /// How the caller's side did it.
    pub(super) method: Option<&'static str>,
    pub(super) state: TransferState,
    announced: Arc<Notify>,
}

/// How far a transfer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TransferState {
    /// Nobody knows yet.
    Going,
    /// The caller is there, since then.
    Done(String),
    /// The caller is still here.
    Failed(String),
}

/// How an announcement is made.
enum Announcement {
    /// By the engine, from this file.
    File(String),
    /// By the brain; what has to be said, when anything has.
    Brain(Option<String>),
    /// There is none.
    None,
}

impl Calls {
    /// The brain hangs up.
    pub fn hang_up_by_bot(&self, call: CallId, why: Option<&str>) {
        self.note(call, "agent_hung_up", json!({"reason": why}));
        self.end(call, Reason::BotHungUp);
    }

    /// Sends the caller somewhere else. What is refused here never began; what becomes of the rest
    /// is told to the brain, and is in the result.
    pub fn transfer(&self, call: CallId, request: TransferRequest) -> Result<(), String> {
        let begun = self.0.table.with(call, |entry| begin(entry, request));
        let (announcement, announced) = begun.ok_or("there is no such call")??;
        let this = self.clone();
        tokio::spawn(async move {
            this.announce(call, announcement, &announced).await;
            this.order(call);
        });
        Ok(())
    }

    /// The announcement of a transfer is over, as far as the brain or the engine is concerned.
    pub(super) fn announced(&self, call: CallId) {
        self.0.table.with(call, |entry| {
            if let Some(transfer) = &entry.transfer {
                transfer.announced.notify_one();
            }
        });
    }

    /// What became of the transfer.
    pub(super) fn transferred(
        &self,
        call: CallId,
        method: &'static str,
        outcome: Result<(), String>,
    ) {
        let done = self.0.table.with(call, |entry| {
            let now = entry.journal.now();
            let transfer = entry.transfer.as_mut()?;
            if transfer.state != TransferState::Going {
                return None;
            }
            transfer.method = Some(method);
            let failed = outcome.err();
            let (event, facts) = match &failed {
                None => ("transfer_done", json!({"to": transfer.destination.to_string()})),
                Some(why) => ("transfer_failed", json!({"why": why})),
            };
            transfer.state = match &failed {
                None => TransferState::Done(now),
                Some(why) => TransferState::Failed(why.clone()),
            };
            entry.journal.write(event, facts);
            if let Some(agent) = &entry.agent {
                agent.tell(AgentNews::Transfer { failed: failed.clone() });
            }
            Some(failed.is_none())
        });
        if done.flatten() == Some(true) {
            self.end(call, Reason::Transferred);
        }
    }

    /// Until the caller has heard that, or it has taken too long.
    async fn announce(&self, call: CallId, announcement: Announcement, announced: &Notify) {
        let (begun, limit) = match announcement {
            Announcement::None => return,
            Announcement::File(file) => {
                let begun = self.play(call, file.as_ref(), ANNOUNCEMENT).await;
                (begun, ANNOUNCE_FILE_LIMIT)
            }
            Announcement::Brain(message) => {
                self.0.table.with(call, |entry| {
                    if let Some(agent) = &entry.agent {
                        agent.tell(AgentNews::PreTransfer { message });
                    }
                });
                (Ok(()), ANNOUNCE_BRAIN_LIMIT)
            }
        };
        let heard = match begun {
            Ok(()) => tokio::time::timeout(limit, announced.notified())
                .await
                .map_err(|_| "it took too long".to_owned()),
            Err(why) => Err(why),
        };
        if let Err(why) = heard {
            self.note(call, "transfer_unannounced", json!({"why": why}));
        }
    }

    fn order(&self, call: CallId) {
        let ordered = self.0.table.with(call, |entry| {
            let transfer = entry.transfer.as_ref().filter(|_| entry.ending.is_none())?;
            let order = (transfer.destination.clone(), transfer.mode);
            Some(entry.orders.try_send(order).is_ok())
        });
        if ordered.flatten() == Some(false) {
            self.transferred(call, "none", Err("the caller's side takes no transfer".into()));
        }
    }
}

fn begin(
    entry: &mut Entry,
    request: TransferRequest,
) -> Result<(Announcement, Arc<Notify>), String> {
    if entry.ending.is_some() || !entry.answered {
        return Err("the call is not in progress".into());
    }
    if entry.is_transferring() {
        return Err("another transfer is in progress".into());
    }
    let wanted = TransferMode::read(request.mode.as_deref())?;
    let Chosen { destination, target, mode, consultation_file } =
        choose(&entry.bot.transfer_targets, request.target.as_deref())?;
    let mode = wanted.unwrap_or(mode);
    let to = destination.to_string();
    entry.journal.write("transfer_requested", json!({"to": to, "target": target}));
    let announced = Arc::new(Notify::new());
    entry.transfer = Some(Transfer {
        destination,
        mode,
        consultation_file,
        target,
        reason: request.reason,
        method: None,
        state: TransferState::Going,
        announced: announced.clone(),
    });
    Ok((announcement(&entry.bot, entry.agent.is_some()), announced))
}

fn announcement(bot: &BotConfig, has_brain: bool) -> Announcement {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    match given(&bot.pre_transfer_file) {
        Some(file) => Announcement::File(file),
        None if has_brain => Announcement::Brain(given(&bot.pre_transfer_message)),
        None => Announcement::None,
    }
}

/// The transfer in a result.
#[derive(Debug, Default)]
pub(super) struct TransferFacts {
    pub(super) destination: Option<String>,
    pub(super) target: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) method: Option<String>,
    /// When it was done; that it was.
    pub(super) at: Option<String>,
    pub(super) failed: Option<String>,
}

impl From<Transfer> for TransferFacts {
    fn from(transfer: Transfer) -> Self {
        let (at, failed) = match transfer.state {
            TransferState::Done(at) => (Some(at), None),
            TransferState::Failed(why) => (None, Some(why)),
            TransferState::Going => (None, Some("the call ended before".to_owned())),
        };
        Self {
            destination: Some(transfer.destination.to_string()),
            target: transfer.target,
            reason: transfer.reason,
            method: transfer.method.map(str::to_owned),
            at,
            failed,
        }
    }
}

/// Id of the `Play` command of an announcement.
pub(super) const ANNOUNCEMENT: u32 = 3;
/// Longer announcements are cut short by the transfer.
const ANNOUNCE_FILE_LIMIT: Duration = Duration::from_secs(60);
/// A brain that speaks longer is cut short.
const ANNOUNCE_BRAIN_LIMIT: Duration = Duration::from_secs(30);
