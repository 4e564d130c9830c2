use std::future::pending;
use std::time::Duration;

use rsipstack::sip::{Method, Request, Response, SipMessage, StatusCode, StatusCodeKind};
use rsipstack::transaction::transaction::Transaction;
use tokio::time::{Instant, sleep_until, timeout};
use vox_call::Reason;

use super::consultation::{Consultation, Leg, Report};
use super::opening::unanswerable;
use super::referral::{self, Outcome, Referral};
use super::{CallTask, info};
use crate::calls::{Destination, Order, TransferMode};
use crate::sip::border::{Line, Switchboard};
use crate::sip::dialog::Dialog;
use crate::sip::invite::{ServerInvite, cseq};
use crate::sip::mailbox::Mail;
use crate::sip::reply::Refused;
use crate::sip::uas::{capabilities, is_old, offer};

/// A 2xx of ours whose ACK has not come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaiting {
    /// Of the INVITE it answers.
    pub(super) cseq: u32,
    /// It carried an offer: the ACK has to carry the answer.
    pub(super) our_offer: bool,
    /// When we give up.
    pub(super) until: Instant,
}

/// How a dialog ends.
enum Ending {
    /// The peer said BYE.
    Theirs,
    /// We say BYE; the line is to be closed for this reason first.
    Ours(Reason),
}

impl<B: Switchboard> CallTask<B> {
    /// The call is answered: everything until the dialog is over. An answer of ours may still wait
    /// for its ACK.
    pub(super) async fn talk(&mut self, line: &mut B::Line, mut awaiting: Option<Awaiting>) {
        let (mut ended, mut wanted) = (None, None);
        let ending = loop {
            // RFC 3261 §15: no BYE of ours before the ACK, or before it can come no more.
            if let (Some(reason), None) = (ended, awaiting) {
                break Ending::Ours(reason);
            }
            if awaiting.is_none()
                && let Some(refer_to) = wanted.take()
            {
                self.refer(line, refer_to).await;
            }
            let referred = self.referral.as_ref().map(|referral| referral.until);
            let no_report = async {
                match referred {
                    Some(until) => sleep_until(until).await,
                    None => pending().await,
                }
            };
            let no_ack = async {
                match awaiting {
                    Some(awaiting) => sleep_until(awaiting.until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                order = line.next_order(), if ended.is_none() => match order {
                    Order::Ended(reason) => ended = Some(reason),
                    Order::Transfer { to, mode } => wanted = self.transfer(line, to, mode),
                },
                reason = Leg::end(&mut self.leg), if ended.is_none() => ended = Some(reason),
                report = Consultation::report(&mut self.consultation) => {
                    wanted = self.consulted(line, report);
                }
                () = no_report => {
                    let outcome = self.referral.as_ref().map(Referral::timed_out);
                    self.follow(line, outcome);
                }
                () = no_ack => break Ending::Ours(Reason::NoAck),
                mail = self.mailbox.recv() => match mail {
                    Some(mail) => match self.mail(line, &mut awaiting, mail).await {
                        Some(ending) => break ending,
                        None => continue,
                    },
                    None => break Ending::Ours(Reason::Fault),
                },
            }
        };
        // Nobody is left to be handed over.
        self.consultation.take().into_iter().for_each(|it| it.dismiss(false));
        match ending {
            Ending::Theirs => {
                line.close(self.leg.as_ref().map_or(Reason::CallerHungUp, Leg::left));
            }
            Ending::Ours(reason) => {
                line.close(reason);
                self.hang_up().await;
            }
        }
    }

    /// Begins a transfer. Gives the Refer-To of a blind one.
    fn transfer(&mut self, line: &B::Line, to: Destination, mode: TransferMode) -> Option<String> {
        match mode {
            TransferMode::Blind => return Some(self.dialog.refer_to(&to)),
            TransferMode::Attended => {
                if let Err(why) = self.consult(line, to) {
                    line.transferred(ATTENDED, Err(why));
                }
            }
        }
        None
    }

    /// News of the call to an attended transfer's target. Gives the Refer-To once it is there.
    fn consulted(&mut self, line: &B::Line, report: Report) -> Option<String> {
        match report {
            Report::Answered(refer_to) => return Some(refer_to),
            Report::Over(why) if self.referral.is_none() => self.transferred(line, Err(why)),
            // Taken over, perhaps: the caller's peer will say.
            Report::Over(_) => {}
        }
        None
    }

    /// What became of a transfer. Our own call to its target is over then, too.
    fn transferred(&mut self, line: &B::Line, outcome: Outcome) {
        let method = match self.consultation.take() {
            Some(consultation) => {
                consultation.dismiss(outcome.is_ok());
                ATTENDED
            }
            None => REFER,
        };
        line.transferred(method, outcome);
    }

    async fn mail(
        &mut self,
        line: &B::Line,
        awaiting: &mut Option<Awaiting>,
        mail: Mail,
    ) -> Option<Ending> {
        match mail {
            Mail::Request(tx) => self.request(line, awaiting, *tx).await,
            Mail::Ack { cseq, request } => match awaiting.take_if(|open| open.cseq == cseq) {
                Some(open) if open.our_offer => self.answered(line, &request).await,
                _ => None,
            },
            Mail::Answer(Some(response)) => {
                self.answered_again(&response).await;
                None
            }
            Mail::Answer(None) => None,
            // Too late: the INVITE has its answer (RFC 3261 §9.2).
            Mail::Cancel => None,
            Mail::Referred { cseq, response } => {
                self.referred(line, cseq, response.as_deref());
                None
            }
            Mail::InviteOver { cseq } => {
                let open = awaiting.take_if(|open| open.cseq == cseq);
                open.map(|_| Ending::Ours(Reason::NoAck))
            }
        }
    }

    /// Takes the answer to an offer of ours; `missing` says that there is none.
    pub(super) async fn take_answer(
        &self,
        line: &B::Line,
        answer: Result<Option<&[u8]>, Refused>,
        missing: &str,
    ) -> Result<(), Refused> {
        let answer = answer?.ok_or_else(|| Refused::new(400, missing))?;
        let agreement = self.session.accept(answer, self.media_address(line))?;
        line.answer(agreement.into_session()).await.map_err(unanswerable)
    }

    /// The ACK of an offer of ours has to bring the answer.
    async fn answered(&mut self, line: &B::Line, ack: &Request) -> Option<Ending> {
        match self.take_answer(line, offer(ack), "no answer in ACK").await {
            Ok(()) => None,
            Err(refused) => {
                self.uas.journal.refused(self.dialog.peer, 400, &refused.why);
                Some(Ending::Ours(Reason::SignallingFailed))
            }
        }
    }

    async fn request(
        &mut self,
        line: &B::Line,
        awaiting: &mut Option<Awaiting>,
        tx: Transaction,
    ) -> Option<Ending> {
        if is_old(&tx.original, self.dialog.remote_cseq) {
            self.uas.refuse(tx, Refused::out_of_order("CSeq went back"));
            return None;
        }
        self.dialog.remote_cseq = cseq(&tx.original);
        match tx.original.method {
            Method::Bye => {
                self.uas.answer(tx, StatusCode::OK, Vec::new());
                self.left(line).await;
                return Some(Ending::Theirs);
            }
            Method::Invite => self.reinvite(line, awaiting, tx).await,
            Method::Update => self.update(line, awaiting, tx).await,
            Method::Info => match info::digit(&tx.original) {
                Ok(pressed) => {
                    if let Some((digit, duration)) = pressed {
                        line.digit_from_signalling(digit, duration);
                    }
                    self.uas.answer(tx, StatusCode::OK, Vec::new());
                }
                Err(refused) => self.uas.refuse(tx, refused),
            },
            Method::Notify => self.notify(line, tx).await,
            Method::Options => self.uas.answer(tx, StatusCode::OK, capabilities()),
            method => self.uas.refuse(tx, Refused::method_not_allowed(method)),
        }
        None
    }

    /// Asks the peer to send the caller somewhere else.
    async fn refer(&mut self, line: &B::Line, refer_to: String) {
        match self.dialog.refer(refer_to).await {
            Ok((tx, cseq)) => {
                let limit = self.uas.ack_limit;
                self.referral = Some(Referral::sent(cseq, limit));
                referral::send(tx, cseq, self.mail.clone(), limit);
            }
            Err(error) => {
                self.transferred(line, Err(format!("REFER could not be sent: {error}")));
            }
        }
    }

    fn referred(&mut self, line: &B::Line, cseq: u32, response: Option<&Response>) {
        let Some(referral) = self.referral.as_mut().filter(|it| it.cseq == cseq) else { return };
        let outcome = referral.answered(response);
        self.follow(line, outcome);
    }

    /// What the last word about a REFER leads to.
    fn follow(&mut self, line: &B::Line, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.referral = None;
            self.transferred(line, outcome);
        } else if let (Some(referral), Some(consultation)) = (&self.referral, &self.consultation)
            && referral.accepted
        {
            consultation.hand_over();
        }
    }

    /// What the peer reports about a REFER of ours.
    async fn notify(&mut self, line: &B::Line, mut tx: Transaction) {
        let Some(referral) = &mut self.referral else {
            return self.uas.refuse(tx, Refused::new(481, "no subscription"));
        };
        match referral::read(&tx.original, referral.cseq) {
            Ok(report) => {
                // Before the BYE that may follow.
                let answered = tx.reply_with(StatusCode::OK, Vec::new(), None);
                let _ = timeout(BEHIND, answered).await;
                let outcome = referral.reported(report);
                self.follow(line, outcome);
            }
            Err(refused) => self.uas.refuse(tx, refused),
        }
    }

    /// The peer hung up; with the caller elsewhere, perhaps. The answer to a REFER that came just
    /// before its BYE can be a moment behind, for it comes another way.
    async fn left(&mut self, line: &B::Line) {
        let until = Instant::now() + BEHIND;
        while self.referral.as_ref().is_some_and(|referral| !referral.accepted) {
            match timeout(until - Instant::now(), self.mailbox.recv()).await {
                Ok(Some(Mail::Referred { cseq, response })) => {
                    self.referred(line, cseq, response.as_deref());
                }
                Ok(Some(Mail::Request(tx))) => {
                    self.uas.refuse(*tx, Refused::new(481, "the call is over"));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if let Some(referral) = self.referral.take() {
            self.transferred(line, referral.left());
        }
    }

    /// Hold, resume, another codec or address (RFC 3261 §14.2).
    async fn reinvite(&mut self, line: &B::Line, awaiting: &mut Option<Awaiting>, tx: Transaction) {
        if awaiting.is_some_and(|open| open.our_offer) {
            return self.uas.refuse(tx, Refused::new(491, "our offer is not answered yet"));
        }
        let limit = self.uas.ack_limit * 2;
        let invite = ServerInvite::start(tx, self.mail.clone(), limit);
        match self.describe(&invite.request, line).await {
            Ok(description) => {
                self.dialog.refresh_target(&invite.request);
                *awaiting = Some(self.accept(&invite, description));
            }
            // The session stays as it was.
            Err(refused) => self.refuse_invite(&invite, &refused),
        }
    }

    /// The same without a transaction of three (RFC 3311).
    async fn update(
        &mut self,
        line: &B::Line,
        awaiting: &mut Option<Awaiting>,
        mut tx: Transaction,
    ) {
        let rtp = self.media_address(line);
        let described = match offer(&tx.original) {
            Ok(Some(_)) if awaiting.is_some_and(|open| open.our_offer) => {
                Err(Refused::new(491, "our offer is not answered yet"))
            }
            Ok(Some(offer)) => self.session.answer(offer, rtp).map(Some),
            Ok(None) => Ok(None),
            Err(refused) => Err(refused),
        };
        let response = match described {
            Ok(Some((agreement, text))) => match line.answer(agreement.into_session()).await {
                Ok(()) => Ok(self.dialog.response_with_sdp(&tx.original, &text)),
                Err(error) => Err(unanswerable(error)),
            },
            Ok(None) => Ok(self.dialog.response(&tx.original, StatusCode::OK)),
            Err(refused) => Err(refused),
        };
        match response {
            Ok(response) => {
                self.dialog.refresh_target(&tx.original);
                tokio::spawn(timeout(self.uas.ack_limit, async move {
                    let _ = tx.respond(response).await;
                }));
            }
            Err(refused) => self.uas.refuse(tx, refused),
        }
    }

    /// Sends BYE and stays to answer the peer until it is acknowledged.
    pub(super) async fn hang_up(&mut self) {
        let sent = hang_up(&mut self.dialog, self.uas.ack_limit);
        let mut sent = std::pin::pin!(sent);
        loop {
            let mail = tokio::select! {
                () = &mut sent => return,
                mail = self.mailbox.recv() => mail,
            };
            let Some(Mail::Request(tx)) = mail else { continue };
            match tx.original.method {
                // Both hung up at once.
                Method::Bye => self.uas.answer(*tx, StatusCode::OK, Vec::new()),
                _ => self.uas.refuse(*tx, Refused::new(481, "the call is over")),
            }
        }
    }
}

/// Sends BYE and waits for its answer, but not for ever. When its connection breaks meanwhile, it
/// is sent once more over another one.
pub(super) async fn hang_up(dialog: &mut Dialog, limit: Duration) {
    for _ in 0..2 {
        let bye = match dialog.bye().await {
            Ok(bye) => bye,
            Err(error) => {
                return tracing::info!(peer = %dialog.peer, %error, "BYE could not be sent");
            }
        };
        let broken = bye.connection.as_ref().and_then(|connection| connection.cancel_token());
        let broken = async {
            match broken {
                Some(broken) => broken.cancelled().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = timeout(limit, until_answered(bye)) => return,
            () = broken => {}
        }
    }
}

/// Sends a request and waits for its final answer.
pub(super) async fn until_answered(mut tx: Transaction) {
    if tx.send().await.is_err() {
        return;
    }
    while let Some(message) = tx.receive().await {
        let SipMessage::Response(response) = message else { continue };
        if response.status_code.kind() != StatusCodeKind::Provisional {
            return;
        }
    }
}

/// How transfers are done here, in results.
const REFER: &str = "sip_refer";
const ATTENDED: &str = "sip_refer_attended";
/// How far the answer to a REFER may be behind the BYE that came after it.
const BEHIND: Duration = Duration::from_millis(500);
