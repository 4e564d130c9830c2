use livekit_protocol::participant_info::{Kind, State};

use super::*;

fn caller(status: &str, rule: &str) -> ParticipantInfo {
    let attributes = [("sip.callStatus", status), ("sip.ruleID", rule)];
    let set = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    ParticipantInfo {
        sid: "PA_1".into(),
        kind: Kind::Sip.into(),
        state: State::Active.into(),
        attributes: set.map(|(name, value)| (name.into(), value.into())).collect(),
        ..ParticipantInfo::default()
    }
}

#[test]
fn only_a_caller_who_rings_waits_for_us() {
    let check = |them: ParticipantInfo, expected: bool| {
        assert_eq!(is_ringing(&them), expected, "{them:?}");
    };
    check(caller("ringing", "SDR_1"), true);
    check(caller("active", "SDR_1"), false);
    check(caller("hangup", "SDR_1"), false);
    check(caller("ringing", ""), false);
    check(caller("", "SDR_1"), false);
    check(ParticipantInfo { kind: Kind::Standard.into(), ..caller("ringing", "SDR_1") }, false);
    check(ParticipantInfo { state: State::Disconnected.into(), ..caller("ringing", "S") }, false);
}

#[test]
fn whoever_answers_is_an_agent_of_ours_or_not() {
    let check = |kind: Kind, state: State, expected: bool| {
        let them = ParticipantInfo {
            identity: "somebody".into(),
            kind: kind.into(),
            state: state.into(),
            ..ParticipantInfo::default()
        };
        assert_eq!(is_agent(&them), expected, "{them:?}");
    };
    check(Kind::Agent, State::Joined, true);
    check(Kind::Agent, State::Disconnected, false);
    check(Kind::Egress, State::Active, false);
    check(Kind::Standard, State::Active, false);
}

#[test]
fn clocks_that_disagree_make_nobody_wait_for_ever_or_a_negative_time() {
    let now = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
    let check = |joined_at_ms, expected_ms| {
        let them = ParticipantInfo { joined_at_ms, ..ParticipantInfo::default() };
        assert_eq!(age(&them, now), Duration::from_millis(expected_ms), "{joined_at_ms}");
    };
    check(1_000_000_000 - 1_500, 1_500);
    check(1_000_000_000 + 1_500, 0);
    check(0, 0);
    check(1, 600_000);
    check(i64::MAX, 0);
}
