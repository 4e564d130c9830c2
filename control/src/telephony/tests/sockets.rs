//! Calls as diallers make them.

use serde_json::{Value, json};
use tungstenite::Message;
use vox_codecs::wav::Wav;
use vox_contracts::DisconnectedBy;

use super::*;

/// Says `frames` of 20 ms in real time; returns the bot's audio that came meanwhile.
async fn talk(client: &mut Client, frames: usize) -> Vec<Value> {
    let mut said = Vec::new();
    for n in 0..frames {
        client.say(media(&pcm(n * 160, 160))).await;
        said.push(client.event("reverse-media").await);
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialler_talks_with_a_bot_and_hangs_up() {
    let rig = Rig::start(ECHO, 2).await;
    let mut client = rig.answered("echo").await;
    let said = talk(&mut client, 75).await;
    for (n, message) in said.iter().enumerate() {
        let (chunk, stamp) = (message["chunk"].as_u64(), message["timestamp"].as_str().unwrap());
        assert_eq!(chunk, Some(n as u64 + 1));
        assert_eq!((stamp.len(), &stamp[4..5], &stamp[10..11]), (19, "-", " "));
        assert_eq!(STANDARD.decode(message["payload"].as_str().unwrap()).unwrap().len(), 320);
        assert_eq!(message["callerId"], "+919876543210");
    }
    client.say(json!({"event": "hangup-call", "disconnectedBy": "customer"})).await;
    assert_eq!(client.closed().await, (1000, String::new(), vec![]));
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "customer");
    assert_eq!(
        (&result["caller_id"], &result["stream_id"]),
        (&"+919876543210".into(), &"st-1".into())
    );
    assert_eq!(
        (&result["from_number"], &result["call_direction"]),
        (&Value::Null, &"inbound".into())
    );
    let passed = json!({
        "callerId": "+919876543210", "did": "+918000000000", "callDirection": "incoming",
        "crm": {"lead": 7},
    });
    assert_eq!(result["connected_event"], passed);
    assert_eq!(result["media"]["codec"], "L16");
    let named = result["events"].as_array().unwrap().iter().find(|e| e["event"] == "peer_hung_up");
    assert_eq!(named.unwrap()["disconnectedBy"], "customer", "{result}");
    let key = result["recording_key"].as_str().unwrap().to_owned();
    let file = rig.dir.path().join("recordings").join(key);
    within(async {
        while !file.is_file() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let wav = Wav::parse(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((wav.channels, wav.rate_hz), (2, 8_000), "contract §1.9");
    assert_eq!(rig.calls.slots().taken(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_hangs_up_stops_its_audio_first_and_waits_for_the_answer() {
    let bots = "[bots.short]\nagent = { kind = \"tone\" }\nmax_call_duration_seconds = 1\n";
    let rig = Rig::start(bots, 1).await;
    let mut client = rig.answered("short").await;
    for n in 0..20 {
        client.say(media(&pcm(n * 160, 160))).await;
    }
    client.event("reverse-media-stop").await;
    let hangup = client.event("reverse-hangup-call").await;
    let expected = json!({
        "event": "reverse-hangup-call", "streamId": "st-1", "callerId": "+919876543210",
        "source": "ai", "message": "Call ended by bot",
    });
    assert_eq!(hangup, expected);
    client.say(json!({"event": "hangup-call", "disconnectedBy": "ai"})).await;
    assert_eq!(client.closed().await.0, 1000);
    assert_eq!(rig.result().await["disconnected_by"], "timeout");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_answers_the_hangup_is_closed_all_the_same() {
    let bots = "[bots.short]\nagent = { kind = \"tone\" }\nmax_call_duration_seconds = 1\n";
    let rig = Rig::start(bots, 1).await;
    let mut client = rig.answered("short").await;
    client.say(media(&pcm(0, 160))).await;
    let (code, _, events) = client.closed().await;
    assert_eq!(code, 1000);
    assert_eq!(events, ["reverse-media-stop", "reverse-hangup-call"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outgoing_call_names_the_customer_and_our_number() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.connect("/ws/echo").await;
    let mut event = connected();
    event["callDirection"] = "outgoing".into();
    for message in [event, start(), json!({"event": "answer"})] {
        client.say(message).await;
    }
    talk(&mut client, 5).await;
    client.say(json!({"event": "hangup-call"})).await;
    client.closed().await;
    let result = rig.result().await;
    assert_eq!(result["call_direction"], "outbound");
    assert_eq!(result["caller_id"], "+919876543210", "the customer");
    assert_eq!(result["from_number"], "+918000000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exotel_talks_in_its_own_chunks_presses_keys_and_stops() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.connect("/exotel/echo?chunk-ms=40&lead=7").await;
    client.say(json!({"event": "connected"})).await;
    client.say(exotel_start()).await;
    for n in 0..10 {
        // 100 ms at once, as Exotel sends.
        let payload = STANDARD.encode(pcm(n * 800, 800));
        client.say(json!({"event": "media", "media": {"payload": payload}})).await;
    }
    for digit in ["4", "2", "#"] {
        client.say(json!({"event": "dtmf", "dtmf": {"digit": digit, "duration": "90"}})).await;
    }
    for n in 1..=20 {
        let message = client.event("media").await;
        assert_eq!(message["stream_sid"], "MZ1");
        assert_eq!(message["media"]["chunk"], n.to_string());
        assert_eq!(message["media"]["timestamp"], ((n - 1) * 40).to_string());
        let payload = message["media"]["payload"].as_str().unwrap();
        assert_eq!(STANDARD.decode(payload).unwrap().len(), 640);
    }
    client.say(json!({"event": "stop", "stop": {"reason": "callended"}})).await;
    assert_eq!(client.closed().await.0, 1000);
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], DisconnectedBy::Customer.name());
    assert_eq!(
        (&result["stream_id"], &result["caller_id"]),
        (&"MZ1".into(), &"+919876543210".into())
    );
    assert_eq!(result["media"]["dtmf"], "42#");
    let passed = &result["connected_event"];
    assert_eq!((&passed["call_sid"], &passed["lead"]), (&"CA1".into(), &"7".into()), "{passed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_worker_closes_with_1013_and_has_room_again_after_the_call() {
    let rig = Rig::start(ECHO, 1).await;
    let first = rig.answered("echo").await;
    let (code, why, _) = rig.connect("/ws/echo").await.closed().await;
    assert_eq!((code, why.as_str()), (1013, "at capacity"));
    let (code, ..) = rig.connect("/exotel/echo").await.closed().await;
    assert_eq!(code, 1013);
    drop(first);
    within(rig.calls.idle()).await;
    let mut next = rig.answered("echo").await;
    talk(&mut next, 2).await;
    next.send(Message::Close(None)).await;
    assert_eq!(rig.results().await.len(), 2, "one for each call, none for a refused one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_cannot_be_opened_is_closed_with_its_reason() {
    let bots = "[bots.play]\nagent = { kind = \"play\", file = \"bots.toml\" }\n";
    let rig = Rig::start(bots, 1).await;
    for (bot, code, why) in [("nobody", 4404, "nobody"), ("play", 1011, "bots.toml")] {
        let mut client = rig.connect(&format!("/ws/{bot}")).await;
        client.say(connected()).await;
        client.say(start()).await;
        let closed = client.closed().await;
        assert_eq!(closed.0, code, "{closed:?}");
        assert!(closed.1.contains(why), "{closed:?}");
        assert_eq!(rig.calls.slots().taken(), 0);
    }
    rig.calls.drain();
    let (code, why, _) = rig.connect("/ws/play").await.closed().await;
    assert_eq!((code, why.as_str()), (1013, "draining"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_before_the_answer_was_never_on_the_line() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.connect("/ws/echo").await;
    client.say(connected()).await;
    client.say(start()).await;
    client.say(json!({"event": "hangup-call", "disconnectedBy": "customer"})).await;
    assert_eq!(client.closed().await.0, 1000);
    let result = rig.result().await;
    assert_eq!((&result["disconnected_by"], &result["media"]), (&"customer".into(), &Value::Null));
    assert_eq!(result["recording_key"], Value::Null);
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let rig = Rig::start(ECHO, 1).await;
    for path in ["/ws/echo", "/exotel/echo?a=b"] {
        let url = format!("http://{}{path}", rig.server.local_addr().unwrap());
        let answer = reqwest::get(url).await.unwrap();
        assert!(answer.status().is_client_error());
        assert_eq!(answer.text().await.unwrap(), r#"{"detail":"websocket_expected"}"#);
    }
    assert_eq!(rig.calls.slots().taken(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_is_done_when_the_dialler_hangs_up() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.answered("echo").await;
    talk(&mut client, 5).await;
    rig.transfer("+911234");
    client.event("reverse-media-stop").await;
    let asked = client.event("reverse-call-transfer").await;
    let expected = json!({
        "event": "reverse-call-transfer", "streamId": "st-1", "callerId": "+919876543210",
        "transferTo": "+911234",
    });
    assert_eq!(asked, expected);
    client.say(media(&pcm(0, 160))).await;
    client.say(json!({"event": "hangup-call", "disconnectedBy": "transfer"})).await;
    let (code, _, events) = client.closed().await;
    assert_eq!((code, events.len()), (1000, 0), "no further word: {events:?}");
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "transfer_to_agent", "{result}");
    assert_eq!(
        (&result["was_transferred"], &result["transfer_destination"]),
        (&true.into(), &"+911234".into())
    );
    assert_eq!(result["transfer_method"], "websocket_reverse_transfer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exotel_takes_no_transfer_and_the_call_goes_on() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.connect("/exotel/echo?chunk-ms=20").await;
    client.say(json!({"event": "connected"})).await;
    client.say(exotel_start()).await;
    client.event("media").await;
    rig.transfer("+911234");
    client.event("media").await;
    client.say(json!({"event": "stop"})).await;
    client.closed().await;
    let result = rig.result().await;
    assert_eq!(
        (&result["disconnected_by"], &result["was_transferred"]),
        (&"customer".into(), &false.into())
    );
    assert!(super::events(&result).contains(&"transfer_failed"), "{result}");
}

/// A brain that says much at once and takes it back when it hears from `say_no`.
async fn brain() -> (u16, tokio::sync::oneshot::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (say_no, no) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let stream = MaybeTlsStream::Plain(listener.accept().await.unwrap().0);
        let mut brain = Client { socket: tokio_tungstenite::accept_async(stream).await.unwrap() };
        let sid = brain.event("start").await["streamSid"].clone();
        // 5 s of µ-law.
        let payload = STANDARD.encode(vec![0x10; 40_000]);
        brain.say(json!({"event": "media", "streamSid": sid, "media": {"payload": payload}})).await;
        no.await.unwrap();
        brain.say(json!({"event": "clear", "streamSid": sid})).await;
        brain.event("stop").await;
    });
    (port, say_no)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_brain_takes_back_is_flushed_at_the_dialler_too() {
    for (path, flush) in [("/ws/brain", "reverse-media-stop"), ("/exotel/brain", "clear")] {
        let (port, say_no) = brain().await;
        let bots = format!(
            "[bots.brain]\nno_audio_seconds = 60\nagent = {{ kind = \"websocket\", \
             protocol = \"twilio\", url = \"ws://127.0.0.1:{port}/\" }}\n"
        );
        let rig = Rig::start(&bots, 1).await;
        let mut client = rig.connect(path).await;
        let messages = match flush {
            "clear" => vec![json!({"event": "connected"}), exotel_start()],
            _ => vec![connected(), start(), json!({"event": "answer"})],
        };
        for message in messages {
            client.say(message).await;
        }
        // Until the brain is heard.
        let event = if flush == "clear" { "media" } else { "reverse-media" };
        loop {
            let message = client.event(event).await;
            let payload = message["payload"].as_str().or(message["media"]["payload"].as_str());
            if STANDARD.decode(payload.unwrap()).unwrap().iter().any(|byte| *byte > 0x20) {
                break;
            }
        }
        say_no.send(()).unwrap();
        client.event(flush).await;
        client.send(Message::Close(None)).await;
        assert_eq!(rig.result().await["disconnected_by"], "customer");
    }
}
