//! One call, from its INVITE to its BYE: a task that everything about the call is told to. What a
//! peer begins is below; what we begin is in `outgoing`, and goes on in `talking` like the others.
//!
//! ```text
//!            CANCEL, BYE ──► closing the line as soon as it opens
//!               ▲
//!  INVITE ─► opening ─► answered ─ACK─► established ─► BYE of either side
//!               │           │ no ACK in 64 × T1        or the line ended
//!               ▼           ▼
//!            refused     BYE, closed as NoAck
//! ```

mod consultation;
mod info;
mod opening;
mod outgoing;
mod referral;
mod session;
mod talking;

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::sip::{StatusCode, StatusCodeKind};
use tokio::sync::mpsc;
use vox_call::Reason;

use super::border::{Line, Switchboard};
use super::dialog::Dialog;
use super::invite::ServerInvite;
use super::mailbox::{Mail, Registered};
use super::reply::Refused;
use super::uas::Uas;
use crate::calls::CallFacts;
use consultation::{Consultation, Leg};
use outgoing::Called;
use referral::Referral;
use session::Session;
use talking::hang_up;

/// A call that was let in.
pub(super) struct IncomingCall<S> {
    pub(super) dialog: Dialog,
    pub(super) invite: ServerInvite,
    /// The sending end, for INVITEs to come.
    pub(super) mail: mpsc::Sender<Mail>,
    pub(super) mailbox: mpsc::Receiver<Mail>,
    pub(super) registered: Registered,
    pub(super) slot: S,
    pub(super) facts: CallFacts,
}

/// The task of one call.
pub(super) struct CallTask<B: Switchboard> {
    uas: Arc<Uas<B>>,
    dialog: Dialog,
    /// The sending end, for INVITEs to come.
    mail: mpsc::Sender<Mail>,
    mailbox: mpsc::Receiver<Mail>,
    session: Session,
    /// A REFER of ours that is under way.
    referral: Option<Referral>,
    /// Our call to the target of this one's attended transfer.
    consultation: Option<Consultation>,
    /// For a call that is such a leg itself.
    leg: Option<Leg>,
    /// For a call of ours, once it is answered.
    called: Option<Called>,
    /// Its place among the dialogs, until the end.
    registered: Registered,
}

impl<B: Switchboard> CallTask<B> {
    /// One that has nothing to do yet.
    fn new(
        uas: Arc<Uas<B>>,
        dialog: Dialog,
        registered: Registered,
        (mail, mailbox): (mpsc::Sender<Mail>, mpsc::Receiver<Mail>),
    ) -> Self {
        Self {
            session: Session::new(uas.media.clone()),
            uas,
            dialog,
            mail,
            mailbox,
            referral: None,
            consultation: None,
            leg: None,
            called: None,
            registered,
        }
    }

    /// Starts the call's task. A panic in it ends this call and no other.
    pub(super) fn start(uas: Arc<Uas<B>>, call: IncomingCall<B::Slot>) {
        let (call_id, peer) = (call.dialog.id.call_id.clone(), call.dialog.peer);
        let ack_limit = uas.ack_limit;
        let IncomingCall { dialog, invite, mail, mailbox, registered, slot, facts } = call;
        let fault = dialog.response(&invite.request, StatusCode::ServerInternalError);
        let invite = Arc::new(invite);
        let answered = invite.clone();
        let mut spare = dialog.clone();
        let task = Self::new(uas, dialog, registered, (mail, mailbox));
        tokio::spawn(async move {
            let run = tokio::spawn(task.run(invite, slot, facts));
            if run.await.is_err() {
                tracing::error!(call_id, %peer, "a bug ended this call");
                // The line was dropped with the task, which closed it: what is left is the peer.
                if answered.is_accepted() {
                    hang_up(&mut spare, ack_limit).await;
                } else {
                    answered.respond(fault);
                }
            }
        });
    }

    async fn run(mut self, invite: Arc<ServerInvite>, slot: B::Slot, facts: CallFacts) {
        let Some(mut line) = self.open(&invite, slot, facts).await else { return };
        let described = self.describe(&invite.request, &line).await;
        if self.is_gone_meanwhile(&invite) {
            return line.close(Reason::CallerCancelled);
        }
        match described {
            Ok(description) => {
                let awaiting = self.accept(&invite, description);
                self.talk(&mut line, Some(awaiting)).await;
            }
            Err(refused) => {
                line.close(Reason::SignallingFailed);
                self.refuse_invite(&invite, &refused);
            }
        }
    }

    /// Refuses an INVITE of this dialog.
    fn refuse_invite(&self, invite: &ServerInvite, refused: &Refused) {
        debug_assert!(refused.status.kind() != StatusCodeKind::Successful);
        self.uas.journal.refused(self.dialog.peer, refused.status.code(), &refused.why);
        let mut response = self.dialog.response(&invite.request, refused.status.clone());
        response.headers.extend(refused.headers.clone());
        invite.respond(response);
    }

    /// Where the peer shall send media for `line`.
    fn media_address(&self, line: &B::Line) -> SocketAddr {
        let bound = line.rtp();
        let advertised = self.uas.advertised.ip();
        let ip = if advertised.is_unspecified() { bound.ip() } else { advertised };
        SocketAddr::new(self.dialog.local_ip(ip), bound.port())
    }
}
