//! The one door for callers in rooms, whichever way we heard of them.

use livekit_protocol::ParticipantInfo;
use tokio_util::sync::CancellationToken;
use vox_contracts::Object;

use super::caller::Who;
use super::claims::{Claim, Known, NotTaken, is_ours};
use super::counts::count;
use super::server::Dial;
use super::token::Ticket;
use super::{Livekit, call};
use crate::calls::{CallDirection, CallFacts, Opening, Slot};

/// A caller in a room who is to be answered.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) room: String,
    pub(super) who: Who,
    pub(super) facts: CallFacts,
    pub(super) opening: Opening,
    /// Whom to call into the room: it is ours then, and ends with the call.
    pub(super) dial: Option<Dial>,
    /// How we get in; by a token of our own, otherwise.
    pub(super) ticket: Option<Ticket>,
    /// Cancelled when LiveKit wants the call ended.
    pub(super) stop: CancellationToken,
}

impl Arrival {
    /// Somebody who came by themselves, for whoever answers to the dialled number.
    pub(super) fn new(room: String, who: Who, facts: CallFacts) -> Self {
        let (opening, stop) = (Opening::default(), CancellationToken::new());
        Self { room, who, facts, opening, dial: None, ticket: None, stop }
    }
}

/// A place for an arrival, and the right to answer it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) slot: Slot,
    /// `None` where nobody else can know of the call.
    pub(super) claim: Option<Claim>,
}

/// What became of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was a call; its result says more.
    Answered,
    /// Another process of ours has answered, which is as good.
    Elsewhere,
    /// It was not answered, for a reason in words.
    Failed(String),
}

impl Livekit {
    /// A place for the caller in `room`, before any side effect.
    pub(super) fn take(&self, room: &str, known: Known, call_id: &str) -> Result<Place, NotTaken> {
        let admit = || self.0.calls.admit();
        let taken = self.0.claims.take(room, known, call_id, admit);
        if let Err(NotTaken::Already(by)) = &taken {
            count(&self.0.counts.duplicates);
            tracing::info!(room, call_id, by, "a call came a second way, and is answered already");
        }
        taken.map(|(claim, slot)| Place { slot, claim: Some(claim) })
    }

    /// Answers a caller, to the end of the call.
    pub(super) async fn answer(&self, place: Place, arrival: Arrival) -> Outcome {
        let Place { slot, claim } = place;
        if arrival.dial.is_none() && self.is_elsewhere(&arrival, claim.as_ref()).await {
            return Outcome::Elsewhere;
        }
        let (facts, opening) = (arrival.facts.clone(), arrival.opening.clone());
        match self.0.calls.open_as(slot, facts, opening).await {
            Ok(line) => call::run(self.clone(), line, arrival).await,
            // It is in the log, and counted.
            Err(error) => {
                self.let_go(&arrival).await;
                Outcome::Failed(error.to_string())
            }
        }
    }

    /// Hangs up whoever waits on the phone for a call that there will not be.
    pub(super) async fn let_go(&self, arrival: &Arrival) {
        let room = &arrival.room;
        match &arrival.who {
            Who::Identity(identity) if arrival.dial.is_none() => {
                if let Err(error) = self.0.server.remove(room, identity).await {
                    tracing::warn!(room, "somebody may be left on the phone: {error}");
                }
            }
            Who::Phone => self.0.server.turn_away(room).await,
            Who::Identity(_) | Who::Visitor => {}
        }
    }

    async fn is_elsewhere(&self, arrival: &Arrival, claim: Option<&Claim>) -> bool {
        let people = match self.0.server.people(&arrival.room).await {
            Ok(people) => people,
            Err(why) => {
                // A server that does not say may still let us in.
                tracing::warn!(room = arrival.room, "who is in the room: {why}");
                return false;
            }
        };
        if let Some(other) = people.iter().find(|them| is_ours(them)) {
            let (room, by) = (&arrival.room, &other.identity);
            tracing::info!(room, by, "another worker has answered this call");
            count(&self.0.counts.elsewhere);
            return true;
        }
        let caller = people.iter().find(|them| arrival.who.is(them));
        if let (Some(caller), Some(claim)) = (caller, claim) {
            claim.learn(Known::of(caller));
        }
        false
    }
}

/// What a telephone's participant tells about its call.
pub(super) fn facts(
    caller: &ParticipantInfo,
    direction: CallDirection,
    call_id: String,
) -> CallFacts {
    let number = |name: &str| caller.attributes.get(name).cloned().unwrap_or_default();
    let (theirs, ours) = (number("sip.phoneNumber"), number("sip.trunkPhoneNumber"));
    let (caller, dialed) = match direction {
        CallDirection::Inbound => (theirs, ours),
        CallDirection::Outbound => (ours, theirs),
    };
    CallFacts { dialed, caller, direction, stream_id: call_id, connected_event: Object::new() }
}
