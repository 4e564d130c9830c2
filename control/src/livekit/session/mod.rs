//! Being in a room: who is there, what is signalled, what the peer tells.

mod credit;
mod heard;
mod upkeep;
mod way;

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use livekit_protocol::{
    DisconnectReason, LeaveRequest, ParticipantInfo, SessionDescription, TrackPublishedResponse,
    leave_request, signal_request,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use vox_call::{Direction, Negotiation, Peer};

use super::Livekit;
use super::caller::{Caller, Who};
use super::signal::{Said, Signal, SignalError};
use super::token::Ticket;
use crate::calls::{PeerLine, PeerNews};

use credit::Credit;
use upkeep::Keep;
use way::{Back, Way};

/// What is going on in a room, as far as a call is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The caller can hear us.
    Answered,
    /// The caller pressed a key.
    Digit(char),
    /// Audio goes this way from now on: somebody was muted, or is not any more.
    Flows(Direction),
    /// The caller has left, or hung up.
    CallerLeft,
    /// Another process of ours was here first, by this name: the caller is its.
    Rival(String),
    /// The connection to the room is lost, for this reason; it is being made anew.
    Lost(String),
    /// It is there again.
    Back,
    /// The room goes on without us, or is no more.
    Gone(String),
}

/// Something that comes from the server, the peer or the clock.
#[derive(Debug)]
pub(super) enum Coming {
    Said(Result<Box<Said>, SignalError>),
    Back(Result<Back, SignalError>),
    News(PeerNews),
    Ping,
    Alarm,
}

/// A call's presence in a room.
#[derive(Debug)]
pub(super) struct Session {
    way: Way,
    line: PeerLine,
    link: Link,
    caller: Caller,
    us: Us,
    media: Media,
    /// When the server was heard last.
    heard: Instant,
    ping: Interval,
    ping_limit: Duration,
    /// Messages of the server's that may come at once.
    credit: Credit,
    answered: bool,
    /// What audio is said to do.
    flows: Direction,
    /// Somebody wants our track. What is said before is heard by nobody: a phone that rings wants it
    /// before it is `active`, others take their time.
    wanted: bool,
    /// Until then, once nothing else is missing.
    silence: Option<Instant>,
    /// By when everything has to be (back) in its place.
    deadline: Option<Instant>,
    /// When a new connection for media is made, unless the old one comes back.
    patience: Option<Instant>,
    /// Why the connection was lost, while it is.
    lost: Option<String>,
    /// How often it was lost since it last held for a while, and since when it holds: what is lost
    /// again and again is not tried again and again at once.
    tries: u32,
    since: Instant,
}

/// The connection to the server.
enum Link {
    Up(Box<Signal>),
    Down(Pin<Box<dyn Future<Output = Result<Back, SignalError>> + Send>>),
}

/// Ourselves, as the server knows us.
#[derive(Debug, Default)]
struct Us {
    info: ParticipantInfo,
    /// Our track.
    track: Option<TrackPublishedResponse>,
    /// What was negotiated last, for a server that has to learn it again.
    offer: Option<SessionDescription>,
    answer: Option<SessionDescription>,
    offers: u32,
    muted: bool,
}

/// The peer, as far as it has told.
#[derive(Debug, Default)]
struct Media {
    /// Made, and not with the engine before the server has answered.
    joining: Option<Peer>,
    /// The one that the engine has is given up: what it tells is of no interest any more.
    stale: bool,
    /// Audio can flow.
    connected: bool,
    /// Keys to press as soon as it can be done.
    keys: String,
}

impl Session {
    /// Joins a room for `line`. Media are negotiated by what [`next`](Self::next) gives; the caller
    /// may not be there yet.
    pub(super) async fn join(
        livekit: &Livekit,
        line: PeerLine,
        ticket: Ticket,
        who: Who,
    ) -> Result<Self, SignalError> {
        let way = Way { livekit: livekit.clone(), ticket, local: line.rtp() };
        let now = Instant::now();
        let back = way.clone().back(None, 0, now + REACH_LIMIT).await?;
        Ok(Self {
            way,
            line,
            link: Link::Down(Box::pin(ready(Ok(back)))),
            caller: Caller::new(who),
            us: Us::default(),
            media: Media::default(),
            heard: now,
            ping: pings(PING_LIMIT),
            ping_limit: PING_LIMIT,
            credit: Credit::new(now),
            answered: false,
            wanted: false,
            silence: None,
            flows: Direction::SendRecv,
            deadline: Some(now + JOIN_LIMIT),
            patience: None,
            lost: None,
            tries: 0,
            since: now,
        })
    }

    /// What comes next, to be [taken](Self::take). Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Coming {
        let alarm = [self.deadline, self.patience, self.silence].into_iter().flatten().min();
        let alarm = async {
            match alarm {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            coming = self.link.next() => coming,
            news = self.line.news() => Coming::News(news),
            _ = self.ping.tick() => Coming::Ping,
            () = alarm => Coming::Alarm,
        }
    }

    /// Does what has to be done; what of it concerns the call.
    pub(super) async fn take(&mut self, coming: Coming) -> Vec<Seen> {
        let seen = match coming {
            Coming::Said(Ok(said)) => {
                self.heard = Instant::now();
                self.said(*said).await
            }
            Coming::Said(Err(error)) => Err(error),
            Coming::Back(Ok(back)) => self.back(back).await,
            Coming::Back(Err(error)) => Ok(Some(Seen::Gone(error.to_string()))),
            Coming::News(news) => self.told(news).await,
            Coming::Ping => self.tick().await,
            Coming::Alarm => Ok(self.alarm()),
        };
        let seen = seen.unwrap_or_else(|error| self.lose(error, Keep::Media));
        let mut seen = Vec::from_iter(seen);
        self.settle(&mut seen);
        seen
    }

    /// Who the call is with, once they are there: their identity, and whether they came by telephone.
    pub(super) fn caller(&self) -> Option<(&str, bool)> {
        self.caller.who()
    }

    /// Says goodbye.
    pub(super) async fn leave(self) {
        let Link::Up(mut signal) = self.link else { return };
        let leave = LeaveRequest {
            reason: DisconnectReason::ClientInitiated.into(),
            action: leave_request::Action::Disconnect.into(),
            ..LeaveRequest::default()
        };
        // A server that is gone needs none.
        let _ = signal.send(signal_request::Message::Leave(leave)).await;
    }

    /// What follows when everything is in its place.
    fn settle(&mut self, seen: &mut Vec<Seen>) {
        let up = self.is_up();
        if up {
            self.patience = None;
        }
        if up && self.caller.is_missing() {
            let limit = Instant::now() + CALLER_LIMIT;
            self.deadline = self.deadline.map(|deadline| deadline.min(limit));
        } else if up {
            self.deadline = None;
            if self.lost.take().is_some() {
                self.since = Instant::now();
                seen.push(Seen::Back);
            }
        }
        if up && !self.answered && self.caller.is_active() {
            self.silence.get_or_insert_with(|| Instant::now() + SILENCE_LIMIT);
            if self.wanted {
                (self.answered, self.silence) = (true, None);
                seen.push(Seen::Answered);
            }
        }
        let flows = direction(!self.us.muted, !self.caller.is_muted());
        if self.answered && flows != self.flows {
            self.flows = flows;
            seen.push(Seen::Flows(flows));
        }
    }

    /// Whether the server and media are there.
    fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_)) && self.media.connected
    }

    fn wait_for(&mut self, limit: Duration) {
        self.deadline.get_or_insert_with(|| Instant::now() + limit);
    }

    fn offer(&mut self, more: usize, restart: bool) -> Result<(), SignalError> {
        self.step(Negotiation::Offer { more, restart })
    }

    fn step(&self, step: Negotiation) -> Result<(), SignalError> {
        self.line.negotiate(step).map_err(|refused| SignalError::Lost(refused.to_string()))
    }

    /// What is said while nobody listens is said again by [`resumed`](Self::resumed).
    async fn send(&mut self, message: signal_request::Message) -> Result<(), SignalError> {
        match &mut self.link {
            Link::Up(signal) => signal.send(message).await,
            Link::Down(_) => Ok(()),
        }
    }
}

impl Link {
    /// Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Coming {
        match self {
            Self::Up(signal) => Coming::Said(signal.next().await.map(Box::new)),
            Self::Down(coming_back) => Coming::Back(coming_back.await),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up(_) => "Up",
            Self::Down(_) => "Down",
        })
    }
}

fn direction(speaks: bool, hears: bool) -> Direction {
    match (speaks, hears) {
        (true, true) => Direction::SendRecv,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::RecvOnly,
        (false, false) => Direction::Inactive,
    }
}

fn pings(every: Duration) -> Interval {
    let mut pings = interval(every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// Our track's name, on our side and in the room.
pub(super) const TRACK: &str = "vox-agent";
/// Lines to hear on, to begin with: the caller, and a caller who comes again.
pub(super) const LINES: usize = 2;
/// For somebody to want our track.
const SILENCE_LIMIT: Duration = Duration::from_secs(1);
/// For a server that cannot be reached, or takes nobody in.
const REACH_LIMIT: Duration = Duration::from_secs(2);
/// From the request to media.
const JOIN_LIMIT: Duration = Duration::from_secs(10);
/// Of a server that does not say how long it may be silent.
const PING_LIMIT: Duration = Duration::from_secs(15);
/// For a caller who was there before to come back, once we are.
const CALLER_LIMIT: Duration = Duration::from_secs(8);
/// For everything that was lost to be back.
const RECOVERY_LIMIT: Duration = Duration::from_secs(15);
