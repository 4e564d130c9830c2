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

use super::Livekit;
use super::session::{Seen, Session, Who};
use crate::calls::{LiveCall, Order};

/// How a call came to its end.
#[derive(Debug)]
enum Fate {
    /// The caller left.
    HungUp,
    /// The bot, a limit, the worker.
    Ended,
    /// The room is lost, or cannot be had.
    Lost(String),
    /// The bot's agent or the engine cannot take the call.
    Unanswerable(String),
}

/// Everything with `who` in `room`, to the end.
pub(super) async fn run(livekit: Livekit, mut line: LiveCall, room: String, who: Who) {
    let joined = tokio::select! {
        joined = Session::join(&livekit, line.seal(), &room, who) => {
            joined.map_err(|error| Fate::Lost(error.to_string()))
        }
        _ = line.ended() => Err(Fate::Ended),
    };
    let mut answered = false;
    let fate = match joined {
        Ok(mut session) => {
            let fate = talk(&mut session, &mut line, &mut answered).await;
            settle(&line, &fate, answered);
            session.leave().await;
            return;
        }
        Err(fate) => fate,
    };
    settle(&line, &fate, answered);
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
            Seen::Gone(why) => return Fate::Lost(why),
        }
    }
}

fn settle(line: &LiveCall, fate: &Fate, answered: bool) {
    match fate {
        Fate::HungUp if answered => line.close(Reason::CallerHungUp),
        Fate::HungUp => line.close(Reason::CallerCancelled),
        Fate::Ended => {}
        Fate::Lost(why) => fail(line, "room_lost", why),
        Fate::Unanswerable(why) => fail(line, "not_answered", why),
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
