//! Coming back into a room whose connection is lost.
//!
//! ```text
//!  connection lost ──► resume ──► same participant, media never stopped
//!                        │ refused: the server knows us no more
//!                        ▼
//!  media lost ────────► anew ───► new connection for media, same identity
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use livekit_protocol::{JoinResponse, leave_request::Action};
use tokio::time::{Instant, sleep};
use vox_call::Peer;
use vox_webrtc::Offer;

use super::{LINES, TRACK};
use crate::livekit::Livekit;
use crate::livekit::signal::{Signal, SignalError};
use crate::livekit::token::Ticket;

/// What is needed to come into a room, or back.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub livekit: Livekit,
    pub ticket: Ticket,
    /// The call's socket.
    pub local: SocketAddr,
}

/// A connection, and what has to be done with it.
#[derive(Debug)]
pub(in crate::livekit) enum Back {
    /// The server has kept our place.
    Resumed(Box<Signal>),
    /// We are in the room as somebody new.
    Anew(Box<Entry>),
}

/// What a join gives.
#[derive(Debug)]
pub(in crate::livekit) struct Entry {
    pub signal: Signal,
    pub joined: Box<JoinResponse>,
    /// It waits for the server's answer.
    pub peer: Peer,
    pub offer: Offer,
}

impl Way {
    /// Joins the room.
    pub(super) async fn enter(&self) -> Result<Entry, SignalError> {
        let (peer, offer) = self.prepare().await?;
        let (signal, joined) = Signal::join(&self.ticket, TRACK, &offer).await?;
        Ok(Entry { signal, joined, peer, offer })
    }

    /// Comes back until `limit`, after `tries` tries; as the participant `sid`, while the server knows
    /// that. An error is final.
    pub(super) async fn back(
        self,
        mut sid: Option<String>,
        mut tries: u32,
        limit: Instant,
    ) -> Result<Back, SignalError> {
        loop {
            sleep(pause(tries)).await;
            let tried = match &sid {
                Some(sid) => Signal::resume(&self.ticket, sid)
                    .await
                    .map(|signal| Back::Resumed(Box::new(signal))),
                None => self.enter().await.map(|entry| Back::Anew(Box::new(entry))),
            };
            let error = match tried {
                Ok(back) => return Ok(back),
                Err(error) => error,
            };
            tracing::debug!(tries, resumes = sid.is_some(), "not back in the room: {error}");
            tries += 1;
            match (&sid, &error) {
                // It does not know us: a server that started again, or one that has given us up.
                (Some(_), SignalError::Refused { status: 400..=499, .. }) => sid = None,
                (Some(_), SignalError::Dismissed(why)) if why.action != Action::Disconnect => {
                    sid = None;
                }
                (None, SignalError::Refused { status: 400..=499, .. })
                | (_, SignalError::Dismissed(_)) => return Err(error),
                _ if Instant::now() + pause(tries) > limit => return Err(error),
                _ => {}
            }
        }
    }

    /// Peer and offer are made off the runtime's threads: it takes about a millisecond.
    async fn prepare(&self) -> Result<(Peer, Offer), SignalError> {
        let (identity, local) = (self.livekit.0.identity.clone(), self.local);
        let made = tokio::task::spawn_blocking(move || Peer::offer(&identity, local, TRACK, LINES));
        let wrong = |why: String| SignalError::Unreadable(why);
        match made.await {
            Ok(made) => made.map_err(|error| wrong(error.to_string())),
            Err(died) => Err(wrong(died.to_string())),
        }
    }
}

/// Before a try: at once, then longer each time.
fn pause(tries: u32) -> Duration {
    (PAUSE * tries * tries).min(PAUSE_MAX)
}

const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);
