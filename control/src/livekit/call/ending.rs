//! The end of a call in a room: what its result says, and that nobody is left on the phone.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use vox_call::Reason;

use super::{RoomCall, outcome};
use crate::livekit::arrival::Outcome;
use crate::livekit::caller::Who;
use crate::livekit::counts::count;
use crate::livekit::server::ServerError;

/// How a call came to its end.
#[derive(Debug)]
pub(super) enum Fate {
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

impl Fate {
    /// For whoever brought the call, which was `answered` or not.
    pub(super) fn into_outcome(self, answered: bool) -> Outcome {
        match self {
            Self::Ended if !answered => Outcome::Failed("over before it was answered".into()),
            Self::Elsewhere(_) => Outcome::Elsewhere,
            Self::Lost(why) | Self::Unanswerable(why) => Outcome::Failed(why),
            Self::NotReached(error) => Outcome::Failed(error.to_string()),
            Self::HungUp | Self::Ended | Self::CalledOff | Self::Alone => Outcome::Answered,
        }
    }
}

impl RoomCall {
    /// Says how the call ended; the slot is free then.
    pub(super) fn settle(&self, fate: &Fate) {
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
    pub(super) async fn hang_up(&self, fate: &Fate) {
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
    pub(super) async fn see_it_cancelled(&mut self) {
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
