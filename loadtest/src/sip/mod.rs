//! SIP for callers and callees: one call for a [`crate::Phone`], thousands for a load.
//!
//! A [`UserAgent`] is a UDP socket and the TCP connections beside it, with `rsipstack`'s
//! transactions and dialogs on it. [`UserAgent::place`] calls; a [`Listener`]'s
//! [`Incoming`] calls are those that others place. Either becomes a [`LiveCall`].
//!
//! Nothing here decides when or why: that is the scenario's. Nothing here touches audio.

mod address;
mod agent;
mod answering;
mod live;
mod placing;
mod session;
#[cfg(test)]
mod tests;

use std::io;

use serde::{Deserialize, Serialize};

pub use address::{host_of, resolve, source_address};
pub use agent::{Listener, UserAgent};
pub use answering::Incoming;
pub use live::{LiveCall, Offered, PeerEvent};
pub use placing::{Answer, Invite, Outgoing};
pub use session::Session;

/// How SIP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
}

/// Why a call could not be placed, changed or ended.
#[derive(Debug, thiserror::Error)]
pub enum SipError {
    /// The address cannot be called.
    #[error("{0:?} cannot be called: expected sip:user@host[:port]")]
    BadUri(String),
    /// It names a host that cannot be found.
    #[error("looking up {0}: {1}")]
    Lookup(String, io::Error),
    /// A socket failed.
    #[error("{0}: {1}")]
    Socket(&'static str, io::Error),
    /// The SIP stack failed.
    #[error("SIP: {0}")]
    Stack(Box<rsipstack::Error>),
    /// The other side refused.
    #[error("refused with {status} {reason}{}", after.map(|s| format!(", retry after {s} s")).unwrap_or_default())]
    Refused {
        /// SIP status code.
        status: u16,
        /// Its phrase.
        reason: String,
        /// `Retry-After`, when sent.
        after: Option<u32>,
    },
    /// No final answer came.
    #[error("no answer: is a SIP server listening there?")]
    NoAnswer,
}

impl From<rsipstack::Error> for SipError {
    fn from(error: rsipstack::Error) -> Self {
        Self::Stack(Box::new(error))
    }
}
