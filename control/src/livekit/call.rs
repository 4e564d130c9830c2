//! One call in a room, from its slot to its result.
//!
//! ```text
//! open ─► join ──► wait ──► talk ─► hang up
//!  config  room     active   media   nobody is left on the phone
//!            └ dial ─┘ whom we call, while the pipeline is built
//! ```

use std::future::pending;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use vox_call::{Direction, MediaSession, Reason};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_contracts::Object;
use vox_webrtc::OPUS_PAYLOAD_TYPE;

use super::arrival::{Arrival, Outcome};
use super::caller::Who;
use super::counts::count;
use super::server::{Dial, ServerError};
use super::session::{Coming, Seen, Session};
use super::token::Ticket;
use super::{Livekit, claims, token};
use crate::calls::{Destination, LiveCall, Order};

/// How a call came to its end.
#[derive(Debug)]
enum Fate {
    /// The caller left.
    HungUp,
    /// The bot, a limit, the worker.
    Ended,
    /// LiveKit has called it off.
    CalledOff,
    /// Another process of ours was there first.
    Elsewhere(String),
    /// Nobody came.
    Alone,
    /// Whom we called did not answer.
    NotReached(ServerError),
    /// The room is lost, or cannot be had.
    Lost(String),
    /// The bot's agent or the engine cannot take the call.
    Unanswerable(String),
}

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
        match fate {
            Fate::Elsewhere(_) => Outcome::Elsewhere,
            Fate::Lost(why) | Fate::Unanswerable(why) => Outcome::Failed(why),
            Fate::NotReached(error) => Outcome::Failed(error.to_string()),
            Fate::HungUp | Fate::Ended | Fate::CalledOff | Fate::Alone => Outcome::Answered,
        }
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

    /// Says how the call ended; the slot is free then.
    fn settle(&self, fate: &Fate) {
        let called = matches!(self.who, Who::Identity(_));
        match fate {
            Fate::HungUp if self.answered || called => self.line.close(Reason::CallerHungUp),
            Fate::HungUp => self.line.close(Reason::CallerCancelled),
            Fate::Ended => {}
            Fate::CalledOff => {
                self.note("called_off", json!({}));
                self.line.close(Reason::BotHungUp);
            }
            Fate::Elsewhere(by) => {
                count(&self.livekit.0.counts.elsewhere);
                tracing::info!(call_id = self.line.call().0, by, "another worker was there first");
                self.note("answered_elsewhere", json!({"by": by}));
                // Whoever has spoken already owes a result.
                match self.answered {
                    true => self.line.close(Reason::BotHungUp),
                    false => self.line.withdraw(),
                }
            }
            Fate::Alone if called => {
                self.fail("nobody_there", "whom we were to talk to is not here")
            }
            Fate::Alone => {
                self.note("nobody_there", json!({}));
                self.line.close(Reason::CallerCancelled);
            }
            Fate::NotReached(error) => {
                let ServerError { code, sip_status, why } = error;
                tracing::info!(call_id = self.line.call().0, "not reached: {error}");
                let facts = json!({"sip_status": sip_status, "code": code, "why": why});
                self.note("not_reached", facts);
                self.line.close(not_reached(error));
            }
            Fate::Lost(why) => self.fail("room_lost", why),
            Fate::Unanswerable(why) => self.fail("not_answered", why),
        }
    }

    /// Nobody is left on the phone, and no room of ours behind.
    async fn hang_up(&self, fate: &Fate) {
        let server = &self.livekit.0.server;
        let gone = matches!(fate, Fate::HungUp | Fate::Alone | Fate::Elsewhere(_));
        let done = match (&self.phone, self.is_ours) {
            (_, true) => server.delete_room(&self.room).await,
            (Some(phone), false) if !gone => server.remove(&self.room, phone).await,
            _ => Ok(()),
        };
        self.may_be_left(done);
    }

    /// A call that was being set up when its room went may have come to a new one.
    async fn see_it_cancelled(&mut self) {
        if self.dialling.is_none() {
            return;
        }
        let dialled = timeout(CANCEL_LIMIT, outcome(&mut self.dialling)).await;
        if matches!(dialled, Ok(Ok(()))) {
            self.may_be_left(self.livekit.0.server.delete_room(&self.room).await);
        }
    }

    fn may_be_left(&self, cleared: Result<(), ServerError>) {
        if let Err(error) = cleared {
            tracing::warn!(call_id = self.line.call().0, "somebody may be left: {error}");
        }
    }

    fn fail(&self, event: &str, why: &str) {
        tracing::warn!(call_id = self.line.call().0, "{event}: {why}");
        self.note(event, json!({"why": why}));
        self.line.close(Reason::SignallingFailed);
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

/// Contract §1.3. The status is all that counts; who does not pick up at all has none.
fn not_reached(error: &ServerError) -> Reason {
    match (error.sip_status, error.code.as_str()) {
        (Some(408 | 480), _) => Reason::CallerCancelled,
        (Some(486 | 603), _) => Reason::Declined,
        (Some(_), _) => Reason::SignallingFailed,
        (None, "canceled" | "deadline_exceeded") => Reason::CallerCancelled,
        (None, _) => Reason::SignallingFailed,
    }
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
/// For a call that is given up while it rings to be off the server's hands.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livekit::server::tests::captured;

    #[test]
    fn only_the_status_of_the_sip_exchange_says_why_somebody_was_not_reached() {
        let rows = [
            ("create_participant_486", Reason::Declined),
            ("create_participant_603", Reason::Declined),
            ("create_participant_480", Reason::CallerCancelled),
            ("create_participant_408", Reason::CallerCancelled),
            ("create_participant_404", Reason::SignallingFailed),
            ("create_participant_503", Reason::SignallingFailed),
            ("create_participant_no_answer_ringing_timeout", Reason::CallerCancelled),
            ("create_participant_no_response", Reason::CallerCancelled),
            ("create_participant_cpu_exhausted", Reason::SignallingFailed),
            ("create_participant_no_sip_service", Reason::SignallingFailed),
            ("create_participant_unknown_trunk", Reason::SignallingFailed),
            ("create_participant_invalid", Reason::SignallingFailed),
        ];
        for (name, expected) in rows {
            assert_eq!(not_reached(&captured(name)), expected, "{name}");
        }
    }
}
