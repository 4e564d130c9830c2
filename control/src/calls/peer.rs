//! Calls whose media are sealed: what goes between their peer on the shard and whoever signals for it.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use vox_call::{CallId, Digits, Negotiation, Offer, Peer, PeerEvent};
use vox_engine::{Engine, Refused};

use super::{Calls, LiveCall};

/// What whoever signals for a call's peer has to know, or to do.
#[derive(Debug)]
pub enum PeerNews {
    /// Something happened to it.
    Event(PeerEvent),
    /// An offer that was asked for.
    Offered(Option<Offer>),
    /// Keys are to be pressed: there are no telephone-events in sealed media.
    Press(Digits),
}

/// The hold of a call's peer that whoever signals for it has.
#[derive(Debug)]
pub struct PeerLine {
    engine: Engine,
    call: CallId,
    rtp: SocketAddr,
    /// A reader that is slow loses news.
    news: mpsc::Receiver<PeerNews>,
}

impl LiveCall {
    /// Seals the call's media from the next [`join`](PeerLine::join) on.
    pub fn seal(&self) -> PeerLine {
        let (tell, news) = mpsc::channel(NEWS);
        self.calls.0.table.with(self.call, |entry| entry.peer = Some(tell));
        PeerLine { engine: self.calls.engine().clone(), call: self.call, rtp: self.rtp, news }
    }
}

impl PeerLine {
    /// The call's media go through `peer` from now on.
    pub fn join(&self, peer: Peer) -> Result<(), Refused> {
        self.engine.join(self.call, peer)
    }

    /// A step of the peer's signalling.
    pub fn negotiate(&self, step: Negotiation) -> Result<(), Refused> {
        self.engine.negotiate(self.call, step)
    }

    /// What happens to it next; never, once the call is over.
    pub async fn news(&mut self) -> PeerNews {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// The call.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// Where the call's socket is.
    pub fn rtp(&self) -> SocketAddr {
        self.rtp
    }
}

impl Calls {
    /// Hands news of a call's peer on.
    pub(super) fn peer_news(&self, call: CallId, news: PeerNews) {
        self.0.table.with(call, |entry| {
            // Who has left the room wants no news.
            if let Some(tell) = &entry.peer
                && let Err(TrySendError::Full(_)) = tell.try_send(news)
            {
                tracing::warn!(call_id = call.0, "news of a peer is lost: its reader is slow");
            }
        });
    }

    /// Presses keys on the caller's side, however that hears them.
    pub(super) fn press(&self, call: CallId, digits: Digits) -> Result<(), Refused> {
        let sealed = self.0.table.with(call, |entry| entry.peer.is_some());
        if sealed == Some(true) {
            self.peer_news(call, PeerNews::Press(digits));
            return Ok(());
        }
        self.engine().digits(call, digits)
    }
}

/// News that wait at most: a burst of digits, and what else happens.
const NEWS: usize = 128;
