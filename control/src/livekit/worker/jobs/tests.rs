use std::collections::HashMap;
use std::net::UdpSocket;

use livekit_protocol::Room;

use super::*;
use crate::calls::tests::calls;
use crate::config::{BotsConfig, LivekitConfig, Secret};

/// With room for `max_calls`, at a server.
pub(in crate::livekit::worker) fn livekit(
    dir: &std::path::Path,
    max_calls: usize,
    url: &str,
) -> Livekit {
    // The engine takes ports from a range; one from the kernel tells where there is room.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() & !1;
    let (calls, _) = calls(dir, &BotsConfig::BuiltIn, max_calls, port..=port + 19);
    let config = LivekitConfig {
        url: url.into(),
        api_key: "key".into(),
        api_secret: Secret::new("a-secret-that-is-long-enough-for-hs256"),
        agent_name: Some("vox".into()),
        watch: None,
    };
    Livekit::new(calls, config).unwrap()
}

fn jobs(livekit: &Livekit) -> (Jobs, mpsc::Receiver<UpdateJobStatus>) {
    let (tell, told) = mpsc::channel(8);
    (Jobs::new(livekit.clone(), tell), told)
}

/// About a caller in a room.
pub(in crate::livekit::worker) fn job(id: &str, room: &str) -> Job {
    let attribute = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let attributes = [
        ("sip.callID", "SCL_1"),
        ("sip.ruleID", "SDR_1"),
        ("sip.phoneNumber", "+15105550111"),
        ("sip.trunkPhoneNumber", "+15105550100"),
    ];
    Job {
        id: id.into(),
        room: Some(Room { name: room.into(), sid: "RM_1".into(), ..Room::default() }),
        participant: Some(ParticipantInfo {
            identity: "sip_1".into(),
            kind: participant_info::Kind::Sip.into(),
            attributes: HashMap::from(attributes.map(attribute)),
            ..ParticipantInfo::default()
        }),
        ..Job::default()
    }
}

/// Nobody is there.
const NOWHERE: &str = "ws://127.0.0.1:9";

fn offer(job: Job) -> AvailabilityRequest {
    AvailabilityRequest { job: Some(job), resuming: false }
}

fn change(mut job: Job, change: impl FnOnce(&mut ParticipantInfo)) -> Job {
    change(job.participant.as_mut().unwrap());
    job
}

#[test]
fn a_job_says_who_calls_whom_and_its_metadata_who_answers() {
    let wanted = |metadata: &str| {
        let (wanted, known) =
            Wanted::of(&Job { metadata: metadata.into(), ..job("AJ_1", "call-1") }).unwrap();
        assert_eq!(known.room_sid.as_deref(), Some("RM_1"));
        assert_eq!(known.sip_call.as_deref(), Some("SCL_1"));
        let ticket = Ticket { url: "ws://h".into(), token: "t".into() };
        wanted.arrival(ticket, CancellationToken::new())
    };
    let arrival = wanted(r#"{"bot_id": "b", "call_id": "c", "other": {}}"#);
    assert_eq!(
        (arrival.opening.wanted.bot_id.as_deref(), arrival.facts.stream_id.as_str()),
        (Some("b"), "c")
    );
    assert_eq!(arrival.facts.caller, "+15105550111");
    assert_eq!(arrival.facts.dialed, "+15105550100");
    assert_eq!(arrival.who, Who::Identity("sip_1".into()));
    for nothing in ["", "words", "[]", "{\"bot_id\": 7}"] {
        let arrival = wanted(nothing);
        assert_eq!(arrival.opening.wanted.bot_id, None, "{nothing}");
        assert!(uuid::Uuid::parse_str(&arrival.facts.stream_id).is_ok(), "{nothing}");
    }
}

#[test]
fn a_job_about_somebody_who_does_not_call_us_is_nobodys() {
    let check = |job: Job, expected: Option<CallDirection>| {
        assert_eq!(Wanted::of(&job).map(|(wanted, _)| wanted.direction), expected, "{job:?}");
    };
    let call = || job("AJ_1", "call-1");
    check(call(), Some(CallDirection::Inbound));
    check(Job { participant: None, ..call() }, None);
    check(Job { room: None, ..call() }, None);
    let browser = |them: &mut ParticipantInfo| them.kind = participant_info::Kind::Standard.into();
    check(change(call(), browser), None);
    let gone = |them: &mut ParticipantInfo| {
        them.attributes.insert("sip.callStatus".into(), "hangup".into());
    };
    check(change(call(), gone), None);
    let callee = change(call(), |them| drop(them.attributes.remove("sip.ruleID")));
    check(callee.clone(), None);
    let named = Job { metadata: r#"{"bot_id": "b"}"#.into(), ..callee };
    check(named, Some(CallDirection::Outbound));
}

#[tokio::test]
async fn an_offer_takes_a_slot_before_the_answer_and_a_full_worker_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let livekit = livekit(dir.path(), 1, NOWHERE);
    let (mut jobs, _told) = jobs(&livekit);
    let slots = livekit.0.calls.slots().clone();
    let yes = jobs.offered(offer(job("AJ_1", "call-1"))).unwrap();
    assert!(yes.available && yes.participant_identity.starts_with("vox-"), "{yes:?}");
    assert_eq!(slots.taken(), 1);
    let no = jobs.offered(offer(job("AJ_2", "call-2"))).unwrap();
    assert!(!no.available && !no.terminate, "another worker may have room: {no:?}");
    // Told of the same call a second time, nobody else is asked.
    let again = jobs.offered(offer(job("AJ_3", "call-1"))).unwrap();
    assert!(!again.available && again.terminate, "{again:?}");
    jobs.terminated("AJ_1");
    assert_eq!((slots.taken(), jobs.is_idle()), (0, true));
    let reasons = livekit.0.counts.refusals();
    assert_eq!((reasons[AT_CAPACITY], reasons[ANSWERED]), (1, 1));
}

#[tokio::test]
async fn a_slot_kept_for_a_job_that_is_never_assigned_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let livekit = livekit(dir.path(), 1, NOWHERE);
    let (mut jobs, mut told) = jobs(&livekit);
    jobs.offered(offer(job("AJ_1", "call-1"))).unwrap();
    jobs.lapse();
    assert_eq!(livekit.0.calls.slots().taken(), 1, "it is early yet");
    jobs.offered.get_mut("AJ_1").unwrap().until = Instant::now();
    jobs.lapse();
    assert_eq!((livekit.0.calls.slots().taken(), jobs.deadline()), (0, None));
    jobs.assigned(JobAssignment { job: Some(job("AJ_1", "call-1")), ..Default::default() });
    assert_eq!(told.try_recv().unwrap().status(), JobStatus::JsFailed);
    assert_eq!(livekit.0.calls.slots().taken(), 0);
}

#[tokio::test]
async fn a_job_whose_call_another_way_has_taken_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let livekit = livekit(dir.path(), 1, NOWHERE);
    let (mut jobs, mut told) = jobs(&livekit);
    jobs.offered(offer(job("AJ_1", "call-1"))).unwrap();
    // The only slot is the offer's; who brings the same call has it.
    let place = livekit.take("call-1", Known::default(), "posted").unwrap();
    jobs.assigned(JobAssignment { job: Some(job("AJ_1", "call-1")), ..Default::default() });
    assert_eq!(told.try_recv().unwrap().status(), JobStatus::JsSuccess);
    assert_eq!((livekit.0.calls.slots().taken(), jobs.running()), (1, 0));
    drop(place);
    assert_eq!(livekit.0.calls.slots().taken(), 0);
}

#[tokio::test]
async fn a_job_whose_room_cannot_be_had_runs_and_fails_and_its_slot_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let livekit = livekit(dir.path(), 1, NOWHERE);
    let (mut jobs, mut told) = jobs(&livekit);
    let echo = Job { metadata: r#"{"bot_id": "echo"}"#.into(), ..job("AJ_1", "call-1") };
    jobs.offered(offer(echo.clone())).unwrap();
    jobs.assigned(JobAssignment { job: Some(echo), ..Default::default() });
    assert_eq!(told.recv().await.unwrap().status(), JobStatus::JsRunning);
    let update = told.recv().await.unwrap();
    assert_eq!(update.status(), JobStatus::JsFailed);
    assert!(!update.error.is_empty());
    jobs.update(&update);
    assert!(jobs.is_idle());
    livekit.0.calls.idle().await;
    assert_eq!(livekit.0.calls.slots().taken(), 0);
}
