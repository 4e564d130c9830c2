//! Servers and rooms that do not behave: each gets a clear word in the result, and costs the worker
//! nothing but that call.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use livekit_protocol::signal_response::Message as Said;
use livekit_protocol::{
    DisconnectReason, JoinResponse, LeaveRequest, ParticipantInfo, ParticipantUpdate,
    SessionDescription, SignalResponse, TrickleRequest,
};
use prost::Message as _;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, accept};
use vox_tests::livekit::{KEYS, Server, has_network};
use vox_tests::worker::{Worker, http_post};
use vox_tests::{ears, one_at_a_time, wait_for};

/// Longer than a worker waits for anything here.
const LIMIT: Duration = Duration::from_secs(20);
const SECRET: &str = "X-VoxCore-Secret: between-services\r\n";
const PESQ_MIN: f64 = 3.0;

type Socket = WebSocket<TcpStream>;

/// Its name, what the server does, and what the result says of it.
type Row = (&'static str, fn(TcpStream), &'static str);

#[test]
fn a_server_that_misbehaves_is_described_in_the_result() {
    let _turn = one_at_a_time();
    let rows: [Row; 10] = [
        (
            "401, and the token",
            |stream| refuse(stream, "401 Unauthorized"),
            "the server answers 401",
        ),
        ("404 on every path", |stream| refuse(stream, "404 Not Found"), "the server answers 404"),
        ("503", |stream| refuse(stream, "503 Service Unavailable"), "the server answers 503"),
        ("hangs up", hang_up, "Handshake not finished"),
        (
            "no protobuf",
            |stream| say(stream, |socket| send(socket, vec![0xff; 40])),
            "not understood",
        ),
        (
            "no join first",
            |stream| say(stream, |socket| tell(socket, Said::Trickle(TrickleRequest::default()))),
            "expected a join, found Trickle",
        ),
        ("says nothing", |stream| say(stream, |_| true), "no answer in 5 s"),
        ("no session description", |stream| say(stream, nonsense), "of no use: Unexpected"),
        ("a flood", |stream| say(stream, flood), "the server floods"),
        ("kinds that nobody knows, then a farewell", |stream| say(stream, strange), "room_deleted"),
    ];
    for (name, behave, expected) in rows {
        let server = hostile(behave);
        let worker = Worker::start("", &environment(&server, KEYS[1]));
        let why = lost(&worker);
        println!("{name}: {why}");
        assert!(why.contains(expected), "{name}: expected {expected:?} in {why:?}");
    }
}

#[test]
fn a_key_that_the_server_does_not_accept_is_named_without_the_token() {
    let _turn = one_at_a_time();
    let Some(server) = Server::start() else { return };
    let rows = [
        ("forged", KEYS[0], "another-secret-of-32-characters-xxxx"),
        ("unknown", "nokey", KEYS[1]),
    ];
    for (name, key, secret) in rows {
        let mut environment = environment(&server.url, secret);
        environment[1].1 = key;
        let worker = Worker::start("", &environment);
        let why = lost(&worker);
        println!("{name}: {why}");
        assert!(why.contains("401"), "{name}: {why}");
    }
}

#[test]
fn a_participant_with_video_and_ten_tracks_is_heard_by_the_microphone() {
    let _turn = one_at_a_time();
    if !has_network("a_participant_with_video_and_ten_tracks_is_heard_by_the_microphone") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let worker = Worker::start("", &server.environment());
    let Some(speech) = ears::speech(worker.directory(), 48_000, 10) else { return };
    let phone = server.call("room-1", &speech, &["--clutter", "10"]);
    assert_eq!(dispatch(&worker, "room-1").0, 200);
    let (_, heard) = phone.ended();
    let result = worker.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(result["disconnected_by"], "customer", "{result}");
    let Some(echo) = ears::pesq(&speech, &heard) else { return };
    println!("ten tracks and video: echo PESQ {:.2}", echo.pesq);
    assert!(echo.pesq >= PESQ_MIN, "{echo:?}");
}

/// A server that does this with everybody who wants to be in a room, and knows no API. Where it is.
fn hostile(behave: fn(TcpStream)) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut first = [0; 9];
                match stream.peek(&mut first) {
                    Ok(9) if &first == b"GET /rtc/" || &first == b"GET /rtc?" => behave(stream),
                    _ => refuse(stream, "404 Not Found"),
                }
            });
        }
    });
    url
}

/// Gives back all that was asked, as LiveKit does with a token that it does not accept.
fn refuse(mut stream: TcpStream, status: &str) {
    let mut asked = [0; 16_384];
    let read = stream.peek(&mut asked).unwrap_or(0);
    let asked = String::from_utf8_lossy(&asked[..read]);
    let token = asked.split("Bearer ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let body = format!("no: {}", token.unwrap_or_default());
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Who has gone away needs no answer.
    let _ = stream.write_all((head + &body).as_bytes());
}

fn hang_up(mut stream: TcpStream) {
    let mut asked = [0; 16_384];
    let _ = stream.read(&mut asked);
}

/// Says something, then listens until the other side has enough.
fn say(stream: TcpStream, words: fn(&mut Socket) -> bool) {
    let Ok(mut socket) = accept(stream) else { return };
    if words(&mut socket) {
        while socket.read().is_ok() {}
    }
}

fn nonsense(socket: &mut Socket) -> bool {
    let sdp = "v=0\r\nthis is no session\r\n".to_owned();
    let answer = SessionDescription { r#type: "answer".into(), sdp, ..Default::default() };
    join(socket) && tell(socket, Said::Answer(answer))
}

fn flood(socket: &mut Socket) -> bool {
    let update = ParticipantUpdate { participants: vec![ParticipantInfo::default(); 20] };
    join(socket) && (0..20_000).all(|_| tell(socket, Said::Update(update.clone())))
}

fn strange(socket: &mut Socket) -> bool {
    let them = ParticipantInfo { kind: 99, state: 77, ..Default::default() };
    let update = ParticipantUpdate { participants: vec![them] };
    let leave = LeaveRequest { reason: DisconnectReason::RoomDeleted.into(), ..Default::default() };
    // Field 2000, a kind of message that is still to be thought of.
    join(socket)
        && send(socket, vec![0x82, 0x7d, 0x01, 0x00])
        && tell(socket, Said::Update(update))
        && tell(socket, Said::Leave(leave))
}

fn join(socket: &mut Socket) -> bool {
    tell(socket, Said::Join(JoinResponse::default()))
}

fn tell(socket: &mut Socket, said: Said) -> bool {
    send(socket, SignalResponse { message: Some(said) }.encode_to_vec())
}

fn send(socket: &mut Socket, bytes: Vec<u8>) -> bool {
    socket.send(Message::Binary(bytes.into())).is_ok()
}

fn environment<'a>(url: &'a str, secret: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("LIVEKIT_URL", url),
        ("LIVEKIT_API_KEY", KEYS[0]),
        ("LIVEKIT_API_SECRET", secret),
        ("VOXCORE_SECRET", "between-services"),
    ]
}

/// Has a call end in a lost room; why it is said to be.
fn lost(worker: &Worker) -> String {
    let (status, body) = dispatch(worker, "room-1");
    assert_eq!(status, 200, "{body}");
    let result = worker.results(1, LIMIT).remove(0);
    assert_eq!(result["disconnected_by"], "error", "{result}");
    // Three parts in Base64: a token.
    assert!(!result.to_string().contains("eyJ"), "{result}");
    wait_for("a free slot", Duration::from_secs(2), || (worker.calls() == 0).then_some(()));
    let events = result["events"].as_array().expect("events");
    let lost = events.iter().find(|event| event["event"] == "room_lost");
    let why = lost.and_then(|event: &Value| event["why"].as_str());
    why.unwrap_or_else(|| panic!("no room_lost in {result}")).to_owned()
}

fn dispatch(worker: &Worker, room: &str) -> (u16, String) {
    let body = json!({"room_name": room, "caller_number": "1", "dialed_number": "echo"});
    http_post(worker.http, "/livekit/dispatch", SECRET, &body.to_string())
}
