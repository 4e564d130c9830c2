use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{get_tcp, get_unix, request, send};
use super::*;

#[tokio::test]
async fn what_is_not_offered_is_refused_in_json() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    let (not_found, not_allowed) =
        ("{\"detail\":\"not_found\"}", "{\"detail\":\"method_not_allowed\"}");
    let rows = [
        ("GET", "/", 404, not_found),
        ("GET", "/healthy", 404, not_found),
        ("GET", "/health/", 404, not_found),
        ("GET", "/health/fleet/1", 404, not_found),
        ("GET", "/recordings", 404, not_found),
        ("POST", "/nowhere", 404, not_found),
        ("POST", "/health", 405, not_allowed),
        ("DELETE", "/health/fleet", 405, not_allowed),
        ("PUT", "/metrics", 405, not_allowed),
        ("OPTIONS", "/metrics", 405, not_allowed),
        ("TEAPOT", "/metrics", 405, not_allowed),
    ];
    for (method, target, status, body) in rows {
        let answer = send(worker.tcp, &request(method, target, "")).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{method} {target}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {target}");
        let allow = answer.header("allow");
        assert_eq!(allow, (status == 405).then_some("GET,HEAD"), "{method} {target}");
    }
    let headers = format!("x-voxcore-secret: {SECRET}\r\n");
    let answer = send(worker.tcp, &request("PUT", "/recordings/a.wav", &headers)).await;
    assert_eq!((answer.status, answer.text()), (405, not_allowed));
}

#[tokio::test]
async fn a_query_and_a_head_are_answered_like_the_route() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    assert_eq!(get_tcp(worker.tcp, "/health?verbose=1").await.status, 200);
    let length = get_tcp(worker.tcp, "/health").await.body.len().to_string();
    let answer = send(worker.tcp, &request("HEAD", "/health", "")).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    let answer = get_unix(&worker.socket, "/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_next_is_answered() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    let rows = [
        ("INVITE sip:a@b SIP/2.0\r\n\r\n".to_owned(), 400),
        ("\0\0\0\0\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nhost: vox\r\n\r\n", "a".repeat(20_000)), 431),
        (format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000)), 431),
        (format!("GET /health HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)), 431),
    ];
    for (text, expected) in rows {
        let answer = send(worker.tcp, &text).await;
        assert_eq!(answer.status, expected, "{:.40}", text.escape_debug().to_string());
        assert_eq!(get_tcp(worker.tcp, "/health").await.status, 200);
    }
}

#[tokio::test]
async fn an_endless_body_is_not_read() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 1).await;
    let head = "POST /health HTTP/1.1\r\nhost: vox\r\ncontent-length: 1000000000000\r\n\r\n";
    assert_eq!(send(worker.tcp, head).await.status, 405);
    let head =
        "GET /health HTTP/1.1\r\nhost: vox\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\nabc";
    assert_eq!(send(worker.tcp, head).await.status, 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_while_others_are_answered() {
    let dir = directory();
    let short = |limits: &mut Limits| limits.head = Duration::from_millis(300);
    let worker = Rig::start_with(dir.path(), "1", 1, 1, short).await;
    let mut slow = TcpStream::connect(worker.tcp).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nx-slow: ").await.unwrap();
    let mut idle = TcpStream::connect(worker.tcp).await.unwrap();
    assert_eq!(get_tcp(worker.tcp, "/health").await.status, 200);
    for stream in [&mut slow, &mut idle] {
        let mut rest = Vec::new();
        // Closed or reset: either way it holds nothing any more.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", rest.escape_ascii());
    }
}

#[tokio::test]
async fn whoever_does_not_read_is_cut_off() {
    let dir = directory();
    let short = |limits: &mut Limits| {
        limits.stalled = Duration::from_millis(300);
        limits.connections = 1;
    };
    let worker = Rig::start_with(dir.path(), "1", 1, 1, short).await;
    let length = 1_u64 << 30;
    fs::File::create(dir.path().join("1/spool/a.wav")).unwrap().set_len(length).unwrap();
    let mut lazy = TcpStream::connect(worker.tcp).await.unwrap();
    let headers = format!("x-voxcore-secret: {SECRET}\r\n");
    let text = request("GET", "/recordings/a.wav", &headers);
    lazy.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(lazy.read_u8().await.unwrap(), b'H');
    // It has the only place, until it is cut off.
    assert_eq!(get_tcp(worker.tcp, "/health").await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place_and_do_not_reach_the_other_socket() {
    let dir = directory();
    let two = |limits: &mut Limits| limits.connections = 2;
    let worker = Rig::start_with(dir.path(), "1", 1, 1, two).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(worker.tcp).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: vox\r\n\r\n").await.unwrap();
        // Once it has answered, the connection is among those counted.
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        held.push(stream);
    }
    let mut third = tokio::spawn(get_tcp(worker.tcp, "/health"));
    assert_eq!(get_unix(&worker.socket, "/health").await.status, 200);
    let waited = tokio::time::timeout(Duration::from_millis(100), &mut third).await;
    assert!(waited.is_err(), "the third was answered: {waited:?}");
    held.pop();
    assert_eq!(third.await.unwrap().status, 200);
}
