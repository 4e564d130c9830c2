//! Being in a room: who is there, what is signalled, what the peer tells.

use std::time::Duration;

use livekit_protocol::{
    DataPacket, LeaveRequest, ParticipantInfo, Ping, SipDtmf, TrackType, UpdateSubscription,
    data_packet, leave_request, participant_info, signal_request,
};
use prost::Message as _;
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout_at};
use vox_call::{Negotiation, Peer, PeerEvent};
use vox_webrtc::Offer;

use super::Livekit;
use super::claims::is_rival;
use super::signal::{Said, Signal, SignalError, description};
use super::token::Ticket;
use crate::calls::{PeerLine, PeerNews};

/// Who of a room the call is with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// The first who came by telephone.
    Phone,
    /// The one with this identity: somebody who has been called, by telephone or not.
    Identity(String),
    /// The first ordinary participant: a visitor's browser.
    Visitor,
}

/// What is going on in a room, as far as a call is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The caller can hear us.
    Answered,
    /// The caller pressed a key.
    Digit(char),
    /// The caller has left, or hung up.
    CallerLeft,
    /// Another process of ours was here first, by this name: the caller is its.
    Rival(String),
    /// The room goes on without us, or is no more.
    Gone(String),
}

/// Something that comes from the server, the peer or the clock.
#[derive(Debug)]
pub(super) enum Coming {
    Said(Result<Box<Said>, SignalError>),
    News(PeerNews),
    Tick,
    /// It has been waited long enough for somebody who wants to hear us.
    Impatient,
}

/// A call's presence in a room.
#[derive(Debug)]
pub(super) struct Session {
    signal: Signal,
    line: PeerLine,
    who: Who,
    /// Ourselves, as the server knows us.
    us: ParticipantInfo,
    caller: Option<Caller>,
    ping: Interval,
    /// When the server was heard last.
    heard: Instant,
    ping_limit: Duration,
    /// Media can flow.
    connected: bool,
    answered: bool,
    /// Our track is wanted. What is said before is heard by nobody: a phone that rings wants it before
    /// it is `active`, others take their time.
    awaited: bool,
    /// Until then, once nothing else is missing.
    patience: Option<Instant>,
    offers: u32,
}

/// The one that the call is with.
#[derive(Debug)]
struct Caller {
    sid: String,
    identity: String,
    is_phone: bool,
    version: u32,
    /// The track that we hear.
    track: Option<String>,
    /// Not before it says `active` can a phone hear us; who is no phone says nothing.
    is_active: bool,
}

impl Who {
    pub(super) fn is(&self, them: &ParticipantInfo) -> bool {
        match self {
            Self::Phone => them.kind() == participant_info::Kind::Sip,
            Self::Identity(identity) => *identity == them.identity,
            Self::Visitor => them.kind() == participant_info::Kind::Standard,
        }
    }
}

impl Session {
    /// Joins a room for `line`, whose peer is with the engine then. The caller, `who`, may not be
    /// there yet.
    pub(super) async fn join(
        livekit: &Livekit,
        line: PeerLine,
        ticket: Ticket,
        who: Who,
    ) -> Result<Self, SignalError> {
        let limit = Instant::now() + JOIN_LIMIT;
        let wrong = |why: String| SignalError::Unreadable(why);
        let (peer, offer) = prepare(livekit, &line).await.map_err(wrong)?;
        let (signal, joined) = Signal::join(&ticket.url, &ticket.token, TRACK, offer.sdp).await?;
        let seconds = |seconds: i32| Duration::from_secs(seconds.clamp(1, 60) as u64);
        let mut ping = interval(seconds(joined.ping_interval));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        let mut session = Self {
            signal,
            line,
            who,
            us: joined.participant.unwrap_or_default(),
            caller: None,
            ping,
            heard: now,
            ping_limit: seconds(joined.ping_timeout),
            connected: false,
            answered: false,
            awaited: false,
            patience: None,
            offers: 1,
        };
        match session.settle_in(joined.other_participants, peer, limit).await {
            Ok(()) => Ok(session),
            Err(error) => {
                session.leave().await;
                Err(error)
            }
        }
    }

    async fn settle_in(
        &mut self,
        others: Vec<ParticipantInfo>,
        peer: Peer,
        limit: Instant,
    ) -> Result<(), SignalError> {
        self.meet(others).await?;
        self.negotiate(peer, limit).await
    }

    /// Who is there, while we are not.
    async fn meet(&mut self, others: Vec<ParticipantInfo>) -> Result<(), SignalError> {
        for participant in others {
            if let Some(Seen::Rival(by)) = self.update(participant).await? {
                return Err(SignalError::Rival(by));
            }
        }
        Ok(())
    }

    /// From the server's answer and first candidate to a peer that the engine has.
    async fn negotiate(&mut self, mut peer: Peer, limit: Instant) -> Result<(), SignalError> {
        let mut answered = false;
        loop {
            let late = SignalError::Late(JOIN_LIMIT);
            let said = timeout_at(limit, self.signal.next()).await.map_err(|_| late)??;
            let unusable = |why: vox_webrtc::PeerError| SignalError::Unreadable(why.to_string());
            match said {
                Said::Answer(answer) => {
                    peer.answer(&answer.sdp).map_err(unusable)?;
                    answered = true;
                }
                Said::Trickle(trickle) => {
                    let Some(candidate) = candidate(&trickle.candidate_init) else { continue };
                    peer.candidate(&candidate).map_err(unusable)?;
                    if answered {
                        break;
                    }
                }
                Said::TrackSubscribed(_) => self.awaited = true,
                Said::Update(update) => self.meet(update.participants).await?,
                Said::Leave(leave) => return Err(SignalError::Lost(farewell(&leave))),
                _ => {}
            }
        }
        self.line.join(peer).map_err(|refused| SignalError::Lost(refused.to_string()))
    }

    /// What comes next, to be [taken](Self::take). Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Coming {
        let patience = self.patience;
        tokio::select! {
            said = self.signal.next() => Coming::Said(said.map(Box::new)),
            news = self.line.news() => Coming::News(news),
            _ = self.ping.tick() => Coming::Tick,
            () = sleep_until(patience.unwrap_or_else(Instant::now)), if patience.is_some() => {
                Coming::Impatient
            }
        }
    }

    /// Does what has to be done; what of it concerns the call.
    pub(super) async fn take(&mut self, coming: Coming) -> Option<Seen> {
        let seen = match coming {
            Coming::Said(Ok(said)) => {
                self.heard = Instant::now();
                self.said(*said).await
            }
            Coming::Said(Err(error)) => Err(error),
            Coming::News(news) => self.told(news).await,
            Coming::Tick => self.tick().await,
            Coming::Impatient => {
                self.awaited = true;
                Ok(None)
            }
        };
        match seen {
            Ok(None) if self.can_answer() => {
                self.answered = true;
                self.patience = None;
                Some(Seen::Answered)
            }
            Ok(seen) => seen,
            Err(error) => Some(Seen::Gone(error.to_string())),
        }
    }

    /// Who the call is with, once they are there: their identity, and whether they came by telephone.
    pub(super) fn caller(&self) -> Option<(&str, bool)> {
        self.caller.as_ref().map(|caller| (caller.identity.as_str(), caller.is_phone))
    }

    fn can_answer(&mut self) -> bool {
        let active = self.caller.as_ref().is_some_and(|caller| caller.is_active);
        if self.answered || !self.connected || !active {
            return false;
        }
        if !self.awaited {
            self.patience.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        self.awaited
    }

    /// Says goodbye.
    pub(super) async fn leave(mut self) {
        let leave = LeaveRequest {
            reason: livekit_protocol::DisconnectReason::ClientInitiated.into(),
            action: leave_request::Action::Disconnect.into(),
            ..LeaveRequest::default()
        };
        // A server that is gone needs none.
        let _ = self.signal.send(signal_request::Message::Leave(leave)).await;
    }

    async fn said(&mut self, said: Said) -> Result<Option<Seen>, SignalError> {
        match said {
            Said::Trickle(trickle) => {
                if let Some(candidate) = candidate(&trickle.candidate_init) {
                    self.step(Negotiation::Candidate(candidate))?;
                }
            }
            Said::Answer(answer) => self.step(Negotiation::Answer(answer.sdp))?,
            Said::Update(update) => {
                for participant in update.participants {
                    if let Some(seen) = self.update(participant).await? {
                        return Ok(Some(seen));
                    }
                }
            }
            Said::MediaSectionsRequirement(lines) => {
                let more = lines.num_audios.min(LINES_MAX) as usize;
                self.step(Negotiation::Offer { more, restart: false })?;
            }
            Said::Leave(leave) => return Ok(Some(Seen::Gone(farewell(&leave)))),
            // Somebody is about to hear us: the caller, whoever else there may be.
            Said::TrackSubscribed(_) => self.awaited = true,
            _ => {}
        }
        Ok(None)
    }

    /// Somebody came, changed or left.
    async fn update(&mut self, them: ParticipantInfo) -> Result<Option<Seen>, SignalError> {
        if is_rival(&them, &self.us) {
            return Ok(Some(Seen::Rival(them.identity)));
        }
        let left = them.state() == participant_info::State::Disconnected
            || them.attributes.get("sip.callStatus").is_some_and(|status| status == "hangup");
        let known = self.caller.as_ref().is_some_and(|caller| caller.sid == them.sid);
        if !known && (left || self.caller.is_some() || !self.who.is(&them)) {
            return Ok(None);
        }
        if left {
            return Ok(Some(Seen::CallerLeft));
        }
        let caller = self.caller.get_or_insert_with(|| Caller {
            sid: them.sid.clone(),
            identity: them.identity.clone(),
            is_phone: Who::Phone.is(&them),
            version: 0,
            track: None,
            is_active: false,
        });
        if them.version < caller.version {
            return Ok(None);
        }
        caller.version = them.version;
        let status = them.attributes.get("sip.callStatus");
        caller.is_active = status.is_none_or(|status| status == "active");
        let audio = them.tracks.iter().find(|track| track.r#type() == TrackType::Audio);
        if let Some(track) = audio
            && caller.track.as_deref() != Some(&track.sid)
        {
            caller.track = Some(track.sid.clone());
            let subscription = UpdateSubscription {
                track_sids: vec![track.sid.clone()],
                subscribe: true,
                ..UpdateSubscription::default()
            };
            self.signal.send(signal_request::Message::Subscription(subscription)).await?;
        }
        Ok(None)
    }

    /// The peer has news.
    async fn told(&mut self, news: PeerNews) -> Result<Option<Seen>, SignalError> {
        match news {
            PeerNews::Event(PeerEvent::Connected) => self.connected = true,
            PeerNews::Event(PeerEvent::Interrupted) => self.connected = false,
            PeerNews::Event(PeerEvent::Data(bytes)) => return Ok(digit(&bytes).map(Seen::Digit)),
            PeerNews::Event(PeerEvent::Refused(why) | PeerEvent::Closed(why)) => {
                return Ok(Some(Seen::Gone(why)));
            }
            PeerNews::Offered(Some(Offer { sdp })) => {
                self.offers += 1;
                let offer = description(sdp, self.offers);
                self.signal.send(signal_request::Message::Offer(offer)).await?;
            }
            PeerNews::Offered(None) => {}
            PeerNews::Press(digits) => {
                for digit in digits.iter() {
                    self.step(Negotiation::Message(press(digit).into()))?;
                }
            }
        }
        Ok(None)
    }

    async fn tick(&mut self) -> Result<Option<Seen>, SignalError> {
        let silent = self.heard.elapsed();
        if silent > self.ping_limit {
            return Err(SignalError::Late(self.ping_limit));
        }
        let timestamp = time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        let ping = Ping { timestamp, rtt: 0 };
        self.signal.send(signal_request::Message::PingReq(ping)).await?;
        Ok(None)
    }

    fn step(&self, step: Negotiation) -> Result<(), SignalError> {
        self.line.negotiate(step).map_err(|refused| SignalError::Lost(refused.to_string()))
    }
}

/// Peer and offer are made off the runtime's threads: it takes about a millisecond.
async fn prepare(livekit: &Livekit, line: &PeerLine) -> Result<(Peer, Offer), String> {
    let (identity, local) = (livekit.0.identity.clone(), line.rtp());
    let made = tokio::task::spawn_blocking(move || Peer::offer(&identity, local, TRACK, LINES));
    match made.await {
        Ok(made) => made.map_err(|error| error.to_string()),
        Err(died) => Err(died.to_string()),
    }
}

/// A key that a phone reports by data packet.
fn digit(bytes: &[u8]) -> Option<char> {
    let packet = DataPacket::decode(bytes).ok()?;
    let Some(data_packet::Value::SipDtmf(SipDtmf { digit, .. })) = packet.value else {
        return None;
    };
    let digit = digit.chars().next()?.to_ascii_uppercase();
    KEYS.contains(digit).then_some(digit)
}

/// What has a phone's gateway press a key (RFC 4733 §3.2 for the code).
fn press(digit: char) -> Vec<u8> {
    let code = KEYS.find(digit).unwrap_or_default() as u32;
    let dtmf = SipDtmf { code, digit: digit.to_string() };
    let value = Some(data_packet::Value::SipDtmf(dtmf));
    DataPacket { value, ..DataPacket::default() }.encode_to_vec()
}

/// The candidate's line in what a server trickles.
fn candidate(init: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Init {
        candidate: String,
    }
    let Init { candidate } = serde_json::from_str(init).ok()?;
    (!candidate.is_empty()).then_some(candidate)
}

fn farewell(leave: &LeaveRequest) -> String {
    format!("the server ends it: {}", leave.reason().as_str_name().to_lowercase())
}

/// By their codes.
const KEYS: &str = "0123456789*#ABCD";
/// Our track's name, on our side and in the room.
const TRACK: &str = "vox-agent";
/// Lines to hear on, to begin with: the caller, and a caller who comes again.
const LINES: usize = 2;
/// Lines that a server may ask for at once.
const LINES_MAX: u32 = 4;
/// For somebody to want our track.
const PATIENCE: Duration = Duration::from_secs(1);
/// From the first message to a peer that the engine has.
const JOIN_LIMIT: Duration = Duration::from_secs(10);
