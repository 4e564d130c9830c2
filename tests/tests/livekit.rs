//! Calls that wait in rooms of a real LiveKit server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vox_tests::livekit::{Server, has_network};
use vox_tests::worker::{Worker, http_post};
use vox_tests::{ears, one_at_a_time, wait_for};

/// Speech through Opus twice, and through two jitter buffers.
const PESQ_MIN: f64 = 3.0;
/// A server that nobody is at.
const NOWHERE: [(&str, &str); 4] = [
    ("LIVEKIT_URL", "ws://127.0.0.1:9"),
    ("LIVEKIT_API_KEY", "key"),
    ("LIVEKIT_API_SECRET", "a-secret-that-is-nowhere-in-the-result"),
    ("VOXCORE_SECRET", "between-services"),
];
/// For a change to be heard of.
const LIMIT: Duration = Duration::from_secs(5);
const SECRET: &str = "X-VoxCore-Secret: between-services\r\n";

#[test]
fn a_phone_in_a_room_is_answered_heard_and_recorded_and_its_hang_up_frees_the_slot() {
    let _turn = one_at_a_time();
    let name = "a_phone_in_a_room_is_answered_heard_and_recorded_and_its_hang_up_frees_the_slot";
    if !has_network(name) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let worker = Worker::start("", &server.environment());
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    let phone = server.call("call-1", &speech, &["--early-digits", "9", "--digits", "12#"]);
    let (status, body) = dispatch(&worker, SECRET, "echo");
    assert_eq!(status, 200, "{body}");
    let accepted: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(accepted["status"], "accepted");

    let (events, heard) = phone.ended();
    assert!(events.iter().any(|event| event["event"] == "active"), "{events:?}");
    wait_for("a free slot", Duration::from_secs(2), || (worker.calls() == 0).then_some(()));
    let result = worker.results(1, Duration::from_secs(2)).remove(0);
    assert_eq!(result["stream_id"], accepted["call_id"]);
    assert_eq!(result["disconnected_by"], "customer", "{result}");
    assert_eq!((&result["media"]["codec"], &result["media"]["lost"]), (&json!("opus"), &json!(0)));
    assert!(result["media"]["dtmf"].as_str().is_some_and(|keys| keys.ends_with("12#")), "{result}");

    let recording = worker.recordings(1, Duration::from_secs(5)).remove(0);
    let wav = ears::wav(&recording);
    assert_eq!((wav.rate_hz, wav.channels), (16_000, 2));
    let Some(caller) = ears::pesq_of(&speech, &recording, 0) else { return };
    let Some(echo) = ears::pesq(&speech, &heard) else { return };
    println!(
        "LiveKit: caller as recorded PESQ {:.2}, echo at the phone {:.2} after {:.0} ms, answered {} ms after the dispatch",
        caller.pesq, echo.pesq, echo.offset_ms, result["events"][0]["offset_ms"]
    );
    assert!(caller.pesq >= PESQ_MIN && echo.pesq >= PESQ_MIN, "{caller:?} {echo:?}");
}

#[test]
fn a_bot_that_is_muted_in_its_room_is_silent_until_it_may_speak_again() {
    let _turn = one_at_a_time();
    if !has_network("a_bot_that_is_muted_in_its_room_is_silent_until_it_may_speak_again") {
        return;
    }
    let Some(server) = Server::start_with("room: {enable_remote_unmute: true}\n") else { return };
    let worker = Worker::start("", &server.environment());
    let Some(speech) = ears::speech(worker.directory(), 48_000, 12) else { return };
    let mut phone = server.call("call-1", &speech, &[]);
    assert_eq!(dispatch(&worker, SECRET, "tone").0, 200);
    phone.wait_for("active");
    assert!(packets_a_second(&worker) > 30.0, "the tone goes out");
    mute(&server, "call-1", true);
    wait_for("silence", LIMIT, || (packets_a_second(&worker) < 15.0).then_some(()));
    mute(&server, "call-1", false);
    wait_for("the tone again", LIMIT, || (packets_a_second(&worker) > 30.0).then_some(()));
    phone.ended();
    let result = worker.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(result["disconnected_by"], "customer", "{result}");
}

#[test]
fn a_dispatch_without_the_secret_or_without_livekit_starts_nothing() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[("VOXCORE_SECRET", "between-services")]);
    assert_eq!(dispatch(&worker, "", "echo"), (403, r#"{"detail":"forbidden"}"#.into()));
    let unconfigured = (503, r#"{"detail":"livekit_not_configured"}"#.into());
    assert_eq!(dispatch(&worker, SECRET, "echo"), unconfigured);
}

#[test]
fn a_body_that_is_no_dispatch_is_told_what_is_missing_and_takes_no_slot() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &NOWHERE);
    let rows = [(400, "{"), (422, r#"{"room_name":"call-1","caller_number":"1"}"#)];
    for (expected, body) in rows {
        let (status, answer) = http_post(worker.http, "/livekit/dispatch", SECRET, body);
        assert_eq!(status, expected, "{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let detail = answer["detail"].as_str().expect("words");
        assert!(expected != 422 || detail.contains("dialed_number"), "{detail}");
    }
    assert_eq!(worker.calls(), 0);
}

#[test]
fn a_server_that_cannot_be_reached_is_named_in_the_result() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &NOWHERE);
    assert_eq!(dispatch(&worker, SECRET, "echo").0, 200);
    let result = worker.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!((&result["disconnected_by"], worker.calls()), (&json!("error"), 0));
    assert_eq!(result["events"][0]["event"], "room_lost", "{result}");
    assert!(!result.to_string().contains("nowhere-in-the-result"));
}

/// Datagrams that the worker sends: 50 a second of audio, and a few of ICE and RTCP.
fn packets_a_second(worker: &Worker) -> f64 {
    let sent = || worker.metric("vox_packets_sent_total").expect("a counter");
    let (before, began) = (sent(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    (sent() - before) / began.elapsed().as_secs_f64()
}

/// Has the server mute the bot's track in `room`, or let it speak again.
fn mute(server: &Server, room: &str, muted: bool) {
    let people = server.api("RoomService/ListParticipants", &json!({"room": room}));
    let people = people["participants"].as_array().expect("a list");
    let bot = people.iter().find(|them| them["kind"] == "AGENT").expect("the bot");
    let body = json!({
        "room": room, "identity": bot["identity"], "track_sid": bot["tracks"][0]["sid"], "muted": muted,
    });
    server.api("RoomService/MutePublishedTrack", &body);
}

fn dispatch(worker: &Worker, headers: &str, dialed: &str) -> (u16, String) {
    let body = json!({
        "room_name": "call-1", "caller_number": "+15105550111", "dialed_number": dialed,
    });
    http_post(worker.http, "/livekit/dispatch", headers, &body.to_string())
}
