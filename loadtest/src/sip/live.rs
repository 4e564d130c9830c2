//! Calls that were answered, by either side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver, TransactionHandle};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Header, Method, StatusCode};

use super::SipError;
use super::placing::refusal;

/// An answered call. Dropped, it is forgotten without a word to the other side.
pub struct LiveCall {
    dialogs: Arc<DialogLayer>,
    dialog: InviteDialog,
    states: DialogStateReceiver,
}

/// What the other side does.
#[derive(Debug)]
pub enum PeerEvent {
    /// It ended the call.
    HungUp,
    /// It wants to change it (re-INVITE or UPDATE).
    Offer(Offered),
}

/// An offer inside a call, which waits to be answered.
#[derive(Debug)]
pub struct Offered {
    /// Its SDP; empty when the other side wants ours first.
    pub body: Vec<u8>,
    handle: TransactionHandle,
}

impl LiveCall {
    pub(super) const fn new(
        dialogs: Arc<DialogLayer>,
        dialog: InviteDialog,
        states: DialogStateReceiver,
    ) -> Self {
        Self { dialogs, dialog, states }
    }

    /// Waits for what the other side does next; safe to be cancelled.
    pub async fn event(&mut self) -> PeerEvent {
        loop {
            match self.states.recv().await {
                Some(DialogState::Terminated(..)) | None => return PeerEvent::HungUp,
                Some(DialogState::Updated(_, request, handle)) => {
                    return PeerEvent::Offer(Offered { body: request.body, handle });
                }
                Some(
                    DialogState::Info(_, _, handle)
                    | DialogState::Options(_, _, handle)
                    | DialogState::Notify(_, _, handle)
                    | DialogState::Message(_, _, handle),
                ) => _ = handle.reply(StatusCode::OK).await,
                Some(DialogState::Refer(_, _, handle)) => {
                    _ = handle.reply(StatusCode::Decline).await;
                }
                Some(_) => {}
            }
        }
    }

    /// Offers something else (re-INVITE); the answer's SDP.
    pub async fn change(&self, offer: Vec<u8>) -> Result<Vec<u8>, SipError> {
        let headers = vec![Header::ContentType("application/sdp".into())];
        let response = self.dialog.reinvite(Some(headers), Some(offer)).await?;
        let response = response.ok_or(SipError::NoAnswer)?;
        match u16::from(response.status_code.clone()) {
            200..300 => Ok(response.body),
            408 => Err(SipError::NoAnswer),
            status => Err(refusal(status, &response)),
        }
    }

    /// Ends the call; how long the other side took to confirm it.
    pub async fn hang_up(self, limit: Duration) -> Result<Duration, SipError> {
        let asked = Instant::now();
        let bye = self.dialog.request(Method::Bye, None, None);
        match tokio::time::timeout(limit, bye).await {
            Ok(Ok(Some(response))) if u16::from(response.status_code.clone()) != 408 => {
                Ok(asked.elapsed())
            }
            Ok(Err(error)) => Err(error.into()),
            // Not confirmed: the other side ended it in this moment.
            Ok(Ok(None)) => Ok(asked.elapsed()),
            Ok(Ok(Some(_))) | Err(_) => Err(SipError::NoAnswer),
        }
    }
}

impl Offered {
    /// Takes it, with this SDP.
    pub async fn accept(self, answer: Vec<u8>) {
        let headers = vec![Header::ContentType("application/sdp".into())];
        _ = self.handle.respond(StatusCode::OK, Some(headers), Some(answer)).await;
    }

    /// Leaves the call as it is.
    pub async fn refuse(self) {
        _ = self.handle.reply(StatusCode::NotAcceptableHere).await;
    }
}

impl Drop for LiveCall {
    fn drop(&mut self) {
        self.dialogs.remove_dialog(&self.dialog.id());
    }
}

impl std::fmt::Debug for LiveCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveCall").field("id", &self.dialog.id()).finish_non_exhaustive()
    }
}
