//! A caller in a room of a real LiveKit server, from the server's webhook to a bot that answers.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tungstenite::Message;
use vox_tests::brain::{self, Brain};
use vox_tests::livekit::{Server, has_network};
use vox_tests::webhooks::{PATH, Webhooks};
use vox_tests::worker::{Worker, http_post};
use vox_tests::{ears, one_at_a_time, wait_for};
use vox_webhooks::{Event, Refusal};

const BOTS: &str = "[bots.reception]\nnumbers = [\"+15105550100\"]\nagent = { kind = \"echo\" }\n\
                    recording = { enabled = true, channels = 2, sample_rate = 16000 }\n";

#[test]
fn a_caller_is_answered_and_heard_because_the_servers_webhook_says_that_he_waits() {
    let _turn = one_at_a_time();
    if !has_network("a_caller_is_answered_and_heard_because_the_servers_webhook_says_that_he_waits")
    {
        return;
    }
    let webhooks = Webhooks::start();
    let Some(server) = Server::with_webhook(&webhooks.url()) else { return };
    let worker = Worker::start(BOTS, &server.environment());
    webhooks.send_calls_to(worker.http);
    let Some(speech) = ears::speech(worker.directory(), 48_000, 8) else { return };

    let phone = server.call("call-_+15105550111_x", &speech, &["--digits", "12#"]);
    let (events, heard) = phone.ended();
    assert!(events.iter().any(|event| event["event"] == "active"), "{events:?}");
    wait_for("a free slot", Duration::from_secs(2), || (worker.calls() == 0).then_some(()));
    let result = worker.results(1, Duration::from_secs(2)).remove(0);
    assert_eq!(result["disconnected_by"], "customer", "{result}");
    let calls = webhooks.heard().into_iter().filter_map(|heard| heard.event.ok());
    let call_id = calls.filter_map(|event| Some(event.inbound_call()?.call_id.to_owned())).next();
    assert_eq!(result["stream_id"].as_str(), call_id.as_deref(), "{result}");
    assert_eq!(result["caller_id"], "+15105550111", "{result}");
    assert!(result["media"]["dtmf"].as_str().is_some_and(|keys| keys.ends_with("12#")), "{result}");
    let recording = worker.recordings(1, Duration::from_secs(5)).remove(0);
    was_heard(&speech, &recording, &heard);

    tells_of_the_whole_call(&webhooks);
    let dispatched: Vec<_> = webhooks.heard().into_iter().filter_map(|it| it.dispatch).collect();
    assert_eq!(dispatched.len(), 1, "{dispatched:?}");
    a_webhook_that_nobody_signed_starts_nothing(&webhooks);
    assert_eq!(worker.results(1, Duration::from_secs(1)).len(), 1);
}

/// The brain answers the first key with keys of its own, and the last one by hanging up.
#[test]
fn a_caller_and_his_bot_press_keys_to_each_other_until_the_bot_hangs_up() {
    let _turn = one_at_a_time();
    if !has_network("a_caller_and_his_bot_press_keys_to_each_other_until_the_bot_hangs_up") {
        return;
    }
    let brain = Brain::start(|socket, _| {
        while let Some(event) = brain::event(socket) {
            let act = match event["digit"].as_str() {
                Some("1") => r#"{"type":"digits","digits":"42#"}"#,
                Some("#") => r#"{"type":"hang_up"}"#,
                _ => continue,
            };
            socket.send(Message::text(act)).expect("the worker listens");
        }
    });
    let webhooks = Webhooks::start();
    let Some(server) = Server::with_webhook(&webhooks.url()) else { return };
    let bot = brain.bot("keys", "vox", "") + "numbers = [\"+15105550100\"]\n";
    let worker = Worker::start(&bot, &server.environment());
    webhooks.send_calls_to(worker.http);
    let Some(speech) = ears::speech(worker.directory(), 48_000, 30) else { return };

    let mut phone = server.call("call-_+15105550111_y", &speech, &["--digits", "1000000000#"]);
    let keys = ["4", "2", "#"].map(|_| phone.wait_for("digit")["digit"].take());
    assert_eq!(json!(keys), json!(["4", "2", "#"]));
    let gone = phone.wait_for("disconnected");
    assert_eq!(gone["reason"], "4", "PARTICIPANT_REMOVED: {gone}");
    wait_for("a free slot", Duration::from_secs(2), || (worker.calls() == 0).then_some(()));
    let result = worker.results(1, Duration::from_secs(2)).remove(0);
    assert_eq!(result["disconnected_by"], "bot", "{result}");
    assert_eq!(result["media"]["dtmf"], "1000000000#", "{result}");
}

/// How well is another test's claim; a machine that stalls does not make it false that he was heard.
fn was_heard(speech: &Path, recording: &Path, echo: &Path) {
    assert_eq!((ears::wav(recording).rate_hz, ears::wav(recording).channels), (16_000, 2));
    for file in [recording, echo] {
        let loudest = ears::wav(file).samples.iter().map(|it| it.unsigned_abs()).max();
        assert!(loudest > Some(1_000), "{} is silent", file.display());
    }
    let Some(caller) = ears::pesq_of(speech, recording, 0) else { return };
    let Some(echo) = ears::pesq(speech, echo) else { return };
    println!("from webhook to call: PESQ {:.2} as recorded, {:.2} back", caller.pesq, echo.pesq);
}

/// The server's own words for what happened, each of them believed.
fn tells_of_the_whole_call(webhooks: &Webhooks) {
    let limit = Duration::from_secs(5);
    let of_kind = |kind: &'static str| {
        move |event: &Event| event.participant.as_ref().is_some_and(|who| who.kind == kind)
    };
    webhooks.hear("room_started", limit, |_| true);
    webhooks.hear("participant_joined", limit, of_kind("SIP"));
    webhooks.hear("participant_joined", limit, of_kind("AGENT"));
    webhooks.hear("track_published", limit, |_| true);
    let left = webhooks.hear("participant_left", limit, of_kind("SIP"));
    assert_eq!(left.participant.expect("one").attribute("sip.callStatus"), "hangup");
    let refused = webhooks.heard().into_iter().filter_map(|heard| heard.event.err());
    assert_eq!(refused.collect::<Vec<_>>(), []);
}

fn a_webhook_that_nobody_signed_starts_nothing(webhooks: &Webhooks) {
    let body = r#"{"event":"participant_joined","id":"EV_forged"}"#;
    let (status, _) = http_post(webhooks.address(), PATH, "", body);
    assert_eq!(status, 401);
    let last = webhooks.heard().pop().expect("heard");
    assert!(matches!(last.event, Err(Refusal::NoToken(_))) && last.dispatch.is_none(), "{last:?}");
}
