//! Calls that we place.

use std::sync::Arc;

use rsipstack::dialog::dialog::DialogStateReceiver;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invitation::{InviteAsyncResult, InviteOption};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Auth, Header, Response, Uri};
use tokio::task::JoinHandle;

use super::{LiveCall, SipError, Transport, UserAgent};

/// What an INVITE says.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Whom to call, as `sip:user@host[:port]`.
    pub uri: String,
    /// User part of our own address: the caller's number.
    pub caller: String,
    /// The Call-ID.
    pub call_id: String,
    /// The SDP offer.
    pub offer: Vec<u8>,
}

/// A call that has no final answer yet.
pub struct Outgoing {
    dialogs: Arc<DialogLayer>,
    dialog: InviteDialog,
    answer: JoinHandle<InviteAsyncResult>,
    states: DialogStateReceiver,
}

/// A 200 to an INVITE.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its SDP.
    pub body: Vec<u8>,
    /// What the other side says it is (`Server` or `User-Agent`).
    pub agent: Option<String>,
}

impl UserAgent {
    /// Sends an INVITE. To be called within a tokio runtime.
    pub fn place(&self, invite: Invite) -> Result<Outgoing, SipError> {
        let bad_uri = || SipError::BadUri(invite.uri.clone());
        let transport = if self.transport == Transport::Tcp { ";transport=tcp" } else { "" };
        let callee = format!("{}{transport}", invite.uri);
        let callee = Uri::try_from(callee.as_str()).map_err(|_| bad_uri())?;
        let mut contact = self.contact.clone();
        contact.auth = Some(Auth { user: invite.caller, password: None });
        let option = InviteOption {
            caller: contact.clone(),
            callee,
            contact,
            content_type: Some("application/sdp".into()),
            offer: Some(invite.offer),
            call_id: Some(invite.call_id),
            ..InviteOption::default()
        };
        let (states_in, states) = self.dialogs.new_dialog_state_channel();
        let (dialog, answer) = self.dialogs.do_invite_async(option, states_in)?;
        Ok(Outgoing { dialogs: self.dialogs.clone(), dialog, answer, states })
    }
}

impl Outgoing {
    /// Waits for the final answer; safe to be cancelled, not to be asked again after it.
    pub async fn answered(&mut self) -> Result<Answer, SipError> {
        let (_, response) = (&mut self.answer).await.map_err(|_| SipError::NoAnswer)??;
        let response = response.ok_or(SipError::NoAnswer)?;
        let status = u16::from(response.status_code.clone());
        match status {
            200..300 => {
                Ok(Answer { agent: agent_of(response.headers.iter()), body: response.body })
            }
            // The stack's own word for a server that says nothing for 64 * T1.
            408 => Err(SipError::NoAnswer),
            _ => Err(refusal(status, &response)),
        }
    }

    /// Gives up: CANCEL as soon as it may be sent. The final answer still comes; a call that is
    /// answered all the same is hung up by the stack.
    pub async fn cancel(&self) {
        _ = self.dialog.hangup().await;
    }

    /// The call, once [`Outgoing::answered`].
    pub fn live(self) -> LiveCall {
        LiveCall::new(self.dialogs, self.dialog, self.states)
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("id", &self.dialog.id()).finish_non_exhaustive()
    }
}

/// What the sender of these header fields says it is.
pub(super) fn agent_of<'a>(mut headers: impl Iterator<Item = &'a Header>) -> Option<String> {
    headers.find_map(|header| match header {
        Header::Server(server) => Some(value_of(&server.to_string())),
        Header::UserAgent(agent) => Some(value_of(&agent.to_string())),
        _ => None,
    })
}

/// The value of a header field, without its name when it is written with it.
fn value_of(field: &str) -> String {
    let value = match field.split_once(": ") {
        Some(("Server" | "User-Agent", value)) => value,
        _ => field,
    };
    value.trim().to_owned()
}

pub(super) fn refusal(status: u16, response: &Response) -> SipError {
    let after = response.headers.iter().find_map(|header| match header {
        Header::RetryAfter(value) => value.to_string().rsplit(' ').next()?.parse().ok(),
        _ => None,
    });
    let reason = response.status_code.to_string();
    let reason = reason.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned();
    SipError::Refused { status, reason, after }
}
