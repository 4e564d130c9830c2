use rsipstack::sip::{Method, Request, StatusCode};
use rsipstack::transaction::transaction::Transaction;
use tokio::time::Instant;
use vox_call::Reason;

use super::CallTask;
use super::talking::Awaiting;
use crate::calls::{AnswerError, CallFacts, OpenError};
use crate::sip::Provisional;
use crate::sip::border::{Line, Switchboard};
use crate::sip::invite::ServerInvite;
use crate::sip::mailbox::Mail;
use crate::sip::reply::Refused;
use crate::sip::uas::{capabilities, offer};

impl<B: Switchboard> CallTask<B> {
    /// Opens the call. `None` when it came to nothing, and the caller was told.
    pub(super) async fn open(
        &mut self,
        invite: &ServerInvite,
        slot: B::Slot,
        facts: CallFacts,
    ) -> Option<B::Line> {
        let uas = self.uas.clone();
        let mut opening = std::pin::pin!(uas.board.open(slot, facts));
        let ring = tokio::time::sleep(uas.ring_after);
        let mut ring = std::pin::pin!(ring);
        let (mut ringing, mut gone) = (false, false);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                () = &mut ring, if !ringing && !gone => {
                    ringing = true;
                    let status = match uas.provisional {
                        Provisional::Ringing => StatusCode::Ringing,
                        Provisional::SessionProgress => StatusCode::SessionProgress,
                    };
                    invite.respond(self.dialog.response(&invite.request, status));
                }
                mail = self.mailbox.recv() => gone |= self.mail_while_opening(invite, gone, mail),
            }
        };
        match opened {
            // What was asked for is undone where it was done: the bot's session may exist already.
            Ok(line) if gone => line.close(Reason::CallerCancelled),
            Ok(line) => return Some(line),
            Err(_) if gone => {}
            Err(error) => self.refuse_invite(invite, &refusal(&error)),
        }
        None
    }

    /// Whether the caller gave up while the answer was being made.
    pub(super) fn is_gone_meanwhile(&mut self, invite: &ServerInvite) -> bool {
        let mut gone = false;
        while let Ok(mail) = self.mailbox.try_recv() {
            gone |= self.mail_while_opening(invite, gone, Some(mail));
        }
        gone
    }

    /// Whether the caller is gone after this.
    fn mail_while_opening(&self, invite: &ServerInvite, gone: bool, mail: Option<Mail>) -> bool {
        match mail {
            Some(Mail::Cancel) if !gone => {
                self.terminate(invite);
                true
            }
            Some(Mail::Request(tx)) => self.request_while_opening(invite, gone, *tx),
            Some(Mail::InviteOver { .. }) => true,
            _ => false,
        }
    }

    fn request_while_opening(&self, invite: &ServerInvite, gone: bool, tx: Transaction) -> bool {
        match tx.original.method {
            // RFC 3261 §15: a caller may also hang up an early dialog.
            Method::Bye => {
                self.uas.answer(tx, StatusCode::OK, Vec::new());
                if !gone {
                    self.terminate(invite);
                }
                true
            }
            Method::Options => {
                self.uas.answer(tx, StatusCode::OK, capabilities());
                false
            }
            _ => {
                self.uas.refuse(tx, Refused::out_of_order("the call is not answered yet"));
                false
            }
        }
    }

    fn terminate(&self, invite: &ServerInvite) {
        let response = self.dialog.response(&invite.request, StatusCode::RequestTerminated);
        invite.respond(response);
    }

    /// Our side of the session that an INVITE asks for: an answer to its offer, put into effect, or
    /// an offer of ours when it has none.
    pub(super) async fn describe(
        &mut self,
        invite: &Request,
        line: &B::Line,
    ) -> Result<Description, Refused> {
        let rtp = self.media_address(line);
        let Some(offer) = offer(invite)? else {
            return Ok(Description { sdp: self.session.offer(rtp), our_offer: true });
        };
        let (agreement, sdp) = self.session.answer(offer, rtp)?;
        line.answer(agreement.into_session()).await.map_err(unanswerable)?;
        Ok(Description { sdp, our_offer: false })
    }

    /// Answers an INVITE with 200; its ACK is waited for from now on.
    pub(super) fn accept(&self, invite: &ServerInvite, description: Description) -> Awaiting {
        invite.respond(self.dialog.response_with_sdp(&invite.request, &description.sdp));
        let until = Instant::now() + self.uas.ack_limit;
        Awaiting { cseq: invite.cseq, our_offer: description.our_offer, until }
    }
}

/// What goes into a 200.
pub(super) struct Description {
    sdp: String,
    our_offer: bool,
}

/// What a caller is told about a call that did not open.
fn refusal(error: &OpenError) -> Refused {
    let why = error.to_string();
    match error {
        OpenError::NoSuchBot(_) => Refused::new(404, why),
        OpenError::Forbidden => Refused::new(403, why),
        OpenError::OutsideHours(_) => Refused::new(480, why),
        OpenError::Unavailable(_) | OpenError::NoPorts | OpenError::Refused(_) => {
            Refused::new(503, why).retry_after(UNAVAILABLE_SECONDS)
        }
        OpenError::BadBot(_) => Refused::new(500, why),
    }
}

pub(super) fn unanswerable(error: AnswerError) -> Refused {
    match &error {
        AnswerError::Agent(_) => Refused::new(500, error.to_string()),
        AnswerError::Refused(_) => {
            Refused::new(503, error.to_string()).retry_after(UNAVAILABLE_SECONDS)
        }
    }
}

/// What a caller is told to wait when something we need does not answer.
const UNAVAILABLE_SECONDS: u32 = 5;
