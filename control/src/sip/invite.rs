use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsipstack::sip::{HeadersExt, Method, Request, Response, SipMessage, StatusCodeKind};
use rsipstack::transaction::transaction::{Transaction, TransactionEvent, TransactionEventSender};
use tokio::sync::mpsc;

use super::mailbox::Mail;

/// An INVITE of a peer, being answered. Its transaction runs on a task of its own, because the
/// stack's transactions must not be dropped in the middle of a receive.
#[derive(Debug)]
pub(super) struct ServerInvite {
    /// What was asked.
    pub(super) request: Request,
    /// Its sequence number, which its mail carries.
    pub(super) cseq: u32,
    responses: TransactionEventSender,
    accepted: AtomicBool,
}

impl ServerInvite {
    /// Starts the transaction's task. CANCEL, ACK and the end of the transaction become mail.
    /// `limit` bounds the whole of it.
    pub(super) fn start(tx: Transaction, mail: mpsc::Sender<Mail>, limit: Duration) -> Self {
        let request = tx.original.clone();
        let cseq = cseq(&request);
        let responses = tx.tu_sender.clone();
        tokio::spawn(async move {
            // Out of time, the transaction is dropped, and the stack forgets it.
            let _ = tokio::time::timeout(limit, pump(tx, &mail, cseq)).await;
            let _ = mail.send(Mail::InviteOver { cseq }).await;
        });
        Self { request, cseq, responses, accepted: AtomicBool::new(false) }
    }

    /// Sends a response. Repeats are the transaction's business.
    pub(super) fn respond(&self, response: Response) {
        if response.status_code.kind() == StatusCodeKind::Successful {
            self.accepted.store(true, Ordering::Release);
        }
        let _ = self.responses.send(TransactionEvent::Respond(response));
    }

    /// Whether a 2xx was sent.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Acquire)
    }
}

async fn pump(mut tx: Transaction, mail: &mpsc::Sender<Mail>, cseq: u32) {
    while let Some(message) = tx.receive().await {
        let SipMessage::Request(request) = message else { continue };
        let event = match request.method {
            Method::Ack => Mail::Ack { cseq, request: Box::new(request) },
            Method::Cancel => Mail::Cancel,
            _ => continue,
        };
        if mail.send(event).await.is_err() {
            // The call is over; what is left is to repeat the last response until its ACK.
            continue;
        }
    }
}

/// The number in CSeq. The guard has seen to it that requests have one.
pub(super) fn cseq(message: &impl HeadersExt) -> u32 {
    message.cseq_header().and_then(|cseq| cseq.seq()).unwrap_or_default()
}
