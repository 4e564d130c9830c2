use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use vox_call::quality::Response;
use vox_call::{CallId, Ending, Reason};
use vox_contracts::BotConfig;
use vox_engine::{Opened, Refused};

use super::digits::DigitLog;
use super::journal::Journal;
use super::note::Note;
use super::peer::PeerNews;
use super::silence::Watch;
use super::transfer::{Transfer, TransferState};
use super::{CallFacts, Destination, Slot, TransferMode};
use crate::agents::{AgentHandle, OnGone};
use crate::delivery::RecordingKey;

/// The calls whose result is still to be written. Locked for moments only, never across an await.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<HashMap<CallId, Entry>>);

/// What control knows about a call.
#[derive(Debug)]
pub(super) struct Entry {
    /// Given back when the call ends; `None` afterwards.
    pub(super) slot: Option<Slot>,
    pub(super) facts: CallFacts,
    pub(super) bot: BotConfig,
    /// On disk for as long as there is no result; `None` for a leg.
    pub(super) note: Option<Note>,
    /// The call that this one is a leg of: what becomes of it is in that one's result.
    pub(super) leg_of: Option<CallId>,
    pub(super) journal: Journal,
    pub(super) digits: DigitLog,
    pub(super) answered: bool,
    /// Since the call began.
    pub(super) answered_at: Option<Duration>,
    /// From the answer on.
    pub(super) watch: Option<Watch>,
    /// The brain, when it lives elsewhere; dropped when the call ends.
    pub(super) agent: Option<AgentHandle>,
    /// What becomes of the call when the brain is gone.
    pub(super) on_gone: OnGone,
    /// Of the codec that was agreed first.
    pub(super) rate_hz: u32,
    pub(super) recording: Recording,
    pub(super) ending: Option<Ending>,
    /// It is no call after all: there is no result.
    pub(super) withdrawn: bool,
    /// How long the caller waited for the bot; known at the end.
    pub(super) responses: Vec<Response>,
    pub(super) tell_ended: watch::Sender<Option<Reason>>,
    /// To the caller's side; room for one, for there is one transfer at a time.
    pub(super) orders: mpsc::Sender<(Destination, TransferMode)>,
    pub(super) transfer: Option<Transfer>,
    /// To whoever speaks for the call's peer, where its media are sealed.
    pub(super) peer: Option<mpsc::Sender<PeerNews>>,
    /// Changes whenever audio of the bot is dropped unheard.
    pub(super) cuts: watch::Sender<()>,
}

/// What a call tells its signalling.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) ended: watch::Receiver<Option<Reason>>,
    pub(super) orders: mpsc::Receiver<(Destination, TransferMode)>,
}

/// How far a call's recording is.
#[derive(Debug)]
pub(super) enum Recording {
    /// There is none.
    None,
    /// The engine writes it.
    Running(RecordingKey),
    /// It is complete on disk.
    Complete(RecordingKey, PathBuf),
}

impl Entry {
    /// The entry of a call that is about to be opened, and what its signalling keeps.
    pub(super) fn new(
        slot: Slot,
        facts: CallFacts,
        bot: BotConfig,
        note: Option<Note>,
    ) -> (Self, Ends) {
        let (tell_ended, ended) = watch::channel(None);
        let (tell_orders, orders) = mpsc::channel(1);
        let entry = Self {
            slot: Some(slot),
            facts,
            bot,
            note,
            leg_of: None,
            journal: Journal::begin(),
            digits: DigitLog::default(),
            answered: false,
            answered_at: None,
            watch: None,
            agent: None,
            on_gone: OnGone::HangUp,
            rate_hz: 8_000,
            recording: Recording::None,
            ending: None,
            withdrawn: false,
            responses: Vec::new(),
            tell_ended,
            orders: tell_orders,
            transfer: None,
            peer: None,
            cuts: watch::Sender::new(()),
        };
        (entry, Ends { ended, orders })
    }

    /// Whether the result can be written.
    pub(super) fn is_complete(&self) -> bool {
        self.ending.is_some() && !matches!(self.recording, Recording::Running(_))
    }

    /// Whether the caller is on the way to somebody else.
    pub(super) fn is_transferring(&self) -> bool {
        let going = |transfer: &Transfer| transfer.state == TransferState::Going;
        self.transfer.as_ref().is_some_and(going)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.journal.elapsed()
    }
}

impl Table {
    /// Opens a call and files it, with no event in between.
    pub(super) fn insert_with(
        &self,
        entry: Entry,
        open: impl FnOnce() -> Result<Opened, Refused>,
    ) -> Result<Opened, (Box<Entry>, Refused)> {
        let mut calls = self.lock();
        match open() {
            Ok(opened) => {
                calls.insert(opened.call, entry);
                Ok(opened)
            }
            Err(refused) => Err((Box::new(entry), refused)),
        }
    }

    /// Changes a call, when it is still here.
    pub(super) fn with<T>(&self, call: CallId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.lock().get_mut(&call).map(change)
    }

    /// Looks at every call.
    pub(super) fn each(&self, mut look: impl FnMut(CallId, &mut Entry)) {
        self.lock().iter_mut().for_each(|(call, entry)| look(*call, entry));
    }

    /// Takes a call out when nothing is missing any more.
    pub(super) fn take_complete(&self, call: CallId) -> Option<Entry> {
        let mut calls = self.lock();
        let complete = calls.get(&call).is_some_and(Entry::is_complete);
        if complete { calls.remove(&call) } else { None }
    }

    /// Takes a call out that has ended, whatever is missing.
    pub(super) fn take_ended(&self, call: CallId) -> Option<Entry> {
        let mut calls = self.lock();
        let ended = calls.get(&call).is_some_and(|entry| entry.ending.is_some());
        if ended { calls.remove(&call) } else { None }
    }

    /// Takes every call out.
    pub(super) fn take_all(&self) -> HashMap<CallId, Entry> {
        std::mem::take(&mut self.lock())
    }

    /// Calls that have not ended.
    pub(super) fn live(&self) -> Vec<CallId> {
        let calls = self.lock();
        calls.iter().filter(|(_, entry)| entry.ending.is_none()).map(|(call, _)| *call).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
