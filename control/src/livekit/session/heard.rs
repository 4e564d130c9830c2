//! What the server and the peer say.

use std::time::Duration;

use livekit_protocol::leave_request::Action;
use livekit_protocol::{
    MuteTrackRequest, ParticipantInfo, SessionDescription, UpdateSubscription, signal_request,
};
use serde::Deserialize;
use vox_call::{Negotiation, PeerEvent};
use vox_webrtc::Offer;

use super::credit::Credit;
use super::upkeep::Keep;
use super::{RECOVERY_LIMIT, Seen, Session};
use crate::calls::PeerNews;
use crate::livekit::caller::Change;
use crate::livekit::claims::is_rival;
use crate::livekit::keys;
use crate::livekit::signal::{Dismissal, Said, SignalError, description};

impl Session {
    pub(super) async fn said(&mut self, said: Said) -> Result<Option<Seen>, SignalError> {
        if !self.credit.take(self.heard) {
            return Ok(Some(Seen::Gone(format!(
                "the server floods: more than {} messages a second",
                Credit::RATE
            ))));
        }
        match said {
            Said::Answer(answer) => return Ok(self.answered_with(answer)),
            Said::Trickle(trickle) => self.candidate(&trickle.candidate_init),
            Said::Update(update) => return self.people(update.participants).await,
            Said::MediaSectionsRequirement(lines) => {
                self.offer(lines.num_audios.min(LINES_MAX) as usize, false)?;
            }
            // Somebody is about to hear us: the caller, whoever else there may be.
            Said::TrackSubscribed(_) => self.wanted = true,
            Said::TrackPublished(published) => self.us.track = Some(published),
            Said::Mute(mute) => return self.mute(mute).await,
            Said::RefreshToken(token) => self.way.ticket.token = token,
            Said::RoomMoved(moved) => {
                self.way.ticket.token = moved.token;
                if let Some(us) = moved.participant {
                    self.us.info = us;
                }
                self.caller.unconfirm();
                self.wait_for(RECOVERY_LIMIT);
                return self.people(moved.other_participants).await;
            }
            Said::Leave(leave) => return Ok(self.dismissed(leave.into())),
            _ => {}
        }
        Ok(None)
    }

    fn answered_with(&mut self, answer: SessionDescription) -> Option<Seen> {
        self.media.stale &= self.media.joining.is_none();
        let done = match self.media.joining.take() {
            Some(mut peer) => match peer.answer(&answer.sdp) {
                Ok(()) => self.line.join(peer).map_err(|refused| refused.to_string()),
                Err(unusable) => Err(unusable.to_string()),
            },
            None => self
                .line
                .negotiate(Negotiation::Answer(answer.sdp.clone()))
                .map_err(|refused| refused.to_string()),
        };
        self.us.answer = Some(answer);
        done.err().map(Seen::Gone)
    }

    /// One that is of no use is not the only one.
    fn candidate(&mut self, init: &str) {
        #[derive(Deserialize)]
        struct Init {
            candidate: String,
        }
        let Ok(Init { candidate }) = serde_json::from_str(init) else { return };
        match &mut self.media.joining {
            _ if candidate.is_empty() => {}
            Some(peer) => drop(peer.candidate(&candidate)),
            None => drop(self.line.negotiate(Negotiation::Candidate(candidate))),
        }
    }

    async fn mute(&mut self, mute: MuteTrackRequest) -> Result<Option<Seen>, SignalError> {
        let ours = self.us.track.as_ref().and_then(|published| published.track.as_ref());
        if ours.is_some_and(|track| track.sid == mute.sid) {
            self.us.muted = mute.muted;
            self.send(signal_request::Message::Mute(mute)).await?;
        }
        Ok(None)
    }

    fn dismissed(&mut self, why: Dismissal) -> Option<Seen> {
        let keep = match why.action {
            Action::Disconnect => return Some(Seen::Gone(why.to_string())),
            Action::Resume => Keep::Media,
            Action::Reconnect => Keep::Nothing,
        };
        self.lose(SignalError::Dismissed(why), keep)
    }

    /// Participants came, changed or left.
    pub(super) async fn people(
        &mut self,
        people: Vec<ParticipantInfo>,
    ) -> Result<Option<Seen>, SignalError> {
        for them in people {
            if is_rival(&them, &self.us.info) {
                return Ok(Some(Seen::Rival(them.identity)));
            }
            match self.caller.update(them) {
                Change::None => {}
                Change::Track(sid) => {
                    let subscription = subscription(&sid);
                    self.send(signal_request::Message::Subscription(subscription)).await?;
                }
                Change::Left => return Ok(Some(Seen::CallerLeft)),
            }
        }
        if self.caller.is_missing() {
            self.wait_for(RECOVERY_LIMIT);
        }
        Ok(None)
    }

    /// The peer has news.
    pub(super) async fn told(&mut self, news: PeerNews) -> Result<Option<Seen>, SignalError> {
        match news {
            PeerNews::Event(
                PeerEvent::Connected | PeerEvent::Interrupted | PeerEvent::Closed(_),
            ) if self.media.stale => {}
            PeerNews::Event(PeerEvent::Connected) => {
                self.media.connected = true;
                for key in std::mem::take(&mut self.media.keys).chars() {
                    self.press(key)?;
                }
            }
            PeerNews::Event(PeerEvent::Interrupted) => return Ok(self.interrupted(MEDIA_PATIENCE)),
            // When the server has sent us away it says so, too.
            PeerNews::Event(PeerEvent::Closed(why)) => {
                tracing::debug!("media are closed: {why}");
                return Ok(self.interrupted(LAST_WORDS));
            }
            PeerNews::Event(PeerEvent::Refused(why)) => return Ok(Some(Seen::Gone(why))),
            PeerNews::Event(PeerEvent::Data(bytes)) => {
                return Ok(keys::pressed(&bytes).map(Seen::Digit));
            }
            PeerNews::Offered(Some(Offer { sdp })) => {
                self.us.offers += 1;
                let offer = description(sdp, self.us.offers);
                (self.us.offer, self.us.answer) = (Some(offer.clone()), None);
                self.send(signal_request::Message::Offer(offer)).await?;
            }
            PeerNews::Offered(None) => {}
            PeerNews::Press(digits) => {
                for digit in digits.iter() {
                    self.press(digit)?;
                }
            }
        }
        Ok(None)
    }

    fn press(&mut self, key: char) -> Result<(), SignalError> {
        if self.media.connected {
            return self.step(Negotiation::Message(keys::press(key).into()));
        }
        if self.media.keys.len() < KEYS_MAX {
            self.media.keys.push(key);
        }
        Ok(())
    }
}

pub(super) fn subscription(track: &str) -> UpdateSubscription {
    UpdateSubscription {
        track_sids: vec![track.to_owned()],
        subscribe: true,
        ..UpdateSubscription::default()
    }
}

/// Lines that a server may ask for at once.
const LINES_MAX: u32 = 4;
/// Keys that wait for media.
const KEYS_MAX: usize = 32;
/// For the path of media to be found again, before the connection is given up.
pub(super) const MEDIA_PATIENCE: Duration = Duration::from_secs(4);
/// For a server that closes media to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);
