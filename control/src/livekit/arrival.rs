//! The one door for callers in rooms, whichever way we heard of them.

use std::time::Duration;

use livekit_api::services::room::RoomClient;
use livekit_protocol::ParticipantInfo;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, Known, NotTaken, is_ours};
use super::session::Who;
use super::token::Ticket;
use super::{Livekit, call};
use crate::calls::{CallFacts, Slot};
use crate::config::LivekitConfig;

/// A caller in a room who is to be answered.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) room: String,
    pub(super) who: Who,
    /// By name; otherwise whoever answers to the dialled number.
    pub(super) bot_id: Option<String>,
    pub(super) facts: CallFacts,
    /// How we get in; by a token of our own, otherwise.
    pub(super) ticket: Option<Ticket>,
    /// Cancelled when LiveKit wants the call ended.
    pub(super) stop: CancellationToken,
}

/// A place for an arrival, and the right to answer it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) slot: Slot,
    pub(super) claim: Claim,
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
            tracing::info!(room, call_id, by, "a call came a second way, and is answered already");
        }
        taken.map(|(claim, slot)| Place { slot, claim })
    }

    /// Answers a caller, to the end of the call.
    pub(super) async fn answer(&self, place: Place, arrival: Arrival) -> Outcome {
        let Place { slot, claim } = place;
        match self.people(&arrival.room).await {
            Ok(people) => {
                if let Some(other) = people.iter().find(|them| is_ours(them)) {
                    let (room, by) = (&arrival.room, &other.identity);
                    tracing::info!(room, by, "another worker has answered this call");
                    return Outcome::Elsewhere;
                }
                if let Some(caller) = people.iter().find(|them| arrival.who.is(them)) {
                    claim.learn(Known::of(caller));
                }
            }
            // A server that does not say may still let us in.
            Err(why) => tracing::warn!(room = arrival.room, "who is in the room: {why}"),
        }
        let facts = arrival.facts.clone();
        let opened = match &arrival.bot_id {
            Some(bot_id) => self.0.calls.open_bot(slot, bot_id, facts).await,
            None => self.0.calls.open(slot, facts).await,
        };
        match opened {
            Ok(line) => call::run(self.clone(), line, arrival).await,
            // It is in the log, and counted.
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Who is in a room, which need not be there.
    pub(super) async fn people(&self, room: &str) -> Result<Vec<ParticipantInfo>, String> {
        match timeout(LOOK_LIMIT, self.0.rooms.list_participants(room)).await {
            Ok(people) => people.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer in {} ms", LOOK_LIMIT.as_millis())),
        }
    }
}

/// Asks the server about its rooms.
pub(super) fn rooms(config: &LivekitConfig) -> RoomClient {
    let secret = config.api_secret.expose();
    RoomClient::with_api_key(&config.url, &config.api_key, secret)
        .with_failover(false)
        .with_request_timeout(LOOK_LIMIT)
}

/// A caller waits meanwhile.
const LOOK_LIMIT: Duration = Duration::from_millis(1_000);
