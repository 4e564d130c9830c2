use super::*;

/// Long enough for a slow machine to begin a call after connecting.
const IDLE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_datagram_is_answered_refused_or_dropped_and_the_next_one_is_heard() {
    let (server, _) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let good = peer.request("OPTIONS", "echo", 1, "", "");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let rows: Vec<(String, Option<u16>)> = vec![
        (with("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), Some(505)),
        (with("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"), Some(400)),
        (with("CSeq: 1 OPTIONS", "CSeq: 4294967296 OPTIONS"), Some(400)),
        (with("CSeq: 1 OPTIONS", "CSeq: x OPTIONS"), Some(400)),
        (with("CSeq: 1 OPTIONS\r\n", ""), Some(400)),
        (with("Call-ID: ", "X-Call: "), Some(400)),
        (with("From: ", "X-From: "), Some(400)),
        (with("To: ", "X-To: "), Some(400)),
        (with("Via: ", "X-Via: "), None),
        (with(";tag=from-tag", ""), Some(400)),
        (with("SIP/2.0/UDP ", "SIP/2.0"), Some(400)),
        (with("\"Al\" <sip:al@example.net>", "\"Al <sip:"), Some(400)),
        (with("Max-Forwards: 70", "Max-Forwards: 0"), Some(483)),
        (with("Max-Forwards: 70", "Max-Forwards: 256"), Some(400)),
        (with("Max-Forwards: 70", "Max-Forwards: many"), Some(400)),
        (with("Max-Forwards: 70\r\n", ""), Some(200)),
        (with("Content-Length: 0", "Content-Length: 5"), Some(400)),
        (with("Content-Length: 0", "Content-Length: -1"), Some(400)),
        (with("Content-Length: 0", "Content-Length: abc"), Some(400)),
        (with("Content-Length: 0", "Content-Length: 0\r\nContent-Length: 1"), Some(400)),
        (with("Content-Length: 0\r\n", ""), Some(200)),
        (format!("{good}and what follows the body"), Some(200)),
        (with("OPTIONS sip:", "OPTIONS http:"), Some(416)),
        (with("OPTIONS sip:", "OPTIONS  sip:"), Some(400)),
        (with(&format!("sip:echo@{} SIP", server.local_addr()), "sip: SIP"), Some(400)),
        (with("OPTIONS sip:", "OPT/IONS sip:"), Some(400)),
        (with("From: ", "from : "), Some(200)),
        (with("From: ", "From:\r\n "), Some(200)),
        (with("To: ", "To: <sip:a@b>\r\nTo: "), Some(400)),
        (with("Max-Forwards", "Subject: \u{1}\r\nMax-Forwards"), None),
        (with("Max-Forwards", "no colon\r\nMax-Forwards"), None),
        (with("Max-Forwards", &"X: y\r\n".repeat(200)), None),
        (with("Max-Forwards", &format!("X: {}\r\nMax-Forwards", "y".repeat(20_000))), None),
        (good.replace("\r\n\r\n", "\r\n"), None),
        ("SIP/2.0 200 OK\r\n\r\n".to_owned(), None),
        ("\u{0}\u{1}\u{2}".to_owned(), None),
        ("hello".to_owned(), None),
    ];
    for (at, (message, status)) in rows.iter().enumerate() {
        // A branch of its own: the same one again would be a retransmission.
        let message = message.replace("z9hG4bK1\r\n", &format!("z9hG4bKrow{at}\r\n"));
        peer.send_raw(message.as_bytes()).await;
        match status {
            Some(status) => {
                let answer = peer.receive_any().await;
                assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{message}\n{answer}");
            }
            None => peer.expect_silence().await,
        }
    }
}

#[tokio::test]
async fn messages_in_one_piece_of_a_stream_are_answered_in_order() {
    let (server, _) = server().await;
    let mut peer = Peer::tcp(server.local_addr()).await;
    let first = peer.request("OPTIONS", "echo", 1, "", "");
    let second = peer.request("OPTIONS", "echo", 2, "Content-Type: text/plain\r\n", "body");
    let third = peer.request("OPTIONS", "echo", 3, "", "");
    let piped = format!("\r\n{first}{second}\r\n\r\n{third}");
    for piece in piped.as_bytes().chunks(100) {
        peer.send_raw(piece).await;
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let text = peer.receive_any().await;
        let number = text.lines().find_map(|line| line.strip_prefix("CSeq: "));
        seen.push(number.unwrap_or("pong").to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["1 OPTIONS", "2 OPTIONS", "3 OPTIONS", "pong"]);
}

#[tokio::test]
async fn a_stream_that_is_lost_is_closed_and_no_other() {
    let (server, _) = server().await;
    let mut other = Peer::tcp(server.local_addr()).await;
    other.call("echo", SDP).await;
    let rows = [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), false),
        ("\u{16}\u{3}\u{1}\u{2}\n".to_owned(), false),
        ("x".repeat(20_000), false),
        ("Content-Length: 0".to_owned(), true),
        ("Content-Length: x".to_owned(), true),
        ("Content-Length: 99999999".to_owned(), true),
        ("Content-Length: 0\r\nl: 7".to_owned(), true),
    ];
    for (what, answered) in rows {
        let mut peer = Peer::tcp(server.local_addr()).await;
        let good = peer.request("OPTIONS", "echo", 1, "", "");
        let bad = match (answered, what.as_str()) {
            (true, "Content-Length: 0") => good.replace("Content-Length: 0\r\n", ""),
            (true, length) => good.replace("Content-Length: 0", length),
            (false, garbage) => garbage.to_owned(),
        };
        peer.send_raw(bad.as_bytes()).await;
        if answered {
            peer.expect(400).await;
        }
        peer.expect_close().await;
    }
    let bye = other.request("BYE", "echo", 2, "", "");
    other.send(&bye).await;
    other.expect(200).await;
}

#[tokio::test]
async fn a_stream_answers_bad_requests_and_goes_on() {
    let (server, _) = server().await;
    let mut peer = Peer::tcp(server.local_addr()).await;
    let good = peer.request("OPTIONS", "echo", 1, "", "");
    for (from, to, status) in [
        ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", 505),
        ("CSeq: 1 OPTIONS", "CSeq: 1 BYE", 400),
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        ("OPTIONS sip:", "OPTIONS mailto:", 416),
        ("", "", 200),
    ] {
        peer.send_raw(good.replacen(from, to, 1).as_bytes()).await;
        let answer = peer.receive_any().await;
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{to}: {answer}");
    }
}

#[tokio::test]
async fn a_call_outlives_the_connection_it_came_by() {
    let (server, board) = server().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let contact = listener.local_addr().unwrap();
    let mut peer = Peer::tcp(server.local_addr()).await;
    let invite = peer.request("INVITE", "echo", 1, "", SDP);
    let own = format!("Contact: <sip:al@{}>", peer.local);
    let invite = invite.replace(&own, &format!("Contact: <sip:al@{contact};transport=tcp>"));
    peer.send(&invite).await;
    peer.expect(100).await;
    peer.expect(200).await;
    let ack = peer.request("ACK", "echo", 1, "", "");
    peer.send(&ack).await;
    let options = peer.request("OPTIONS", "echo", 2, "", "");
    peer.send(&options).await;
    peer.expect(200).await;
    drop(peer);
    board.hang_up(vox_call::Reason::BotHungUp);
    let accepted = tokio::time::timeout(Duration::from_secs(20), listener.accept()).await;
    let (mut stream, _) = accepted.expect("nobody connects").unwrap();
    let mut start = [0; 4];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut start).await.unwrap();
    assert_eq!(&start, b"BYE ");
}

#[tokio::test]
async fn a_stream_that_is_slow_is_closed() {
    let (server, _) = server_with(|config| config.limits.message = QUICK).await;
    let mut peer = Peer::tcp(server.local_addr()).await;
    peer.send_raw(b"OPTIONS sip:echo@h SIP/2.0\r\nVia: ").await;
    peer.expect_close().await;
}

#[tokio::test]
async fn a_stream_that_is_idle_is_closed_unless_a_call_hangs_on_it() {
    let (server, _) = server_with(|config| config.limits.idle = IDLE).await;
    let mut calling = Peer::tcp(server.local_addr()).await;
    let invite = calling.request("INVITE", "echo", 1, "", SDP);
    calling.send(&invite).await;
    calling.expect(100).await;
    calling.expect(200).await;
    let ack = calling.request("ACK", "echo", 1, "", "");
    calling.send(&ack).await;
    Peer::tcp(server.local_addr()).await.expect_close().await;
    let bye = calling.request("BYE", "echo", 2, "", "");
    calling.send(&bye).await;
    calling.expect(200).await;
}

#[tokio::test]
async fn no_more_streams_are_taken_than_there_is_room_for() {
    let (server, _) = server_with(|config| config.limits.connections = 2).await;
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = Peer::tcp(server.local_addr()).await;
        let options = peer.request("OPTIONS", "echo", 1, "", "");
        peer.send(&options).await;
        peer.expect(200).await;
        peers.push(peer);
    }
    Peer::tcp(server.local_addr()).await.expect_close().await;
    assert_eq!(server.counts().dropped, 1);
}

#[tokio::test]
async fn more_calls_at_once_than_transactions_go_unanswered_and_come_again() {
    let (server, board) = server_with(|config| config.limits.transactions = 1).await;
    let mut first = Peer::udp(server.local_addr()).await;
    let invite = first.request("INVITE", "slow", 1, "", SDP);
    first.send(&invite).await;
    first.expect(100).await;
    let mut second = Peer::udp(server.local_addr()).await;
    let options = second.request("OPTIONS", "echo", 1, "", "");
    assert_eq!(second.repeat(&options).await, None);
    board.gate.notify_one();
    first.expect(200).await;
    let ack = first.request("ACK", "slow", 1, "", "");
    first.send(&ack).await;
    while second.repeat(&options).await.is_none() {}
}

#[tokio::test]
async fn a_server_that_stops_waits_for_the_last_bye() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    peer.call("echo", SDP).await;
    board.hang_up(vox_call::Reason::WorkerStopped);
    let stopping = tokio::spawn(server.stop());
    let bye = peer.receive().await;
    assert!(bye.starts_with("BYE ") && !stopping.is_finished());
    peer.answer(&bye).await;
    stopping.await.unwrap();
}
