//! What there is to do for a call before it is answered, by the way it came.
//!
//! | way | with | result when its bot cannot be had |
//! |---|---|---|
//! | dispatch, a job, the watcher | the telephone in the room | none; the telephone is hung up |
//! | attach | the participant `sip-{to_number}` | one; the telephone is hung up |
//! | dial-out | whom we call | one; nobody was called |
//! | widget | a visitor | none |

use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;
use vox_call::Reason;
use vox_contracts::Object;

use super::Livekit;
use super::arrival::{Arrival, Place};
use super::server::{Dial, RING_LIMIT, Trunk};
use crate::calls::{OpenError, Slot};

/// An arrival whose bot is named.
pub(super) async fn answer(livekit: Livekit, place: Place, arrival: Arrival) {
    // What became of it is in its result, and in the log.
    livekit.answer(place, arrival).await;
}

/// A SIP call that waits in a room. `tell` hears whether any bot answers to its number.
pub(super) async fn inbound(
    livekit: Livekit,
    place: Place,
    mut arrival: Arrival,
    tell: oneshot::Sender<bool>,
) {
    let calls = &livekit.0.calls;
    let found = calls.bots().lookup(&arrival.opening.wanted, &arrival.facts.dialed).await;
    // Who does not wait for it any more has answered already.
    let _ = tell.send(!matches!(found, Err(OpenError::NoSuchBot(_))));
    match found {
        Ok(bot_id) => {
            arrival.opening.wanted.bot_id = Some(bot_id);
            answer(livekit, place, arrival).await;
        }
        Err(error) => {
            drop(place);
            calls.not_opened(&arrival.facts, &error);
            livekit.let_go(&arrival).await;
        }
    }
}

/// Somebody is to be called, through the trunk that the Backend names.
pub(super) async fn dial_out(livekit: Livekit, slot: Slot, mut arrival: Arrival) {
    let calls = &livekit.0.calls;
    let facts = &mut arrival.facts;
    arrival.opening.owes_result = true;
    arrival.opening.answer_limit = Some(RING_LIMIT + SETUP_LIMIT);
    let trunk = match calls.bots().trunk(&arrival.opening.wanted, &facts.caller).await {
        Ok(found) => {
            if facts.caller.is_empty() {
                facts.caller.clone_from(&found.number);
            }
            Trunk::of(&found)
        }
        Err(why) => Err(why),
    };
    match trunk {
        Ok(trunk) => {
            let (to, from) = (facts.dialed.clone(), facts.caller.clone());
            arrival.dial = Some(Dial { to, from, trunk });
            answer(livekit, Place { slot, claim: None }, arrival).await;
        }
        Err(why) => {
            let opened = calls.open_as(slot, arrival.facts, arrival.opening).await;
            let Ok(line) = opened else { return };
            tracing::warn!(call_id = line.call().0, "no trunk: {why}");
            line.note("no_trunk", Object::from_iter([("why".to_owned(), json!(why))]));
            line.close(Reason::SignallingFailed);
        }
    }
}

/// For the Backend to say whether a bot answers to a number; after that a dispatch is accepted.
pub(super) const LOOKUP_LIMIT: Duration = Duration::from_secs(1);
/// For everything around the ringing of a phone that we call: room, trunk, the server's last word.
const SETUP_LIMIT: Duration = Duration::from_secs(20);
