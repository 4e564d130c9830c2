//! One call in a room, from its slot to its result.
//!
//! ```text
//! open ─► join ──► wait ──► talk ─► hang up
//!  config  room     active   media   nobody is left on the phone
//!            └ dial ─┘ whom we call, while the pipeline is built
//! ```

mod ending;

use std::future::pending;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use vox_call::{Direction, MediaSession};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_contracts::Object;
use vox_webrtc::OPUS_PAYLOAD_TYPE;

use super::arrival::{Arrival, Outcome};
use super::caller::Who;
use super::server::{Dial, ServerError};
use super::session::{Coming, Seen, Session};
use super::token::Ticket;
use super::{Livekit, claims, token};
use crate::calls::{Destination, LiveCall, Order};

use ending::Fate;

/// What a call waits for.
#[derive(Debug)]
enum Next {
    Room(Coming),
    Order(Order),
    CalledOff,
    Dialled(Result<(), ServerError>),
    Referred(Result<(), ServerError>),
    TooLong,
}

/// What the server was asked to do, and takes its time for.
type Request = AbortOnDropHandle<Result<(), ServerError>>;

/// A call on its way.
struct RoomCall {
    livekit: Livekit,
    line: LiveCall,
    room: String,
    who: Who,
    stop: CancellationToken,
    /// The telephone that hears silence if we just go.
    phone: Option<String>,
    /// The room is of our making.
    is_ours: bool,
    dialling: Option<Request>,
    referral: Option<Request>,
    answered: bool,
    /// Until when somebody has to be there.
    expected: Option<Instant>,
}

/// Everything with an arrival, to the end.
pub(super) async fn run(livekit: Livekit, line: LiveCall, arrival: Arrival) -> Outcome {
    let Arrival { room, who, dial, ticket, stop, .. } = arrival;
    let phone = match &who {
        Who::Identity(identity) => Some(identity.clone()),
        Who::Phone | Who::Visitor => None,
    };
    let call = RoomCall {
        livekit,
        line,
        room,
        who,
        stop,
        phone,
        is_ours: dial.is_some(),
        dialling: None,
        referral: None,
        answered: false,
        expected: None,
    };
    call.run(dial, ticket).await
}

impl RoomCall {
    async fn run(mut self, dial: Option<Dial>, ticket: Option<Ticket>) -> Outcome {
        let joined = match self.dial(dial).await {
            Ok(()) => self.join(ticket).await,
            Err(fate) => Err(fate),
        };
        let fate = match joined {
            Ok(mut session) => {
                let fate = self.talk(&mut session).await;
                if let Some((identity, is_phone)) = session.caller() {
                    self.phone = is_phone.then(|| identity.to_owned());
                }
                self.settle(&fate);
                // The phone first: it does not have to find out that nobody is there.
                self.hang_up(&fate).await;
                session.leave().await;
                fate
            }
            Err(fate) => {
                self.settle(&fate);
                self.hang_up(&fate).await;
                if self.who == Who::Phone && !matches!(fate, Fate::Elsewhere(_)) {
                    self.livekit.0.server.turn_away(&self.room).await;
                }
                fate
            }
        };
        self.see_it_cancelled().await;
        fate.into_outcome(self.answered)
    }

    /// Has the phone ring, while we join.
    async fn dial(&mut self, dial: Option<Dial>) -> Result<(), Fate> {
        let (Some(dial), Some(identity)) = (dial, self.phone.clone()) else { return Ok(()) };
        let lost = |error: ServerError| Fate::Lost(format!("no room: {error}"));
        self.livekit.0.server.create_room(&self.room).await.map_err(lost)?;
        let facts = json!({"to": dial.to, "from": dial.from, "through": dial.trunk.to_string()});
        self.note("dialled", facts);
        let (livekit, room) = (self.livekit.clone(), self.room.clone());
        let dialling = async move { livekit.0.server.dial(dial, room, identity).await };
        self.dialling = Some(AbortOnDropHandle::new(tokio::spawn(dialling)));
        Ok(())
    }

    async fn join(&mut self, ticket: Option<Ticket>) -> Result<Session, Fate> {
        let ticket = match ticket {
            Some(ticket) => ticket,
            None => token::ticket(&self.livekit.0.config, &self.room, &claims::identity())
                .map_err(Fate::Lost)?,
        };
        let (peer, who) = (self.line.seal(), self.who.clone());
        tokio::select! {
            joined = Session::join(&self.livekit, peer, ticket, who) => {
                joined.map_err(|error| Fate::Lost(error.to_string()))
            }
            _ = self.line.ended() => Err(Fate::Ended),
            () = self.stop.cancelled() => Err(Fate::CalledOff),
        }
    }

    async fn talk(&mut self, session: &mut Session) -> Fate {
        if self.dialling.is_none() {
            let limit = if self.who == Who::Visitor { VISIT_LIMIT } else { COMING_LIMIT };
            self.expect(limit);
        }
        loop {
            if self.dialling.is_none() && session.caller().is_some() {
                self.expected = None;
            }
            let fate = match self.next(session).await {
                Next::Room(coming) => self.all_seen(session.take(coming).await).await,
                Next::Order(Order::Ended(_)) => Some(Fate::Ended),
                Next::CalledOff => Some(Fate::CalledOff),
                Next::Order(Order::Transfer { to, .. }) => {
                    self.refer(session, &to);
                    None
                }
                Next::Dialled(Ok(())) => {
                    self.expect(COMING_LIMIT);
                    None
                }
                Next::Dialled(Err(error)) => Some(Fate::NotReached(error)),
                Next::Referred(outcome) => {
                    self.referred(outcome);
                    None
                }
                Next::TooLong if self.dialling.is_some() => {
                    Some(Fate::Lost("the server does not say what became of the call".into()))
                }
                Next::TooLong => Some(Fate::Alone),
            };
            if let Some(fate) = fate {
                return fate;
            }
        }
    }

    async fn next(&mut self, session: &mut Session) -> Next {
        let expected = self.expected;
        tokio::select! {
            coming = session.next() => Next::Room(coming),
            order = self.line.next_order() => Next::Order(order),
            () = self.stop.cancelled() => Next::CalledOff,
            outcome = outcome(&mut self.dialling) => Next::Dialled(outcome),
            outcome = outcome(&mut self.referral) => Next::Referred(outcome),
            () = sleep_until(expected.unwrap_or_else(Instant::now)), if expected.is_some() => {
                Next::TooLong
            }
        }
    }

    async fn all_seen(&mut self, seen: Vec<Seen>) -> Option<Fate> {
        for seen in seen {
            if let Some(fate) = self.seen(seen).await {
                return Some(fate);
            }
        }
        None
    }

    async fn seen(&mut self, seen: Seen) -> Option<Fate> {
        match seen {
            Seen::Answered => {
                self.answered = true;
                return self.media_flow(Direction::SendRecv).await;
            }
            Seen::Flows(direction) => return self.media_flow(direction).await,
            Seen::Lost(why) => {
                tracing::warn!(call_id = self.line.call().0, "the room is lost for now: {why}");
                self.note("room_interrupted", json!({"why": why}));
            }
            Seen::Back => {
                tracing::info!(call_id = self.line.call().0, "back in the room");
                self.note("room_back", json!({}));
            }
            Seen::Digit(digit) => self.line.digit_from_signalling(digit, DIGIT),
            // Why it did not answer is in what the server says about it, a moment later.
            Seen::CallerLeft if self.dialling.is_some() => self.expect(OUTCOME_LIMIT),
            Seen::CallerLeft => return Some(self.left().await),
            Seen::Rival(by) => return Some(Fate::Elsewhere(by)),
            Seen::Gone(why) => return Some(Fate::Lost(why)),
        }
        None
    }

    async fn media_flow(&mut self, direction: Direction) -> Option<Fate> {
        let answered = self.line.answer(media(direction)).await;
        answered.err().map(|error| Fate::Unanswerable(error.to_string()))
    }

    /// The caller hung up, or has gone where it was sent.
    async fn left(&mut self) -> Fate {
        if self.referral.is_some() {
            let referred = timeout(OUTCOME_LIMIT, outcome(&mut self.referral)).await;
            if matches!(referred, Ok(Ok(()))) {
                self.referred(Ok(()));
                return Fate::Ended;
            }
            self.line.transferred(TRANSFER, Err("the caller hung up before".into()));
        }
        Fate::HungUp
    }

    /// How the phone gets there is LiveKit's to decide, a consultation first is not in its REFER.
    fn refer(&mut self, session: &Session, to: &Destination) {
        let Some((identity, true)) = session.caller() else {
            let why = "only a telephone can be sent somewhere else".to_owned();
            return self.line.transferred(TRANSFER, Err(why));
        };
        let to = match to {
            Destination::Uri(uri) => uri.clone(),
            Destination::Number(number) => format!("tel:{number}"),
        };
        let (livekit, room) = (self.livekit.clone(), self.room.clone());
        let identity = identity.to_owned();
        let referral = async move { livekit.0.server.refer(room, identity, to).await };
        self.referral = Some(AbortOnDropHandle::new(tokio::spawn(referral)));
    }

    fn referred(&self, outcome: Result<(), ServerError>) {
        let outcome = outcome.map_err(|error| format!("REFER: {error}"));
        self.line.transferred(TRANSFER, outcome);
    }

    fn expect(&mut self, within: Duration) {
        self.expected = Some(Instant::now() + within);
    }

    fn note(&self, event: &str, facts: serde_json::Value) {
        let facts = match facts {
            serde_json::Value::Object(facts) => facts,
            _ => Object::new(),
        };
        self.line.note(event, facts);
    }
}

/// What comes of a request, once; never of none.
async fn outcome(request: &mut Option<Request>) -> Result<(), ServerError> {
    let Some(running) = request else { return pending().await };
    let outcome = running.await.unwrap_or_else(|died| Err(ServerError::fault(&died)));
    *request = None;
    outcome
}

/// What goes through the peer: Opus at 48 kHz, which the engine hears and speaks wide-band.
fn media(direction: Direction) -> MediaSession {
    MediaSession::sealed(
        OPUS_PAYLOAD_TYPE,
        direction,
        Encoder::new(CodecKind::Opus),
        Decoder::new(CodecKind::Opus),
    )
}

/// The contract's word for how it is done.
const TRANSFER: &str = "livekit_sip_refer";
/// What a phone's key is taken to last: nobody says.
const DIGIT: Duration = Duration::from_millis(250);
/// For whoever the call is with to be in the room, once we are.
const COMING_LIMIT: Duration = Duration::from_secs(10);
/// For a visitor, who may be asked for their microphone first.
const VISIT_LIMIT: Duration = Duration::from_secs(30);
/// From a phone's leaving to the server's word for why.
const OUTCOME_LIMIT: Duration = Duration::from_secs(5);
