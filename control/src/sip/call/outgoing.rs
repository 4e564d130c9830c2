//! A call of ours: an INVITE with our offer, until it is answered or is not.
//!
//! ```text
//!  calling ─1xx─► ringing ─2xx─► ACK, media ─► established (`talking`)
//!     │              ├─ 3xx-6xx ─────────────► not answered
//!     │              └─ given up ─► CANCEL ──► not answered
//!     ├─ given up: CANCEL waits for a 1xx (RFC 3261 §9.1)
//!     └─ nothing in 64 × T1 ─────────────────► not answered
//! ```
//!
//! Given up is a call whose line has ended (it may ring for `Limits::answer`), or that its side does
//! not want any more. A 2xx that crosses the CANCEL is acknowledged and hung up, and so is one from
//! another branch of a fork. What comes before the answer is not listened to, redirections are not
//! followed, and challenges (401, 407) are refusals.

use std::fmt;
use std::sync::Arc;

use rsipstack::sip::{Response, SipMessage, StatusCodeKind};
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use vox_call::Reason;

use super::CallTask;
use super::consultation::Leg;
use super::referral::spoken;
use super::talking::{hang_up, until_answered};
use crate::calls::Order;
use crate::sip::border::{Line, Switchboard};
use crate::sip::dialog::{Cancel, Dialog};
use crate::sip::invite::cseq;
use crate::sip::mailbox::{MAILBOX, Mail};
use crate::sip::uas::{Uas, description};

/// Why a call of ours was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotAnswered {
    /// The INVITE could not be sent.
    Unreachable(String),
    /// By the peer: status and phrase.
    Refused(String),
    /// Not a word in 64 × T1.
    Silent,
    /// It rang for too long, or was not wanted any more.
    GivenUp(Reason),
    /// It was answered in a way that we cannot talk.
    Unusable(String),
}

impl NotAnswered {
    /// Why its line is closed.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Unreachable(_) | Self::Unusable(_) => Reason::SignallingFailed,
            Self::Refused(_) | Self::Silent => Reason::CallerCancelled,
            Self::GivenUp(reason) => *reason,
        }
    }
}

impl fmt::Display for NotAnswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the target cannot be called: {why}"),
            Self::Refused(why) => write!(f, "the target: {why}"),
            Self::Silent => f.write_str("the target sent no answer"),
            Self::GivenUp(Reason::SetupTimeout) => f.write_str("the target did not answer in time"),
            Self::GivenUp(_) => f.write_str("the call to the target was given up"),
            Self::Unusable(why) => write!(f, "the target's answer: {why}"),
        }
    }
}

/// What a call to somebody needs beside its dialog, to be answered a second time or elsewhere.
pub(super) struct Called {
    /// As it was before the answer.
    before: Dialog,
    /// Branches of a fork that answered, too, and were hung up.
    forks: u32,
}

/// An INVITE of ours that has no final answer.
struct Asking {
    cancel: Cancel,
    /// A 1xx came: CANCEL may go out.
    may_cancel: bool,
    /// Ends the transaction.
    _sent: DropGuard,
}

impl<B: Switchboard> CallTask<B> {
    /// Calls `dialog`'s peer for `line`: the call's task once it is answered and acknowledged, and its
    /// media is agreed. Whatever else comes of it, the peer is left in good order; the line is the
    /// caller's to close.
    pub(super) async fn dial(
        uas: Arc<Uas<B>>,
        dialog: Dialog,
        line: &mut B::Line,
        leg: Option<Leg>,
    ) -> Result<Self, NotAnswered> {
        let (mail, mailbox) = mpsc::channel(MAILBOX);
        let registered = uas.dialogs.call(&dialog.id, mail.clone());
        let mut task = Self { leg, ..Self::new(uas, dialog, registered, (mail, mailbox)) };
        let mut asking = task.ask(line).await?;
        loop {
            let given_up = tokio::select! {
                order = line.next_order() => match order {
                    Order::Ended(reason) => reason,
                    Order::Transfer { .. } => continue,
                },
                _ = Leg::end(&mut task.leg) => Reason::CallerCancelled,
                mail = task.mailbox.recv() => match task.reply(mail, &mut asking)? {
                    Some(ok) => return task.answered_by(&ok, line).await,
                    None => continue,
                },
            };
            line.close(given_up);
            tokio::spawn(task.give_up(asking));
            return Err(NotAnswered::GivenUp(given_up));
        }
    }

    /// Sends the INVITE.
    async fn ask(&mut self, line: &B::Line) -> Result<Asking, NotAnswered> {
        let rtp = self.media_address(line);
        let offer = self.session.offer(rtp);
        let unreachable = |error: rsipstack::Error| NotAnswered::Unreachable(error.to_string());
        let invite = self.dialog.invite(&offer).await.map_err(unreachable)?;
        let cancel = Cancel::of(&invite);
        Ok(Asking { cancel, may_cancel: false, _sent: send(invite, self.mail.clone()) })
    }

    /// The 2xx, when that is what came.
    fn reply(
        &self,
        mail: Option<Mail>,
        asking: &mut Asking,
    ) -> Result<Option<Box<Response>>, NotAnswered> {
        let response = match mail {
            Some(Mail::Answer(Some(response))) => response,
            Some(Mail::Answer(None)) | None => return Err(NotAnswered::Silent),
            // Of a dialog that is not there yet.
            Some(_) => return Ok(None),
        };
        match response.status_code.kind() {
            StatusCodeKind::Provisional => {
                asking.may_cancel = true;
                Ok(None)
            }
            StatusCodeKind::Successful => Ok(Some(response)),
            _ => Err(NotAnswered::Refused(spoken(response.status_code.code(), ""))),
        }
    }

    /// The peer has answered: ACK at once, then media by its description.
    async fn answered_by(mut self, ok: &Response, line: &B::Line) -> Result<Self, NotAnswered> {
        let before = self.dialog.clone();
        self.dialog.confirm(ok).map_err(|why| NotAnswered::Unusable(why.to_owned()))?;
        self.registered.confirm(&self.dialog.id, self.mail.clone());
        self.called = Some(Called { before, forks: 0 });
        self.acknowledge(ok).await;
        match self.take_answer(line, description(ok, &ok.body), "no description in it").await {
            Ok(()) => Ok(self),
            Err(refused) => {
                tokio::spawn(async move {
                    let mut task = self;
                    task.hang_up().await;
                });
                Err(NotAnswered::Unusable(refused.why))
            }
        }
    }

    async fn acknowledge(&self, ok: &Response) {
        if let Err(error) = self.dialog.ack(cseq(ok)).await {
            // The 2xx comes again, and so does its ACK.
            tracing::info!(peer = %self.dialog.peer, %error, "ACK could not be sent");
        }
    }

    /// A 2xx to the INVITE of this call came after the first one.
    pub(super) async fn answered_again(&mut self, ok: &Response) {
        let Some(called) = &mut self.called else { return };
        let mut fork = called.before.clone();
        if fork.confirm(ok).is_err() {
            return;
        }
        if fork.id == self.dialog.id {
            return self.acknowledge(ok).await;
        }
        // RFC 3261 §13.2.2.4: somebody else answered, too.
        called.forks += 1;
        if called.forks <= FORKS_MAX {
            let (cseq, limit) = (cseq(ok), self.uas.ack_limit);
            tokio::spawn(async move { refuse_answer(&mut fork, cseq, limit).await });
        }
    }

    /// CANCEL, and whatever answer comes until then.
    async fn give_up(mut self, asking: Asking) {
        let Asking { cancel, mut may_cancel, _sent } = asking;
        let (mut cancel, limit) = (Some(cancel), self.uas.ack_limit);
        let mut until = Instant::now() + limit * 2;
        loop {
            if may_cancel && let Some(tx) = cancel.take().and_then(Cancel::prepare) {
                tokio::spawn(timeout(limit, until_answered(tx)));
                until = Instant::now() + limit;
            }
            let mail = timeout_at(until, self.mailbox.recv()).await;
            let Ok(Some(Mail::Answer(Some(response)))) = mail else { return };
            match response.status_code.kind() {
                StatusCodeKind::Provisional => may_cancel = true,
                StatusCodeKind::Successful => {
                    if self.dialog.confirm(&response).is_ok() {
                        refuse_answer(&mut self.dialog, cseq(&*response), limit).await;
                    }
                    return;
                }
                _ => return,
            }
        }
    }
}

/// Acknowledges an answer that nobody wants, and hangs up.
async fn refuse_answer(dialog: &mut Dialog, cseq: u32, limit: std::time::Duration) {
    match dialog.ack(cseq).await {
        Ok(()) => hang_up(dialog, limit).await,
        Err(error) => tracing::info!(peer = %dialog.peer, %error, "ACK could not be sent"),
    }
}

/// Sends an INVITE on a task of its own; its answers become mail, and what is dropped ends it.
fn send(mut tx: Transaction, mail: mpsc::Sender<Mail>) -> DropGuard {
    let token = CancellationToken::new();
    let dropped = token.clone();
    tokio::spawn(async move {
        let answers = async {
            let mut sent = tx.send().await.is_ok();
            while sent && let Some(message) = tx.receive().await {
                let SipMessage::Response(response) = message else { continue };
                let is_final = response.status_code.kind() != StatusCodeKind::Provisional;
                sent = mail.send(Mail::Answer(Some(Box::new(response)))).await.is_ok() && !is_final;
                if is_final {
                    return;
                }
            }
            let _ = mail.send(Mail::Answer(None)).await;
        };
        tokio::select! {
            () = answers => {}
            () = dropped.cancelled() => {}
        }
    });
    token.drop_guard()
}

/// Branches of a fork that are told that they came too late: a proxy rings a handful of phones.
const FORKS_MAX: u32 = 16;
