//! What a real server cannot be made to do, from one that is made up: it speaks the protocol by the
//! types of the official crate. The end-to-end tests talk to LiveKit's own.

use std::net::SocketAddr;

use bytes::Bytes;
use livekit_protocol::agent_http::GoAway;
use livekit_protocol::{
    AvailabilityRequest, JobAssignment, JobStatus, RegisterWorkerResponse, ServerMessage,
    WorkerMessage, server_message, worker_message,
};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, accept_async};
use tungstenite::Message;

use super::jobs::tests::{job, livekit};
use super::*;

/// One worker's connection, seen from the server.
struct Link(WebSocketStream<TcpStream>);

impl Link {
    /// The next worker, once it is registered.
    async fn accept(listener: &TcpListener) -> (Self, String) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut link = Self(accept_async(stream).await.unwrap());
        let worker_message::Message::Register(request) = link.next().await else {
            panic!("expected a registration first");
        };
        let worker_id = "AW_1".to_owned();
        let registered = RegisterWorkerResponse { worker_id, ..Default::default() };
        link.say(server_message::Message::Register(registered)).await;
        (link, request.agent_name)
    }

    async fn say(&mut self, message: server_message::Message) {
        self.send(ServerMessage { message: Some(message) }.encode_to_vec()).await;
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        self.push(Message::Binary(bytes.into())).await;
    }

    async fn push(&mut self, message: Message) {
        use futures_sink::Sink;
        use std::pin::Pin;
        std::future::poll_fn(|cx| Pin::new(&mut self.0).poll_ready(cx)).await.unwrap();
        Pin::new(&mut self.0).start_send(message).unwrap();
        std::future::poll_fn(|cx| Pin::new(&mut self.0).poll_flush(cx)).await.unwrap();
    }

    async fn next(&mut self) -> worker_message::Message {
        use futures_core::Stream;
        use std::pin::Pin;
        loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)).await;
            if let Message::Binary(bytes) = next.expect("connected").unwrap() {
                return WorkerMessage::decode(bytes).unwrap().message.unwrap();
            }
        }
    }

    /// What comes next of a kind.
    async fn expect<T>(&mut self, want: impl Fn(worker_message::Message) -> Option<T>) -> T {
        let wanted = async {
            loop {
                if let Some(found) = want(self.next().await) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wanted).await.expect("in time")
    }

    /// Whether a job that is offered is taken.
    async fn offer(&mut self, id: &str, room: &str) -> bool {
        let request = AvailabilityRequest { job: Some(job(id, room)), resuming: false };
        self.say(server_message::Message::Availability(request)).await;
        let answer = self.expect(|said| match said {
            worker_message::Message::Availability(answer) => Some(answer),
            _ => None,
        });
        answer.await.available
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn load(said: worker_message::Message) -> Option<UpdateWorkerStatus> {
    match said {
        worker_message::Message::UpdateWorker(load) => Some(load),
        _ => None,
    }
}

#[tokio::test]
async fn a_worker_that_is_sent_away_registers_anew_and_its_jobs_end_where_they_began() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen().await;
    start(livekit(dir.path(), 2, &format!("ws://{address}")), "vox".into());
    let (mut old, name) = Link::accept(&listener).await;
    assert_eq!(name, "vox");
    assert!(old.offer("AJ_1", "call-1").await);
    old.say(server_message::Message::GoAway(GoAway::default())).await;
    let (mut new, _) = Link::accept(&listener).await;
    assert!(!old.offer("AJ_2", "call-2").await, "no new jobs where it is sent away from");
    assert!(new.offer("AJ_3", "call-3").await);
    let assignment = JobAssignment { job: Some(job("AJ_1", "call-1")), ..Default::default() };
    old.say(server_message::Message::Assignment(assignment)).await;
    for expected in [JobStatus::JsRunning, JobStatus::JsFailed] {
        let update = old.expect(|said| match said {
            worker_message::Message::UpdateJob(update) => Some(update),
            _ => None,
        });
        // There is no room behind this server.
        assert_eq!(update.await.status(), expected);
    }
}

#[tokio::test]
async fn a_message_that_is_unknown_or_unreadable_is_counted_and_costs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen().await;
    let livekit = livekit(dir.path(), 2, &format!("ws://{address}"));
    let counts = livekit.counts();
    start(livekit, "vox".into());
    let (mut link, _) = Link::accept(&listener).await;
    // Field 15 of a server's messages, which nobody knows; no protobuf; words.
    link.send(vec![0x7a, 0x01, 0x00]).await;
    link.send(vec![0xff; 64]).await;
    link.push(Message::text(r#"{"pong": {}}"#)).await;
    link.push(Message::Ping(Bytes::new())).await;
    link.say(server_message::Message::Availability(AvailabilityRequest::default())).await;
    assert!(link.offer("AJ_1", "call-1").await);
    assert_eq!(counts.unreadable.load(Ordering::Relaxed), 2);
    assert_eq!(counts.registrations.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_server_is_told_of_every_change_of_load_at_once_and_of_a_burst_in_one() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen().await;
    let livekit = livekit(dir.path(), 2, &format!("ws://{address}"));
    let calls = livekit.0.calls.clone();
    start(livekit, "vox".into());
    let (mut link, _) = Link::accept(&listener).await;
    assert_eq!(link.expect(load).await.status(), WorkerStatus::WsAvailable);
    let slots = [calls.admit().unwrap(), calls.admit().unwrap()];
    let told = Instant::now();
    let full = |said| load(said).filter(|load| load.status() == WorkerStatus::WsFull);
    assert!(link.expect(full).await.load >= 0.7);
    assert!(told.elapsed() < Duration::from_millis(2_000), "it is not waited for the period");
    drop(slots);
    assert!(link.expect(load).await.load < 0.7);
    calls.slots().drain();
    assert!(link.expect(full).await.draining);
}

#[tokio::test]
async fn a_server_that_refuses_is_quoted_without_the_token_that_it_echoes() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen().await;
    let livekit = livekit(dir.path(), 2, &format!("ws://{address}"));
    let refuse = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4_096];
        let read = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..read]).into_owned();
        let token = head.lines().find_map(|line| line.split_once("Bearer ")).unwrap().1.to_owned();
        let body = format!("invalid token: {token}");
        let length = body.len();
        let answer = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        token
    };
    let (refused, token) = tokio::join!(Line::register(&livekit, "vox"), refuse);
    let error = refused.unwrap_err();
    assert!(matches!(error, SignalError::Refused { status: 401, .. }), "{error}");
    assert!(!error.to_string().contains(&token), "{error}");
}

#[test]
fn a_worker_with_a_slot_left_reports_less_than_the_load_from_which_nothing_is_offered() {
    let check = |taken, capacity, draining, available: bool, load: f32| {
        let said = status(taken, capacity, draining, 3);
        assert_eq!(said.status() == WorkerStatus::WsAvailable, available, "{said:?}");
        assert!((said.load - load).abs() < 1e-6, "{said:?}");
        assert_eq!(said.load < 0.7, available, "{said:?}");
        assert_eq!((said.job_count, said.draining), (3, draining));
    };
    check(0, 1, false, true, 0.0);
    check(1, 1, false, false, 1.0);
    check(5, 10, false, true, 0.35);
    check(9, 10, false, true, 0.63);
    check(2_047, 2_048, false, true, 0.7 * 2_047.0 / 2_048.0);
    check(0, 10, true, false, 1.0);
}

#[test]
fn the_wait_for_a_new_connection_grows_to_ten_seconds_and_is_never_the_same() {
    let check = |failures, random, ms| {
        assert_eq!(pause(failures, random), Duration::from_millis(ms), "{failures} {random}");
    };
    check(1, 0.0, 1_000);
    check(1, 1.0, 2_000);
    check(3, 0.5, 4_500);
    check(5, 1.0, 10_000);
    check(u32::MAX, 1.0, 10_000);
    let random = random();
    assert!((0.0..1.0).contains(&random), "{random}");
}
