//! One call in a room, from its slot to its result.
//!
//! ```text
//! open ─► join ─► wait ─► talk ─► leave
//!  config  room    active  media
//! ```

use std::time::Duration;

use vox_call::{Direction, MediaSession, Reason};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_contracts::Object;
use vox_webrtc::OPUS_PAYLOAD_TYPE;

use super::arrival::{Arrival, Outcome};
use super::session::{Seen, Session};
use super::signal::SignalError;
use super::{Livekit, claims, token};
use crate::calls::{LiveCall, Order};

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
    /// The room is lost, or cannot be had.
    Lost(String),
    /// The bot's agent or the engine cannot take the call.
    Unanswerable(String),
}

/// Everything with an arrival, to the end.
pub(super) async fn run(livekit: Livekit, mut line: LiveCall, arrival: Arrival) -> Outcome {
    let Arrival { room, who, ticket, stop, .. } = arrival;
    let ticket = match ticket {
        Some(ticket) => Ok(ticket),
        None => token::ticket(&livekit.0.config, &room, &claims::identity()),
    };
    let peer = line.seal();
    let join = async {
        let ticket = ticket.map_err(Fate::Lost)?;
        Session::join(&livekit, peer, ticket, who).await.map_err(|error| match error {
            SignalError::Rival(by) => Fate::Elsewhere(by),
            error => Fate::Lost(error.to_string()),
        })
    };
    let joined = tokio::select! {
        joined = join => joined,
        _ = line.ended() => Err(Fate::Ended),
        () = stop.cancelled() => Err(Fate::CalledOff),
    };
    let mut answered = false;
    let fate = match joined {
        Ok(mut session) => {
            let fate = tokio::select! {
                fate = talk(&mut session, &mut line, &mut answered) => fate,
                () = stop.cancelled() => Fate::CalledOff,
            };
            settle(&line, &fate, answered);
            session.leave().await;
            return outcome(fate);
        }
        Err(fate) => fate,
    };
    settle(&line, &fate, answered);
    outcome(fate)
}

async fn talk(session: &mut Session, line: &mut LiveCall, answered: &mut bool) -> Fate {
    loop {
        let coming = tokio::select! {
            coming = session.next() => coming,
            order = line.next_order() => match order {
                Order::Ended(_) => return Fate::Ended,
                Order::Transfer { .. } => {
                    line.transferred("livekit_sip_refer", Err("not from a room yet".into()));
                    continue;
                }
            },
        };
        let Some(seen) = session.take(coming).await else { continue };
        match seen {
            Seen::Answered => match line.answer(media()).await {
                Ok(()) => *answered = true,
                Err(error) => return Fate::Unanswerable(error.to_string()),
            },
            Seen::Digit(digit) => line.digit_from_signalling(digit, DIGIT),
            Seen::CallerLeft => return Fate::HungUp,
            Seen::Rival(by) => return Fate::Elsewhere(by),
            Seen::Gone(why) => return Fate::Lost(why),
        }
    }
}

fn settle(line: &LiveCall, fate: &Fate, answered: bool) {
    match fate {
        Fate::HungUp if answered => line.close(Reason::CallerHungUp),
        Fate::HungUp => line.close(Reason::CallerCancelled),
        Fate::Ended => {}
        Fate::CalledOff => {
            line.note("called_off", Object::new());
            line.close(Reason::BotHungUp);
        }
        Fate::Elsewhere(by) => {
            tracing::info!(call_id = line.call().0, by, "another worker was there first");
            line.note(
                "answered_elsewhere",
                [("by".to_owned(), by.clone().into())].into_iter().collect(),
            );
            // Whoever has spoken already owes a result.
            if answered { line.close(Reason::BotHungUp) } else { line.withdraw() }
        }
        Fate::Lost(why) => fail(line, "room_lost", why),
        Fate::Unanswerable(why) => fail(line, "not_answered", why),
    }
}

fn outcome(fate: Fate) -> Outcome {
    match fate {
        Fate::HungUp | Fate::Ended | Fate::CalledOff => Outcome::Answered,
        Fate::Elsewhere(_) => Outcome::Elsewhere,
        Fate::Lost(why) | Fate::Unanswerable(why) => Outcome::Failed(why),
    }
}

fn fail(line: &LiveCall, event: &str, why: &str) {
    tracing::warn!(call_id = line.call().0, "{event}: {why}");
    line.note(event, [("why".to_owned(), why.into())].into_iter().collect::<Object>());
    line.close(Reason::SignallingFailed);
}

/// What goes through the peer: Opus at 48 kHz, which the engine hears and speaks wide-band.
fn media() -> MediaSession {
    MediaSession::sealed(
        OPUS_PAYLOAD_TYPE,
        Direction::SendRecv,
        Encoder::new(CodecKind::Opus),
        Decoder::new(CodecKind::Opus),
    )
}

/// What a phone's key is taken to last: nobody says.
const DIGIT: Duration = Duration::from_millis(250);
