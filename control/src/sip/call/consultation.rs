//! An attended transfer (RFC 5589 §7): the target is called first, then the caller's peer is referred
//! to it by a REFER whose Refer-To replaces that call (RFC 3891).
//!
//! ```text
//!  caller's task                     leg's task (a call of its own)
//!  consult ────────────────────────► INVITE ─► answered
//!     │   ◄─ Answered(Refer-To) ───────────────┘   │ media: the target hears a prompt
//!  REFER ─► NOTIFY ─► outcome ─────► BYE           │
//!     │                                            │
//!  not answered, or hung up before ◄─ Over(why) ───┘ the caller's call goes on
//! ```

use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, watch};
use vox_call::Reason;

use super::CallTask;
use super::outgoing::NotAnswered;
use super::talking::hang_up;
use crate::calls::Destination;
use crate::sip::border::{Line, Switchboard};
use crate::sip::dialog::Dialog;
use crate::sip::uas::Uas;

/// A call to a transfer's target, as the caller's side has it.
pub(super) struct Consultation {
    wishes: watch::Sender<Wish>,
    reports: mpsc::Receiver<Report>,
    is_over: bool,
}

/// The same as the target's side has it.
pub(super) struct Leg {
    wishes: watch::Receiver<Wish>,
}

/// What the caller's side wants of the leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Be there.
    Stay,
    /// The caller's peer is about to take the target over: its BYE means that it has.
    HandOver,
    /// Hang up: the caller is there, or is not to come any more.
    End { done: bool },
}

/// What the leg tells the caller's side.
#[derive(Debug)]
pub(super) enum Report {
    /// The target is there; the value of the Refer-To that replaces the leg.
    Answered(String),
    /// It is not, or no more.
    Over(String),
}

impl Consultation {
    /// The next report, each once; for ever nothing without a consultation.
    pub(super) async fn report(this: &mut Option<Self>) -> Report {
        let Some(this) = this.as_mut().filter(|this| !this.is_over) else {
            return std::future::pending().await;
        };
        let report = this.reports.recv().await;
        let report =
            report.unwrap_or_else(|| Report::Over("the call to the target broke off".into()));
        this.is_over = matches!(report, Report::Over(_));
        report
    }

    /// The caller's peer has accepted to take the target over.
    pub(super) fn hand_over(&self) {
        self.wishes.send_replace(Wish::HandOver);
    }

    /// Ends the leg: the caller is with the target, or is not to come any more.
    pub(super) fn dismiss(self, done: bool) {
        self.wishes.send_replace(Wish::End { done });
    }
}

impl Leg {
    /// Resolves when the caller's side wants the leg to end; never for a call that is no leg.
    pub(super) async fn end(this: &mut Option<Self>) -> Reason {
        let Some(this) = this else { return std::future::pending().await };
        let end = this.wishes.wait_for(|wish| matches!(wish, Wish::End { .. })).await;
        match end.map(|wish| *wish) {
            Ok(Wish::End { done: true }) => Reason::Transferred,
            // Or the caller's side is gone.
            _ => Reason::BotHungUp,
        }
    }

    /// What BYE of the target means.
    pub(super) fn left(&self) -> Reason {
        match *self.wishes.borrow() {
            Wish::HandOver | Wish::End { done: true } => Reason::Transferred,
            Wish::Stay | Wish::End { done: false } => Reason::CallerHungUp,
        }
    }
}

impl<B: Switchboard> CallTask<B> {
    /// Calls the target of an attended transfer.
    pub(super) fn consult(&mut self, line: &B::Line, to: Destination) -> Result<(), String> {
        let leg_line = line.consult()?;
        let (wishes, wished) = watch::channel(Wish::Stay);
        let (report, reports) = mpsc::channel(REPORTS);
        let (uas, near) = (self.uas.clone(), self.dialog.clone());
        let answered = Arc::new(OnceLock::new());
        let leg = Leg { wishes: wished };
        tokio::spawn(async move {
            let (limit, spare) = (uas.ack_limit, answered.clone());
            let run = tokio::spawn(lead(uas, near, to, leg_line, leg, report, answered));
            if run.await.is_err() {
                tracing::error!("a bug ended the call to a transfer's target");
                // The line was dropped with the task, which closed it: what is left is the peer.
                if let Some(mut dialog) = spare.get().cloned() {
                    hang_up(&mut dialog, limit).await;
                }
            }
        });
        self.consultation = Some(Consultation { wishes, reports, is_over: false });
        Ok(())
    }
}

/// The leg, from its INVITE to its end.
async fn lead<B: Switchboard>(
    uas: Arc<Uas<B>>,
    near: Dialog,
    to: Destination,
    mut line: B::Line,
    leg: Leg,
    report: mpsc::Sender<Report>,
    answered: Arc<OnceLock<Dialog>>,
) {
    let dialled = match near.beside(&to, uas.advertised).await {
        Ok(dialog) => {
            drop(near);
            CallTask::dial(uas, dialog, &mut line, Some(leg)).await
        }
        Err(why) => Err(NotAnswered::Unreachable(why)),
    };
    let why = match dialled {
        Ok(mut task) => {
            let _ = answered.set(task.dialog.clone());
            let _ = report.send(Report::Answered(task.dialog.replacing())).await;
            task.talk(&mut line, None).await;
            "the target hung up before the caller was there".to_owned()
        }
        Err(why) => {
            // The first reason counts, when the line has ended already.
            line.close(why.reason());
            why.to_string()
        }
    };
    let _ = report.send(Report::Over(why)).await;
}

/// There are two in a leg's life.
const REPORTS: usize = 2;
