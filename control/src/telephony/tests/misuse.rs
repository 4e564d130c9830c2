//! What no honest dialler does. Whatever it is: a counted reason, a close code, the slot free
//! again, and a neighbour who does not notice.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tungstenite::{Bytes, Message};

use super::*;

/// `steps` on a fresh `/ws/echo` beside a call that must go on; the code it is closed with.
async fn check(steps: &[Message], code: u16, reason: &str) {
    let rig = Rig::start(ECHO, 2).await;
    let mut neighbour = rig.answered("echo").await;
    neighbour.say(media(&pcm(0, 160))).await;
    neighbour.event("reverse-media").await;
    let mut client = rig.connect("/ws/echo").await;
    for step in steps {
        client.send(step.clone()).await;
    }
    let closed = client.closed().await;
    assert_eq!(closed.0, code, "{reason}: {closed:?}");
    rig.metric(&format!("telephony_refused_total{{reason=\"{reason}\"}}"), 1).await;
    rig.metric("calls_live", 1).await;
    neighbour.say(media(&pcm(160, 160))).await;
    neighbour.event("reverse-media").await;
    neighbour.say(json!({"event": "hangup-call"})).await;
    assert_eq!(neighbour.closed().await.0, 1000, "the neighbour, beside {reason}");
    within(rig.calls.idle()).await;
    assert_eq!(rig.calls.slots().taken(), 0);
}

fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}

/// Up to the answer, and then this.
fn answered(last: Message) -> Vec<Message> {
    let before = [connected(), start(), json!({"event": "answer"})];
    before.iter().map(text).chain([last]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_no_json_or_no_message_is_refused() {
    check(&[Message::text("{")], 1007, "bad_json").await;
    check(&answered(Message::text("garbage")), 1007, "bad_json").await;
    check(&[Message::text("{\"event\":5}")], 1007, "bad_event").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_that_is_none_is_refused() {
    let payload = |payload: &str| text(&json!({"event": "media", "payload": payload}));
    check(&answered(payload("AA*=")), 1007, "bad_base64").await;
    check(&answered(payload("AAAA")), 1007, "odd_bytes").await;
    check(&answered(Message::binary(vec![0; 320])), 1003, "binary").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_format_we_do_not_take_is_refused_before_the_bot_is_asked_for() {
    let start = json!({"event": "start", "streamId": "s", "mediaFormat": {"sampleRate": 16_000}});
    check(&[text(&connected()), text(&start)], 1003, "wrong_format").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_all_measure_is_refused_without_being_held() {
    let huge = Message::text("x".repeat(600 << 10));
    check(std::slice::from_ref(&huge), 1009, "too_large").await;
    check(&answered(huge), 1009, "too_large").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_out_of_order_are_refused() {
    check(&[text(&start())], 1002, "out_of_order").await;
    check(&[text(&connected()), text(&media(&[]))], 1002, "out_of_order").await;
    check(&answered(text(&connected())), 1002, "out_of_order").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_messages_are_counted_and_the_call_goes_on() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.answered("echo").await;
    client.say(json!({"event": "sing"})).await;
    client.say(json!({"event": "answer"})).await;
    client.say(media(&pcm(0, 160))).await;
    client.event("reverse-media").await;
    rig.metric("telephony_refused_total{reason=\"unknown_event\"}", 1).await;
    rig.metric("telephony_refused_total{reason=\"repeated\"}", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_sends_answer_ends_by_the_answer_limit() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.connect("/ws/echo").await;
    client.say(connected()).await;
    client.say(start()).await;
    let (code, why, events) = client.closed().await;
    assert_eq!((code, why.as_str()), (1008, "no answer in time"));
    assert_eq!(events, ["reverse-media-stop", "reverse-hangup-call"]);
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "error");
    assert!(super::events(&result).contains(&"setup_timeout"), "{result}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_speaks_at_all_gives_its_slot_back() {
    let rig = Rig::start(ECHO, 2).await;
    let mut dialler = rig.connect("/ws/echo").await;
    // Exotel has no `answer`: its caller is on the line with `start`, for which we wait.
    let mut exotel = rig.connect("/exotel/echo").await;
    exotel.say(json!({"event": "connected"})).await;
    for client in [&mut dialler, &mut exotel] {
        let (code, why, _) = client.closed().await;
        assert_eq!((code, why.as_str()), (1008, "no start within 10 s"));
    }
    rig.metric("telephony_refused_total{reason=\"no_start\"}", 2).await;
    assert_eq!(rig.calls.slots().taken(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_falls_silent_is_a_phantom() {
    let rig = Rig::start(&ECHO.replace("60", "1"), 1).await;
    let mut client = rig.answered("echo").await;
    client.say(media(&pcm(0, 160))).await;
    assert_eq!(client.closed().await.0, 1008);
    let result = rig.result().await;
    assert_eq!(result["disconnected_by"], "error");
    assert!(super::events(&result).contains(&"media_timeout"), "{result}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_at_once_are_cut_to_what_can_be_played() {
    for exotel in [false, true] {
        ten_thousand_messages(exotel).await;
    }
}

async fn ten_thousand_messages(exotel: bool) {
    let rig = Rig::start(ECHO, 2).await;
    let mut neighbour = rig.answered("echo").await;
    let mut client = if exotel { rig.exotel().await } else { rig.answered("echo").await };
    let message = media(&pcm(0, 160));
    for _ in 0..10_000 {
        client.say(message.clone()).await;
    }
    client.event(if exotel { "media" } else { "reverse-media" }).await;
    for n in 0..25 {
        neighbour.say(media(&pcm(n * 160, 160))).await;
        neighbour.event("reverse-media").await;
    }
    neighbour.say(json!({"event": "hangup-call"})).await;
    client.say(json!({"event": if exotel { "stop" } else { "hangup-call" }})).await;
    assert_eq!(client.closed().await.0, 1000);
    assert_eq!(neighbour.closed().await.0, 1000);
    for result in rig.results().await {
        assert_eq!(result["disconnected_by"], "customer", "{result}");
    }
    let text = get(rig.server.local_addr().unwrap()).await;
    let dropped = text.lines().find(|line| line.contains("dropped_total{whose=\"caller\"}"));
    let dropped: u64 = dropped.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    // 200 s of audio came within a few: all but those and the 2.5 s that wait had to go.
    assert!((5_000..10_000).contains(&dropped), "{dropped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_off_ends_its_call_as_an_error() {
    for (half, exotel) in [(false, false), (true, false), (false, true), (true, true)] {
        let rig = Rig::start(ECHO, 1).await;
        let mut client = if exotel { rig.exotel().await } else { rig.answered("echo").await };
        client.say(media(&pcm(0, 160))).await;
        client.event(if exotel { "media" } else { "reverse-media" }).await;
        match client.socket.get_mut() {
            // Only our side is closed: we could still hear.
            MaybeTlsStream::Plain(stream) if half => stream.shutdown().await.unwrap(),
            _ => drop(client),
        }
        let result = rig.result().await;
        assert_eq!(result["disconnected_by"], "error");
        assert!(super::events(&result).contains(&"socket_lost"), "{result}");
        rig.metric("telephony_refused_total{reason=\"broken_off\"}", 1).await;
        assert_eq!(rig.calls.slots().taken(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_no_websocket_frame_is_refused() {
    let rig = Rig::start(ECHO, 1).await;
    let mut client = rig.answered("echo").await;
    client.event("reverse-media").await;
    if let MaybeTlsStream::Plain(stream) = client.socket.get_mut() {
        // RFC 6455 §5.2: opcode 3 is reserved.
        stream.write_all(&[0x83, 0x80, 0, 0, 0, 0]).await.unwrap();
    }
    assert_eq!(client.closed().await.0, 1002);
    rig.metric("telephony_refused_total{reason=\"bad_frame\"}", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_come_back_exactly_once_however_calls_end() {
    let rig = Rig::start(ECHO, 4).await;
    for round in 0..12 {
        let mut client = rig.answered("echo").await;
        match round % 6 {
            0 => client.say(json!({"event": "hangup-call"})).await,
            1 => client.send(Message::Close(None)).await,
            2 => client.say(start()).await,
            3 => client.send(Message::binary(Bytes::new())).await,
            4 => rig.calls.close_all(vox_call::Reason::WorkerStopped),
            _ => {}
        }
        if round % 6 < 4 {
            client.closed().await;
        }
        drop(client);
        within(rig.calls.idle()).await;
        assert_eq!(rig.calls.slots().taken(), 0, "round {round}");
    }
}
