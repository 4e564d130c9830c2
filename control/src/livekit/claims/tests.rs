use super::*;
use crate::calls::Slots;

const ROOM: &str = "call-1";

fn known(room_sid: &str, sip_call: &str) -> Known {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Known { room_sid: some(room_sid), sip_call: some(sip_call) }
}

fn already(call_id: &str) -> NotTaken {
    NotTaken::Already(call_id.to_owned())
}

#[test]
fn the_first_way_in_has_the_call_and_the_others_learn_its_id_until_it_is_forgotten() {
    let (claims, slots) = (Claims::default(), Slots::new(2));
    let take = |call_id: &str| claims.take(ROOM, Known::default(), call_id, || slots.admit());
    let first = take("a").unwrap();
    assert_eq!(take("b").unwrap_err(), already("a"));
    assert_eq!(slots.taken(), 1);
    drop(first);
    assert_eq!(slots.taken(), 0);
    assert_eq!(take("b").unwrap_err(), already("a"));
    claims.lock().sweep(Instant::now() + LINGER);
    take("b").unwrap();
}

#[test]
fn calls_are_told_apart_by_what_is_known_of_both() {
    let check = |held: Known, asked: Known, same: bool| {
        let (claims, slots) = (Claims::default(), Slots::new(2));
        let _held = claims.take(ROOM, held.clone(), "a", || slots.admit()).unwrap();
        let asked_too = claims.take(ROOM, asked.clone(), "b", || slots.admit());
        assert_eq!(asked_too.is_err(), same, "{held:?} {asked:?}");
        assert!(claims.take("call-2", asked, "c", || Err(Refusal::Full)).is_err());
    };
    check(known("", ""), known("RM_1", "SCL_1"), true);
    check(known("RM_1", ""), known("", "SCL_1"), true);
    check(known("RM_1", "SCL_1"), known("RM_1", "SCL_1"), true);
    check(known("RM_1", ""), known("RM_2", ""), false);
    check(known("RM_1", "SCL_1"), known("RM_1", "SCL_2"), false);
}

#[test]
fn what_is_learnt_later_tells_calls_apart_as_well() {
    let (claims, slots) = (Claims::default(), Slots::new(2));
    let (claim, _slot) = claims.take(ROOM, Known::default(), "a", || slots.admit()).unwrap();
    assert!(claims.has(ROOM, &known("", "SCL_2")));
    claim.learn(known("", "SCL_1"));
    assert!(!claims.has(ROOM, &known("", "SCL_2")));
    assert!(claims.has(ROOM, &known("", "SCL_1")));
}

#[test]
fn a_full_worker_claims_nothing() {
    let (claims, slots) = (Claims::default(), Slots::new(1));
    let _other = slots.admit().unwrap();
    let refused = claims.take(ROOM, Known::default(), "a", || slots.admit()).unwrap_err();
    assert_eq!(refused, NotTaken::Refused(Refusal::Full));
    assert!(!claims.has(ROOM, &Known::default()));
}

#[test]
fn an_offer_keeps_a_place_which_another_way_takes_over() {
    let (claims, slots) = (Claims::default(), Slots::new(1));
    let offer = claims.offer(ROOM, known("RM_1", ""), "job", || slots.admit()).unwrap();
    assert_eq!(
        claims.offer(ROOM, Known::default(), "b", || slots.admit()).err(),
        Some(already("job"))
    );
    let (claim, slot) = claims.take(ROOM, Known::default(), "post", || slots.admit()).unwrap();
    assert!(offer.take().is_none());
    let late = claims.take(ROOM, known("RM_1", ""), "c", || slots.admit()).unwrap_err();
    assert_eq!((late, slots.taken()), (already("post"), 1));
    drop((claim, slot));
    assert_eq!(slots.taken(), 0);
}

#[test]
fn an_offer_that_comes_to_nothing_gives_its_place_back_and_leaves_no_claim() {
    let (claims, slots) = (Claims::default(), Slots::new(1));
    drop(claims.offer(ROOM, Known::default(), "job", || slots.admit()).unwrap());
    assert_eq!((slots.taken(), claims.has(ROOM, &Known::default())), (0, false));
    let offer = claims.offer(ROOM, Known::default(), "job", || slots.admit()).unwrap();
    let (_claim, _slot) = offer.take().unwrap();
    assert_eq!((slots.taken(), claims.has(ROOM, &Known::default())), (1, true));
}

#[test]
fn of_two_in_a_room_exactly_one_leaves_and_nobody_leaves_itself() {
    let us = |joined_at_ms, sid: &str| ParticipantInfo {
        joined_at_ms,
        sid: sid.into(),
        identity: format!("vox-{sid}"),
        kind: participant_info::Kind::Agent.into(),
        ..ParticipantInfo::default()
    };
    let rows = [((1, "PA_b"), (2, "PA_a")), ((1, "PA_a"), (1, "PA_b"))];
    for ((at, sid), (other_at, other_sid)) in rows {
        let (first, second) = (us(at, sid), us(other_at, other_sid));
        assert!(is_rival(&first, &second) && !is_rival(&second, &first));
    }
    // Joined anew by the same name: what is left of before is no rival.
    assert!(!is_rival(&us(1, "PA_a"), &us(2, "PA_a")));
}

#[test]
fn only_an_agent_with_a_name_of_ours_is_one_of_ours() {
    use participant_info::{Kind, State};
    let check = |kind: Kind, identity: &str, state: State, expected: bool| {
        let them = ParticipantInfo {
            kind: kind.into(),
            identity: identity.into(),
            state: state.into(),
            ..ParticipantInfo::default()
        };
        assert_eq!(is_ours(&them), expected, "{them:?}");
    };
    check(Kind::Agent, &identity(), State::Joined, true);
    check(Kind::Agent, "vox-1", State::Disconnected, false);
    check(Kind::Agent, "agent-AJ_1", State::Active, false);
    check(Kind::Sip, "vox-1", State::Active, false);
}
