use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use vox_call::{MediaSession, Reason};

use crate::calls::{
    AnswerError, CallFacts, Destination, OpenError, Order, Refusal, Slot, Slots, TransferMode,
};
use crate::sip::{Line, Switchboard};

/// Bots that behave as their names say, and a diary of what was asked of them.
#[derive(Clone)]
pub(super) struct Board {
    slots: Slots,
    diary: Arc<Mutex<VecDeque<String>>>,
    written: Arc<Notify>,
    /// Lets the bots named "slow" open.
    pub(super) gate: Arc<Notify>,
    /// Ends the lines that are open.
    hang_up: watch::Sender<Option<Reason>>,
    /// Transfers the lines that are open.
    transfers: watch::Sender<Option<(Destination, TransferMode)>>,
    /// Ends the calls to targets.
    leg_ends: watch::Sender<Option<Reason>>,
}

pub(super) struct TestLine {
    board: Board,
    dialed: String,
    ended: watch::Sender<Option<Reason>>,
    hang_up: watch::Receiver<Option<Reason>>,
    transfers: watch::Receiver<Option<(Destination, TransferMode)>>,
    _slot: Slot,
}

impl Board {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: Slots::new(capacity),
            diary: Arc::default(),
            written: Arc::default(),
            gate: Arc::default(),
            hang_up: watch::channel(None).0,
            transfers: watch::channel(None).0,
            leg_ends: watch::channel(None).0,
        }
    }

    /// The next entry; waits for it.
    pub(super) async fn next(&self) -> String {
        let next = async {
            loop {
                if let Some(entry) = self.diary.lock().unwrap().pop_front() {
                    return entry;
                }
                self.written.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("nothing is written")
    }

    /// Entries nobody asked for.
    pub(super) fn rest(&self) -> Vec<String> {
        self.diary.lock().unwrap().drain(..).collect()
    }

    pub(super) fn taken(&self) -> usize {
        self.slots.taken()
    }

    pub(super) fn drain(&self) {
        self.slots.drain();
    }

    /// The bots hang up.
    pub(super) fn hang_up(&self, reason: Reason) {
        self.hang_up.send_replace(Some(reason));
    }

    /// The bots transfer their callers.
    pub(super) fn transfer(&self, to: Destination, mode: TransferMode) {
        self.transfers.send_replace(Some((to, mode)));
    }

    /// The calls to targets end.
    pub(super) fn end_legs(&self, reason: Reason) {
        self.leg_ends.send_replace(Some(reason));
    }

    fn write(&self, entry: impl Into<String>) {
        self.diary.lock().unwrap().push_back(entry.into());
        self.written.notify_one();
    }
}

impl Switchboard for Board {
    type Slot = Slot;
    type Line = TestLine;

    fn admit(&self) -> Result<Slot, Refusal> {
        self.slots.admit()
    }

    async fn open(&self, slot: Slot, facts: CallFacts) -> Result<TestLine, OpenError> {
        self.write(format!("open {} for {}", facts.dialed, facts.caller));
        let why = || "test".to_owned();
        match facts.dialed.as_str() {
            "nobody" => return Err(OpenError::NoSuchBot(facts.dialed)),
            "forbidden" => return Err(OpenError::Forbidden),
            "asleep" => return Err(OpenError::OutsideHours(why())),
            "unreachable" => return Err(OpenError::Unavailable(why())),
            "broken" => return Err(OpenError::BadBot(why())),
            "portless" => return Err(OpenError::NoPorts),
            "slow" => self.gate.notified().await,
            "bug" => panic!("a bug while opening, on purpose"),
            _ => {}
        }
        Ok(TestLine {
            board: self.clone(),
            dialed: facts.dialed,
            ended: watch::channel(None).0,
            hang_up: self.hang_up.subscribe(),
            transfers: self.transfers.subscribe(),
            _slot: slot,
        })
    }
}

impl Line for TestLine {
    fn rtp(&self) -> SocketAddr {
        "127.0.0.1:40000".parse().unwrap()
    }

    async fn answer(&self, media: MediaSession) -> Result<(), AnswerError> {
        assert!(self.dialed != "late-bug", "a bug while answering, on purpose");
        let codec = media.codec().sdp_name();
        let (pt, remote, direction) = (media.payload_type, media.remote, media.direction);
        let who = if self.dialed == LEG { "leg: " } else { "" };
        self.board.write(format!("{who}media {codec}/{pt} {remote} {direction:?}"));
        match self.dialed.as_str() {
            "thoughtful" => {
                self.board.gate.notified().await;
                Ok(())
            }
            "mute" => Err(AnswerError::Agent("test".into())),
            _ => Ok(()),
        }
    }

    fn close(&self, reason: Reason) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(reason);
                let who = if self.dialed == LEG { "leg: " } else { "" };
                self.board.write(format!("{who}close {reason:?}"));
            }
            first
        });
    }

    fn digit_from_signalling(&self, digit: char, duration: Duration) {
        self.board.write(format!("digit {digit} {} ms", duration.as_millis()));
    }

    async fn next_order(&mut self) -> Order {
        let mut ended = self.ended.subscribe();
        let reason = tokio::select! {
            reason = async { *ended.wait_for(Option::is_some).await.unwrap() } => reason,
            reason = async { *self.hang_up.wait_for(Option::is_some).await.unwrap() } => {
                self.ended.send_replace(reason);
                reason
            }
            Ok(()) = self.transfers.changed() => {
                let (to, mode) = self.transfers.borrow().clone().unwrap();
                return Order::Transfer { to, mode };
            }
        };
        Order::Ended(reason.unwrap())
    }

    fn transferred(&self, method: &'static str, outcome: Result<(), String>) {
        self.board.write(format!("{method}: {outcome:?}"));
        if outcome.is_ok() {
            self.close(Reason::Transferred);
        }
    }

    fn consult(&self) -> Result<Self, String> {
        let slot = self.board.slots.admit().map_err(|_| "no slot is free".to_owned())?;
        Ok(Self {
            board: self.board.clone(),
            dialed: LEG.to_owned(),
            ended: watch::channel(None).0,
            hang_up: self.board.leg_ends.subscribe(),
            transfers: watch::channel(None).1,
            _slot: slot,
        })
    }
}

/// What calls to targets are called in the diary.
const LEG: &str = "leg";

impl Drop for TestLine {
    fn drop(&mut self) {
        self.close(Reason::SignallingFailed);
    }
}
