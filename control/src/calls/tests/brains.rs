//! Brains on real sockets, and every way in which they and their worker part.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use super::*;

type Socket = WebSocket<TcpStream>;

/// A brain that gives its connections to the same conversation, one after the other.
struct Brain<T> {
    port: u16,
    told: UnboundedReceiver<T>,
}

impl<T: Send + 'static> Brain<T> {
    /// What `talk` makes of each connection can be waited for.
    fn start(talk: impl Fn(usize, &mut Socket) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = unbounded_channel();
        thread::spawn(move || {
            for (count, stream) in listener.incoming().flatten().enumerate() {
                // Nothing here waits for ever.
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
                let mut socket = tungstenite::accept(stream).unwrap();
                if tell.send(talk(count, &mut socket)).is_err() {
                    return;
                }
            }
        });
        Self { port, told }
    }

    fn bot(&self, protocol: &str, fields: &str) -> String {
        bot(self.port, protocol, fields)
    }

    async fn told(&mut self) -> T {
        within(self.told.recv()).await.expect("the brain's thread")
    }
}

fn bot(port: u16, protocol: &str, fields: &str) -> String {
    format!(
        "[bots.brain]\nno_audio_seconds = 60\nagent = {{ kind = \"websocket\", \
         url = \"ws://127.0.0.1:{port}/\", protocol = \"{protocol}\"{fields} }}\n"
    )
}

/// Reads up to a message of this kind.
fn until(socket: &mut Socket, kind: &str) -> Value {
    loop {
        if let Message::Text(text) = socket.read().expect(kind) {
            let message: Value = serde_json::from_str(&text).unwrap();
            if kind_of(&message) == kind {
                return message;
            }
        }
    }
}

fn kind_of(message: &Value) -> &str {
    message["type"].as_str().or(message["event"].as_str()).unwrap_or_default()
}

/// The kinds of messages that are left to read, and the code that the worker closes with.
fn rest(socket: &mut Socket) -> (Vec<String>, Option<u16>) {
    let (mut kinds, mut code) = (vec![], None);
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                kinds.push(kind_of(&message).to_owned());
            }
            Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(_) => return (kinds, code),
        }
    }
}

/// Something of 20 ms to say.
fn audio(protocol: &str, start: &Value) -> Message {
    // 160 bytes of µ-law silence.
    let payload = "/".repeat(212) + "/w==";
    let message = match protocol {
        "twilio" => json!({
            "event": "media", "streamSid": start["streamSid"], "media": {"payload": payload},
        }),
        "openai-realtime" => json!({
            "type": "response.output_audio.delta", "item_id": "item_1", "delta": payload,
        }),
        _ => return Message::binary([&[1, 0, 0, 8][..], &[0; 8], &[0; 320]].concat()),
    };
    Message::text(message.to_string())
}

/// A call that is answered, and talks until it ends.
async fn talk_to_the_end(rig: &Rig) -> Reason {
    let phone = phone();
    let mut call = rig.open("brain").await.unwrap();
    call.answer(session(&phone)).await.unwrap();
    let to = call.rtp();
    tokio::select! {
        reason = within(call.ended()) => reason,
        () = talk(&phone, to, 3_000) => panic!("it goes on"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brain_that_closes_one_way_is_let_go_and_called_again() {
    // After a whole message, and within a frame.
    for torn in [&[][..], &[0x82, 0x7E, 0x01]] {
        let mut brain = Brain::start(move |count, socket| {
            until(socket, "start");
            if count == 0 {
                socket.get_mut().write_all(torn).unwrap();
                socket.get_mut().shutdown(Shutdown::Write).unwrap();
            } else {
                socket.send(Message::text(json!({"type": "hang_up"}).to_string())).unwrap();
            }
            rest(socket)
        });
        let dir = tempfile::tempdir().unwrap();
        let rig = Rig::start(dir.path(), &brain.bot("vox", ""), 2);
        assert_eq!(talk_to_the_end(&rig).await, Reason::BotHungUp);
        assert_eq!(brain.told().await.1, None, "the other way is closed, too");
        let (kinds, code) = brain.told().await;
        assert_eq!((kinds.last().map(String::as_str), code), (Some("stop"), Some(1_000)));
        let result = rig.result().await;
        assert!(events(&result).contains(&"agent_lost"), "{result}");
        assert_eq!(result["disconnected_by"], "bot");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_without_its_brain_when_the_bot_says_so() {
    let brain = Brain::start(|_, socket| {
        until(socket, "start");
        let frame = CloseFrame { code: 1_011.into(), reason: "broken".into() };
        socket.close(Some(frame)).unwrap();
        rest(socket)
    });
    // Nobody listens at the second one's.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (port, why) in [(brain.port, "1011: broken"), (nobody, "refused")] {
        let dir = tempfile::tempdir().unwrap();
        let bots = bot(port, "vox", ", reconnects = 0, on_gone = \"go_on\"");
        let rig = Rig::start(dir.path(), &bots, 2);
        let phone = phone();
        phone.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut call = rig.open("brain").await.unwrap();
        call.answer(session(&phone)).await.unwrap();
        let to = call.rtp();
        let gone = async {
            let counts = rig.calls.agent_counts();
            while counts.gone.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                talk(&phone, to, 2).await;
            }
        };
        within(gone).await;
        talk(&phone, to, 50).await;
        phone.set_nonblocking(true).unwrap();
        while phone.recv(&mut [0; 1_500]).is_ok() {}
        phone.set_nonblocking(false).unwrap();
        let (received, phone) =
            tokio::task::spawn_blocking(move || (phone.recv(&mut [0; 1_500]), phone))
                .await
                .unwrap();
        assert_eq!(received.expect("the caller's packets go on"), 172);
        assert_eq!(rig.calls.slots().taken(), 1);
        call.close(Reason::CallerHungUp);
        within(call.ended()).await;
        drop(phone);
        let result = rig.result().await;
        assert_eq!(result["disconnected_by"], "customer");
        let told = result["events"].as_array().unwrap();
        let gone = told.iter().find(|event| event["event"] == "agent_given_up").unwrap();
        assert!(gone["why"].as_str().unwrap().contains(why), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_brain_hears_why_its_call_ends() {
    let stopped = Reason::WorkerStopped;
    for (protocol, reason, answered, code, last) in [
        ("vox", stopped, true, 1_001, "stop"),
        ("twilio", stopped, true, 1_001, "stop"),
        ("openai-realtime", stopped, true, 1_001, ""),
        ("vox", stopped, false, 1_001, "connected"),
        ("vox", Reason::CallerHungUp, true, 1_000, "stop"),
        ("twilio", Reason::CallerHungUp, true, 1_000, "stop"),
    ] {
        let (ready, mut is_ready) = unbounded_channel();
        let mut brain = Brain::start(move |_, socket| {
            let start = match (protocol, answered) {
                ("openai-realtime", _) => until(socket, "session.update"),
                (_, true) => until(socket, "start"),
                // It is what will have been the last word.
                (_, false) => Value::Null,
            };
            // More than it may be ahead: what is left stays in the worker's socket, unread.
            for _ in 0..500 * usize::from(answered) {
                socket.send(audio(protocol, &start)).unwrap();
            }
            ready.send(()).unwrap();
            rest(socket)
        });
        let dir = tempfile::tempdir().unwrap();
        let rig = Rig::start(dir.path(), &brain.bot(protocol, ", ahead_seconds = 1"), 2);
        let phone = phone();
        let mut call = rig.open("brain").await.unwrap();
        if answered {
            call.answer(session(&phone)).await.unwrap();
        }
        within(is_ready.recv()).await.unwrap();
        rig.calls.close_all(reason);
        within(call.ended()).await;
        within(rig.calls.leave_brains()).await;
        let (kinds, found) = brain.told().await;
        assert_eq!(found, Some(code), "{protocol} {reason:?}: {kinds:?}");
        if !last.is_empty() {
            assert_eq!(kinds.last().map(String::as_str), Some(last), "{protocol} {reason:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brain_that_says_goodbye_is_answered() {
    let mut brain = Brain::start(|_, socket| {
        until(socket, "start");
        socket.close(Some(CloseFrame { code: 1_000.into(), reason: "".into() })).unwrap();
        rest(socket)
    });
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), &brain.bot("vox", ""), 2);
    assert_eq!(talk_to_the_end(&rig).await, Reason::BotHungUp);
    assert_eq!(brain.told().await.1, Some(1_000), "RFC 6455 §5.5.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_a_socket_is_counted_and_told_to_the_brain_by_its_code() {
    let header = |version: u8, khz: u8| [&[version, 0, 0, khz][..], &[0; 8]].concat();
    let note = json!({"type": "note", "facts": {}}).to_string();
    let raw = |bytes: &'static [u8]| (vec![], bytes);
    for ((messages, bytes), code, reason) in [
        ((vec![Message::binary(header(2, 8))], &[][..]), 1_002, "wrong_version"),
        // RFC 6455 §5.2: opcode 3 is reserved.
        (raw(&[0x83, 0x00]), 1_002, "bad_frame"),
        ((vec![Message::binary(header(1, 16))], &[]), 1_003, "wrong_rate"),
        (raw(&[0x81, 0x01, 0xFF]), 1_007, "bad_utf8"),
        ((vec![Message::text("{"); 101], &[]), 1_008, "bad_json"),
        ((vec![Message::text(note); 10_000], &[]), 1_008, "too_many_acts"),
        ((vec![Message::binary(vec![0; 2 << 20])], &[]), 1_009, "too_large"),
    ] {
        let mut brain = Brain::start(move |_, socket| {
            until(socket, "start");
            for message in &messages {
                // It may be closed by now.
                if socket.send(message.clone()).is_err() {
                    break;
                }
            }
            let _ = socket.get_mut().write_all(bytes);
            rest(socket)
        });
        let dir = tempfile::tempdir().unwrap();
        let rig = Rig::start(dir.path(), &brain.bot("vox", ""), 2);
        assert_eq!(talk_to_the_end(&rig).await, Reason::AgentGone, "{reason}");
        assert_eq!(brain.told().await.1, Some(code), "{reason}");
        let wrongs = rig.calls.agent_counts().wrongs();
        assert!(wrongs.iter().any(|(found, _)| *found == reason), "{reason}: {wrongs:?}");
        let result = rig.result().await;
        assert_eq!(result["disconnected_by"], "error", "{reason}");
        let gone = events(&result).iter().filter(|event| **event == "agent_given_up").count();
        assert_eq!(gone, 1, "{reason}: it is not called again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pieces_of_audio_at_once_are_held_by_the_socket() {
    for protocol in ["vox", "twilio", "openai-realtime"] {
        let (sent, mut is_sent) = unbounded_channel();
        let mut brain = Brain::start(move |_, socket| {
            let kind = if protocol == "openai-realtime" { "session.update" } else { "start" };
            let start = until(socket, kind);
            for count in 0..10_000 {
                if count == 1_000 {
                    sent.send(()).unwrap();
                }
                socket.send(audio(protocol, &start)).unwrap();
            }
            let sid = &start["streamSid"];
            let mark = json!({"type": "mark", "event": "mark", "streamSid": sid, "name": "end", "mark": {"name": "end"}});
            socket.send(Message::text(mark.to_string())).unwrap();
            rest(socket)
        });
        let dir = tempfile::tempdir().unwrap();
        let rig = Rig::start(dir.path(), &brain.bot(protocol, ", ahead_seconds = 1"), 2);
        let phone = phone();
        let mut call = rig.open("brain").await.unwrap();
        call.answer(session(&phone)).await.unwrap();
        within(is_sent.recv()).await.unwrap();
        talk(&phone, call.rtp(), 50).await;
        call.close(Reason::CallerHungUp);
        within(call.ended()).await;
        let (kinds, code) = brain.told().await;
        assert_eq!(code, Some(1_000), "{protocol}");
        assert!(!kinds.iter().any(|kind| kind == "mark"), "{protocol}: 200 s were not played");
        assert_eq!(rig.calls.agent_counts().wrongs(), [], "{protocol}: all of it is right");
        assert_eq!(rig.result().await["disconnected_by"], "customer");
    }
}
