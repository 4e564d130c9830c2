use super::*;

const FAR: &str = "Require: 100rel\r\nRequire: timer, replaces\r\n";

#[tokio::test]
async fn each_refusal_has_its_status_and_says_what_would_help() {
    let (server, board) = server().await;
    let video = SDP.replace("m=audio", "m=video");
    let secure = SDP.replace("RTP/AVP 0", "RTP/SAVP 0");
    let codec = SDP.replace("RTP/AVP 0 101", "RTP/AVP 3");
    let retry = Some("Retry-After: 5\r\n");
    let allow = Some("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY\r\n");
    type Row<'a> = (&'a str, &'a str, &'a str, &'a str, u16, Option<&'a str>);
    let rows: &[Row<'_>] = &[
        ("INVITE", "nobody", "", SDP, 404, None),
        ("INVITE", "forbidden", "", SDP, 403, None),
        ("INVITE", "asleep", "", SDP, 480, None),
        ("INVITE", "unreachable", "", SDP, 503, retry),
        ("INVITE", "portless", "", SDP, 503, retry),
        ("INVITE", "broken", "", SDP, 500, None),
        ("INVITE", "mute", "", SDP, 500, None),
        ("INVITE", "echo", "", &codec, 488, Some("Warning: 305 vox ")),
        ("INVITE", "echo", "", &secure, 488, Some("Warning: 302 vox ")),
        ("INVITE", "echo", "", &video, 488, Some("Warning: 304 vox ")),
        ("INVITE", "echo", "", "nonsense", 400, Some("Warning: 399 vox ")),
        (
            "INVITE",
            "echo",
            "Content-Type: text/plain\r\n",
            "x",
            415,
            Some("Accept: application/sdp\r\n"),
        ),
        (
            "INVITE",
            "echo",
            "Content-Encoding: gzip\r\n",
            SDP,
            415,
            Some("Accept-Encoding: identity\r\n"),
        ),
        ("INVITE", "echo", FAR, SDP, 420, Some("Unsupported: 100rel, timer, replaces\r\n")),
        ("OPTIONS", "echo", "Require: x\r\n", "", 420, Some("Unsupported: x\r\n")),
        ("REGISTER", "echo", "", "", 405, allow),
        ("MESSAGE", "echo", "", "", 405, allow),
        ("PRACK", "echo", "", "", 405, allow),
        ("SUBSCRIBE", "echo", "", "", 405, allow),
        ("DANCE", "echo", "", "", 405, allow),
        ("invite", "echo", "", SDP, 405, allow),
        ("BYE", "echo", "", "", 481, None),
        ("INFO", "echo", "", "", 481, None),
        ("UPDATE", "echo", "", SDP, 481, None),
    ];
    for (method, user, fields, body, status, help) in rows {
        let mut peer = Peer::udp(server.local_addr()).await;
        let request = peer.request(method, user, 1, fields, body);
        peer.send(&request).await;
        let mut answer = peer.receive().await;
        if answer.starts_with("SIP/2.0 100 ") {
            answer = peer.receive().await;
        }
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{method} {user}: {answer}");
        assert!(help.is_none_or(|help| answer.contains(help)), "{method} {user}: {answer}");
        let to = answer.lines().find(|line| line.starts_with("To:")).unwrap();
        assert!(to.contains(";tag="), "{answer}");
    }
    wait_until(|| board.taken() == 0).await;
    assert_eq!(server.counts().refused, rows.len() as u64);
}

/// Waits for something that follows from what was seen.
async fn wait_until(is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.expect("it does not become so");
}

#[tokio::test]
async fn inside_no_dialog_of_ours_nothing_is_done() {
    let (server, board) = server().await;
    for method in ["INVITE", "BYE", "INFO", "UPDATE", "OPTIONS"] {
        let mut peer = Peer::udp(server.local_addr()).await;
        let request =
            peer.request(method, "echo", 1, "", if method == "INVITE" { SDP } else { "" });
        let ours = format!("To: <sip:echo@{}>", server.local_addr());
        let request = request.replace(&ours, &format!("{ours};tag=unknown"));
        peer.send(&request).await;
        peer.expect(481).await;
    }
    assert_eq!(board.rest(), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_worker_is_busy_before_anything_else_happens() {
    let (server, board) = server().await;
    let mut first = Peer::udp(server.local_addr()).await;
    let mut second = Peer::udp(server.local_addr()).await;
    first.call("echo", SDP).await;
    second.call("echo", SDP).await;
    for _ in 0..4 {
        board.next().await;
    }
    let mut third = Peer::udp(server.local_addr()).await;
    let invite = third.request("INVITE", "echo", 1, "", SDP);
    third.send(&invite).await;
    assert!(third.expect(486).await.contains("Retry-After: 10\r\n"));
    insta::assert_snapshot!(third.transcript());
    assert_eq!(board.rest(), Vec::<String>::new());

    let bye = first.request("BYE", "echo", 2, "", "");
    first.send(&bye).await;
    first.expect(200).await;
    assert_eq!(board.next().await, "close CallerHungUp");
    wait_until(|| board.taken() == 1).await;
    let mut fourth = Peer::udp(server.local_addr()).await;
    fourth.call("echo", SDP).await;
}

#[tokio::test]
async fn a_worker_that_drains_sends_callers_away() {
    let (server, board) = server().await;
    board.drain();
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "echo", 1, "", SDP);
    peer.send(&invite).await;
    assert!(peer.expect(503).await.contains("Retry-After: 10\r\n"));
    assert_eq!(board.rest(), Vec::<String>::new());
}

#[tokio::test]
async fn an_invite_that_comes_by_two_ways_is_one_call() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "slow", 1, "", SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    let merged = peer.request("INVITE", "slow", 1, "", SDP);
    peer.send(&merged).await;
    peer.expect(482).await;
    assert_eq!(board.next().await, "open slow for al");
    assert_eq!((board.rest().len(), board.taken()), (0, 1));
}

#[tokio::test]
async fn options_tells_what_we_can() {
    let (server, _) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let options = peer.request("OPTIONS", "echo", 1, "", "");
    peer.send(&options).await;
    peer.expect(200).await;
    insta::assert_snapshot!(peer.transcript());
}
