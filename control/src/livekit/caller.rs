//! Whom a call is with, among those in its room.

use livekit_protocol::{
    DisconnectReason, ParticipantInfo, TrackInfo, TrackSource, TrackType, participant_info,
};

/// Whom a call is with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// The first who came by telephone.
    Phone,
    /// The one with this identity: somebody who has been called, by telephone or not.
    Identity(String),
    /// The first ordinary participant: a visitor's browser.
    Visitor,
}

/// What a change in the room means to the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing, or nothing yet.
    None,
    /// The caller is to be heard on the track with this sid from now on.
    Track(String),
    /// The caller has left, or hung up.
    Left,
}

/// The caller, as far as the room has told.
#[derive(Debug)]
pub(super) struct Caller {
    who: Who,
    them: Option<Them>,
}

/// A participant that was found to be the caller.
#[derive(Debug)]
struct Them {
    sid: String,
    identity: String,
    is_phone: bool,
    version: u32,
    /// The track that we hear.
    track: Option<TrackInfo>,
    /// Not before it says `active` can a phone hear us; who is no phone says nothing.
    is_active: bool,
    /// Seen in the room since we came (back).
    present: bool,
}

impl Caller {
    /// Somebody whom the room has not told of yet.
    pub(super) fn new(who: Who) -> Self {
        Self { who, them: None }
    }

    /// Somebody came, changed or left.
    pub(super) fn update(&mut self, info: ParticipantInfo) -> Change {
        match &mut self.them {
            Some(them) if them.sid == info.sid => them.update(info),
            // Back after a connection of their own was lost, or after ours was.
            Some(them) if !them.present && them.identity == info.identity && !has_left(&info) => {
                *them = Them::new(&info);
                them.update(info)
            }
            None if self.who.is(&info) && !has_left(&info) => {
                self.them.insert(Them::new(&info)).update(info)
            }
            _ => Change::None,
        }
    }

    /// We were out of the room: who is still there will be told of.
    pub(super) fn unconfirm(&mut self) {
        if let Some(them) = &mut self.them {
            them.present = false;
        }
    }

    /// We are in the room as somebody new: what the caller's track has to be asked for again.
    pub(super) fn forget_track(&mut self) {
        self.unconfirm();
        if let Some(them) = &mut self.them {
            (them.version, them.track) = (0, None);
        }
    }

    /// Whether a caller was known, but is not seen now.
    pub(super) fn is_missing(&self) -> bool {
        self.them.as_ref().is_some_and(|them| !them.present)
    }

    /// Their identity, and whether they came by telephone; once they are there.
    pub(super) fn who(&self) -> Option<(&str, bool)> {
        self.them.as_ref().map(|them| (them.identity.as_str(), them.is_phone))
    }

    /// Whether they can hear us.
    pub(super) fn is_active(&self) -> bool {
        self.them.as_ref().is_some_and(|them| them.is_active)
    }

    /// Whether they have switched their microphone off.
    pub(super) fn is_muted(&self) -> bool {
        self.track().is_some_and(|track| track.muted)
    }

    /// The sid of the track that we hear.
    pub(super) fn track_sid(&self) -> Option<&str> {
        self.track().map(|track| track.sid.as_str())
    }

    fn track(&self) -> Option<&TrackInfo> {
        self.them.as_ref()?.track.as_ref()
    }
}

impl Who {
    /// Whether it is they.
    pub(super) fn is(&self, info: &ParticipantInfo) -> bool {
        match self {
            Self::Phone => info.kind() == participant_info::Kind::Sip,
            Self::Identity(identity) => *identity == info.identity,
            Self::Visitor => info.kind() == participant_info::Kind::Standard,
        }
    }
}

impl Them {
    fn new(info: &ParticipantInfo) -> Self {
        Self {
            sid: info.sid.clone(),
            identity: info.identity.clone(),
            is_phone: Who::Phone.is(info),
            version: 0,
            track: None,
            is_active: false,
            present: true,
        }
    }

    fn update(&mut self, info: ParticipantInfo) -> Change {
        if has_left(&info) {
            self.present = false;
            let again = [DisconnectReason::DuplicateIdentity, DisconnectReason::Migration];
            return match again.contains(&info.disconnect_reason()) {
                true => Change::None,
                false => Change::Left,
            };
        }
        self.present = true;
        // The same version comes twice, and a lower one is old.
        if info.version < self.version {
            return Change::None;
        }
        self.version = info.version;
        let status = info.attributes.get("sip.callStatus");
        self.is_active = status.is_none_or(|status| status == "active");
        let before = self.track.take();
        self.track = hearable(info.tracks, before.as_ref());
        match &self.track {
            Some(track) if before.is_none_or(|before| before.sid != track.sid) => {
                Change::Track(track.sid.clone())
            }
            _ => Change::None,
        }
    }
}

/// The track to hear, of however many there are: the one that is heard already, a microphone's,
/// any audio.
fn hearable(tracks: Vec<TrackInfo>, heard: Option<&TrackInfo>) -> Option<TrackInfo> {
    let audio = tracks.into_iter().filter(|track| track.r#type() == TrackType::Audio);
    audio.max_by_key(|track| {
        let is_heard = heard.is_some_and(|heard| heard.sid == track.sid);
        (is_heard, track.source() == TrackSource::Microphone)
    })
}

fn has_left(info: &ParticipantInfo) -> bool {
    info.state() == participant_info::State::Disconnected
        || info.attributes.get("sip.callStatus").is_some_and(|status| status == "hangup")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(
        sid: &str,
        version: u32,
        status: &str,
        tracks: &[(&str, TrackSource)],
    ) -> ParticipantInfo {
        let tracks = tracks.iter().map(|&(sid, source)| TrackInfo {
            sid: sid.to_owned(),
            r#type: TrackType::Audio.into(),
            source: source.into(),
            ..TrackInfo::default()
        });
        let mut info = ParticipantInfo {
            sid: sid.to_owned(),
            identity: "sip_1".to_owned(),
            state: participant_info::State::Active.into(),
            version,
            tracks: tracks.collect(),
            ..ParticipantInfo::default()
        };
        info.set_kind(participant_info::Kind::Sip);
        info.attributes.insert("sip.callStatus".into(), status.into());
        info
    }

    #[test]
    fn one_track_of_ten_is_heard_a_microphone_first_and_no_other_while_it_lasts() {
        let mut caller = Caller::new(Who::Phone);
        let (other, microphone) = (TrackSource::Unknown, TrackSource::Microphone);
        let mut many = vec![("TR_a", other), ("TR_b", microphone)];
        let rows = [("TR_c", other), ("TR_d", microphone), ("TR_e", microphone)];
        assert_eq!(
            caller.update(phone("PA_1", 1, "ringing", &many[..1])),
            Change::Track("TR_a".into())
        );
        many.extend(rows);
        assert_eq!(caller.update(phone("PA_1", 2, "active", &many)), Change::None);
        assert!(caller.is_active());
        many.remove(0);
        assert!(matches!(caller.update(phone("PA_1", 3, "active", &many)), Change::Track(_)));
        // Twice the same, and one that was overtaken.
        assert_eq!(caller.update(phone("PA_1", 3, "active", &many)), Change::None);
        assert_eq!(caller.update(phone("PA_1", 2, "ringing", &[])), Change::None);
        assert!(caller.is_active());
    }

    #[test]
    fn only_the_caller_who_left_ends_the_call() {
        let mut caller = Caller::new(Who::Phone);
        caller.update(phone("PA_1", 1, "active", &[]));
        assert_eq!(caller.update(phone("PA_2", 1, "hangup", &[])), Change::None);
        assert_eq!(caller.update(phone("PA_1", 2, "hangup", &[])), Change::Left);
    }

    #[test]
    fn a_caller_who_comes_again_is_the_same_caller() {
        let mut caller = Caller::new(Who::Phone);
        let microphone = [("TR_a", TrackSource::Microphone)];
        caller.update(phone("PA_1", 7, "active", &microphone));
        let mut replaced = phone("PA_1", 8, "active", &microphone);
        replaced.set_state(participant_info::State::Disconnected);
        replaced.set_disconnect_reason(DisconnectReason::DuplicateIdentity);
        assert_eq!(caller.update(replaced), Change::None);
        assert!(caller.is_missing());
        let again = phone("PA_2", 1, "active", &[("TR_b", TrackSource::Microphone)]);
        assert_eq!(caller.update(again), Change::Track("TR_b".into()));
        assert!(!caller.is_missing());
    }
}
