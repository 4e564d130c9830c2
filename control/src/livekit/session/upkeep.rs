//! Being in the room, and coming back into it.

use std::time::Duration;

use livekit_protocol::{Ping, SyncState, signal_request};
use tokio::time::Instant;

use super::heard::{MEDIA_PATIENCE, subscription};
use super::way::{Back, Entry};
use super::{Link, RECOVERY_LIMIT, Seen, Session, Us, pings};
use crate::livekit::signal::{Signal, SignalError, description};

impl Session {
    /// We are in the room, as somebody new.
    pub(super) async fn entered(&mut self, entry: Box<Entry>) -> Result<Option<Seen>, SignalError> {
        let Entry { signal, joined, peer, offer } = *entry;
        self.link = Link::Up(Box::new(signal));
        self.heard = Instant::now();
        self.media.joining = Some(peer);
        self.patience = Some(self.heard + MEDIA_PATIENCE);
        self.ping = pings(seconds(joined.ping_interval));
        self.ping_limit = seconds(joined.ping_timeout);
        self.us = Us {
            info: joined.participant.unwrap_or_default(),
            offer: Some(description(offer.sdp, 1)),
            offers: 1,
            ..Us::default()
        };
        self.caller.forget_track();
        self.people(joined.other_participants).await
    }

    /// The server has kept our place; it may have missed something.
    async fn resumed(&mut self, signal: Box<Signal>) -> Result<Option<Seen>, SignalError> {
        self.link = Link::Up(signal);
        self.heard = Instant::now();
        self.caller.unconfirm();
        let state = SyncState {
            offer: self.us.offer.clone(),
            answer: self.us.answer.clone(),
            subscription: self.caller.track_sid().map(subscription),
            publish_tracks: self.us.track.clone().into_iter().collect(),
            ..SyncState::default()
        };
        self.send(signal_request::Message::SyncState(state)).await?;
        if !self.media.connected || self.us.answer.is_none() {
            self.offer(0, !self.media.connected)?;
        }
        Ok(None)
    }

    pub(super) async fn back(&mut self, back: Back) -> Result<Option<Seen>, SignalError> {
        match back {
            Back::Resumed(signal) => self.resumed(signal).await,
            Back::Anew(entry) => self.entered(entry).await,
        }
    }

    /// Media do not arrive. The path is looked for anew; after `patience` it is given up.
    pub(super) fn interrupted(&mut self, patience: Duration) -> Option<Seen> {
        if !std::mem::replace(&mut self.media.connected, false) {
            return None;
        }
        self.wait_for(RECOVERY_LIMIT);
        self.patience = Some(Instant::now() + patience);
        let first = self.lost.is_none();
        self.lost.get_or_insert_with(|| "no media from the server".into());
        if matches!(self.link, Link::Up(_)) {
            // An engine that refuses has ended the call already.
            let _ = self.offer(0, true);
        }
        first.then(|| Seen::Lost("no media from the server".into()))
    }

    pub(super) fn alarm(&mut self) -> Option<Seen> {
        let now = Instant::now();
        if self.silence.take_if(|at| *at <= now).is_some() {
            self.wanted = true;
        }
        if self.deadline.is_some_and(|at| at <= now) {
            if self.is_up() && self.caller.is_missing() {
                return Some(Seen::CallerLeft);
            }
            let why = self.lost.take().unwrap_or_else(|| "no media from the server".into());
            return Some(Seen::Gone(why));
        }
        if self.patience.take_if(|at| *at <= now).is_some() && matches!(self.link, Link::Up(_)) {
            let limit = SignalError::Late(MEDIA_PATIENCE);
            return self.lose(limit, Keep::Nothing);
        }
        None
    }

    /// The connection is lost, and to be made again.
    pub(super) fn lose(&mut self, why: SignalError, keep: Keep) -> Option<Seen> {
        let now = Instant::now();
        if now - self.since > HELD {
            self.tries = 0;
        }
        let sid = match keep {
            // A peer that is not joined yet cannot go on.
            Keep::Media if self.media.joining.is_none() => Some(self.us.info.sid.clone()),
            _ => None,
        };
        if sid.is_none() {
            (self.media.joining, self.media.connected, self.media.stale) = (None, false, true);
        }
        self.wait_for(RECOVERY_LIMIT);
        self.since = now;
        self.patience = None;
        let limit = self.deadline.unwrap_or(now);
        self.link = Link::Down(Box::pin(self.way.clone().back(sid, self.tries, limit)));
        self.tries += 1;
        let first = self.lost.is_none();
        let why = why.to_string();
        self.lost.get_or_insert_with(|| why.clone());
        first.then_some(Seen::Lost(why))
    }

    pub(super) async fn tick(&mut self) -> Result<Option<Seen>, SignalError> {
        if matches!(self.link, Link::Down(_)) {
            return Ok(None);
        }
        if self.heard.elapsed() > self.ping_limit {
            return Err(SignalError::Late(self.ping_limit));
        }
        let timestamp = time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        self.send(signal_request::Message::PingReq(Ping { timestamp, rtt: 0 })).await?;
        Ok(None)
    }
}

fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(seconds.clamp(1, 60) as u64)
}

/// What goes on while a connection is made anew.
pub(super) enum Keep {
    Media,
    Nothing,
}

/// A connection that held so long is none that fails again and again.
const HELD: Duration = Duration::from_secs(30);
