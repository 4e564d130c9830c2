//! Calls that others place.

use std::sync::Arc;

use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{HasHeaders, Header, Param, StatusCode, Transport, Uri};
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::mpsc;

use super::LiveCall;
use super::placing::agent_of;

/// A call that waits to be answered. Dropped, it is refused with 480.
pub struct Incoming {
    dialogs: Arc<DialogLayer>,
    dialog: Option<InviteDialog>,
    states: Option<DialogStateReceiver>,
    offer: Vec<u8>,
    agent: Option<String>,
}

/// Makes a call of an INVITE and hands it on.
pub(super) async fn take(
    dialogs: &Arc<DialogLayer>,
    contact: &Uri,
    mut request: Transaction,
    calls: &mpsc::Sender<Incoming>,
) {
    let Ok(place) = calls.try_reserve() else {
        _ = request.reply(StatusCode::ServiceUnavailable).await;
        return;
    };
    let (states_in, states) = dialogs.new_dialog_state_channel();
    let reliable = request.connection.as_ref().map(|connection| connection.transport());
    let mut contact = contact.clone();
    if reliable == Some(Transport::Tcp) {
        contact.params.push(Param::Transport(Transport::Tcp));
    }
    let made = dialogs.get_or_create_server_invite(&request, states_in, None, Some(contact));
    let Ok(mut dialog) = made else {
        _ = request.reply(StatusCode::BadRequest).await;
        return;
    };
    place.send(Incoming {
        dialogs: dialogs.clone(),
        dialog: Some(dialog.clone()),
        states: Some(states),
        offer: request.original.body.clone(),
        agent: agent_of(request.original.headers().iter()),
    });
    // Drives the INVITE's transaction until it is acknowledged, cancelled or refused.
    tokio::spawn(async move { dialog.handle(&mut request).await });
}

impl Incoming {
    /// The caller's SDP; empty when it wants ours first.
    pub fn offer(&self) -> &[u8] {
        &self.offer
    }

    /// What the caller says it is (`User-Agent`).
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// Lets it ring (180).
    pub fn ring(&self) {
        if let Some(dialog) = &self.dialog {
            _ = dialog.ringing(None, None);
        }
    }

    /// Waits until the caller gives up; safe to be cancelled.
    pub async fn given_up(&mut self) {
        let Some(states) = &mut self.states else { return };
        while let Some(state) = states.recv().await {
            if matches!(state, DialogState::Terminated(..)) {
                return;
            }
        }
    }

    /// Answers it (200) with this SDP.
    pub fn accept(mut self, answer: Vec<u8>) -> Option<LiveCall> {
        let (dialog, states) = (self.dialog.take()?, self.states.take()?);
        let headers = vec![Header::ContentType("application/sdp".into())];
        let accepted = dialog.accept(Some(headers), Some(answer));
        let live = LiveCall::new(self.dialogs.clone(), dialog, states);
        accepted.is_ok().then_some(live)
    }

    /// Refuses it with this status.
    pub fn refuse(mut self, status: u16) {
        self.end(status);
    }

    fn end(&mut self, status: u16) {
        if let Some(dialog) = self.dialog.take() {
            _ = dialog.reject(Some(StatusCode::from(status)), None);
            self.dialogs.remove_dialog(&dialog.id());
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.end(480);
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.dialog.as_ref().map(InviteDialog::id);
        f.debug_struct("Incoming").field("id", &id).finish_non_exhaustive()
    }
}
