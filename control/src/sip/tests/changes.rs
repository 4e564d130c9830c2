use super::*;

/// A call that is up, with its diary read.
async fn up(board: &Board, server: &SipServer) -> Peer {
    let mut peer = Peer::udp(server.local_addr()).await;
    peer.call("echo", SDP).await;
    board.next().await;
    board.next().await;
    peer
}

/// Sends a re-INVITE that must be accepted, and its ACK.
async fn reinvite(peer: &mut Peer, cseq: u32, body: &str) -> String {
    let invite = peer.request("INVITE", "echo", cseq, "", body);
    peer.send(&invite).await;
    let ok = peer.expect(200).await;
    let ack = peer.request("ACK", "echo", cseq, "", "");
    peer.send(&ack).await;
    ok
}

#[tokio::test]
async fn hold_resume_and_a_new_codec_and_address_are_agreed_in_the_call() {
    let (server, board) = server().await;
    let mut peer = up(&board, &server).await;
    let rows = [
        ("a=sendonly\r\n", "a=recvonly", "media PCMU/0 127.0.0.1:4000 RecvOnly"),
        ("a=sendrecv\r\n", "a=sendrecv", "media PCMU/0 127.0.0.1:4000 SendRecv"),
        ("a=inactive\r\n", "a=inactive", "media PCMU/0 127.0.0.1:4000 Inactive"),
        ("c=IN IP4 0.0.0.0\r\n", "a=inactive", "media PCMU/0 0.0.0.0:4000 Inactive"),
    ];
    let mut cseq = 1;
    for (line, ours, media) in rows {
        cseq += 1;
        let ok = reinvite(&mut peer, cseq, &format!("{SDP}{line}")).await;
        assert!(ok.contains(ours), "{line}: {ok}");
        assert_eq!(board.next().await, media);
    }
    let moved = SDP.replace("4000 RTP/AVP 0", "4100 RTP/AVP 8").replace("127.0.0.1", "127.0.0.2");
    reinvite(&mut peer, cseq + 1, &moved).await;
    assert_eq!(board.next().await, "media PCMA/8 127.0.0.2:4100 SendRecv");
    insta::assert_snapshot!(peer.transcript());
}

#[tokio::test]
async fn a_change_that_cannot_be_agreed_leaves_the_call_as_it_was() {
    let (server, board) = server().await;
    let mut peer = up(&board, &server).await;
    let rows = [
        ("INVITE", "", SDP.replace("RTP/AVP 0 101", "RTP/AVP 3"), 488),
        ("INVITE", "", SDP.replace("RTP/AVP 0", "RTP/SAVP 0"), 488),
        ("INVITE", "", "nonsense".to_owned(), 400),
        ("INVITE", "Content-Type: text/plain\r\n", "x".to_owned(), 415),
        ("INVITE", "Require: 100rel\r\n", SDP.to_owned(), 420),
        ("UPDATE", "", SDP.replace("RTP/AVP 0 101", "RTP/AVP 3"), 488),
        ("INFO", "Content-Type: text/plain\r\n", "x".to_owned(), 415),
        ("REFER", "", String::new(), 405),
        ("PRACK", "", String::new(), 405),
    ];
    for (at, (method, fields, body, status)) in rows.into_iter().enumerate() {
        let cseq = at as u32 + 2;
        let request = peer.request(method, "echo", cseq, fields, &body);
        peer.send(&request).await;
        let refusal = peer.expect(status).await;
        assert_eq!(refusal.contains("Warning:"), matches!(status, 488 | 400), "{refusal}");
        if method == "INVITE" {
            let ack = peer.request_in_branch(peer.branch(), "ACK", "echo", cseq, "", "");
            peer.send(&ack).await;
        }
    }
    assert_eq!(board.rest(), Vec::<String>::new());
    reinvite(&mut peer, 20, &format!("{SDP}a=sendonly\r\n")).await;
    assert_eq!(board.next().await, "media PCMU/0 127.0.0.1:4000 RecvOnly");
}

#[tokio::test]
async fn two_offers_do_not_cross() {
    let (server, board) = server().await;
    let mut peer = up(&board, &server).await;
    let invite = peer.request("INVITE", "echo", 2, "", "");
    peer.send(&invite).await;
    let ok = peer.expect(200).await;
    assert!(ok.contains("m=audio"), "our offer: {ok}");
    for (method, cseq) in [("UPDATE", 3), ("INVITE", 4)] {
        let crossing = peer.request(method, "echo", cseq, "", SDP);
        peer.send(&crossing).await;
        let refusal = peer.expect(491).await;
        assert!(refusal.contains(&format!("CSeq: {cseq} {method}")));
    }
    let answer = SDP.replace("RTP/AVP 0 101", "RTP/AVP 8 101");
    let ack = peer.request("ACK", "echo", 2, "", &answer);
    peer.send(&ack).await;
    assert_eq!(board.next().await, "media PCMA/8 127.0.0.1:4000 SendRecv");
}

#[tokio::test]
async fn update_changes_media_without_an_ack() {
    let (server, board) = server().await;
    let mut peer = up(&board, &server).await;
    let update = peer.request("UPDATE", "echo", 2, "", &format!("{SDP}a=sendonly\r\n"));
    peer.send(&update).await;
    assert!(peer.expect(200).await.contains("a=recvonly"));
    assert_eq!(board.next().await, "media PCMU/0 127.0.0.1:4000 RecvOnly");
    let refresh = peer.request("UPDATE", "echo", 3, "", "");
    peer.send(&refresh).await;
    assert!(!peer.expect(200).await.contains("m=audio"));
    assert_eq!(board.rest(), Vec::<String>::new());
}

#[tokio::test]
async fn info_brings_digits() {
    let (server, board) = server().await;
    let mut peer = up(&board, &server).await;
    const RELAY: &str = "Content-Type: application/dtmf-relay\r\n";
    let rows = [
        (RELAY, "Signal=5\r\nDuration=240\r\n", 200, Some("digit 5 240 ms")),
        ("Content-Type: application/dtmf\r\n", "#", 200, Some("digit # 160 ms")),
        (RELAY, "Signal=?\r\n", 400, None),
        ("", "", 200, None),
    ];
    for (at, (fields, body, status, digit)) in rows.into_iter().enumerate() {
        let info = peer.request("INFO", "echo", at as u32 + 2, fields, body);
        peer.send(&info).await;
        peer.expect(status).await;
        if let Some(digit) = digit {
            assert_eq!(board.next().await, digit);
        }
        // The same INFO again is the same press.
        peer.send_raw(info.as_bytes()).await;
        assert!(peer.receive_any().await.starts_with(&format!("SIP/2.0 {status} ")));
    }
    assert_eq!(board.rest(), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_that_goes_back_in_order_is_refused() {
    let (server, board) = server().await;
    let mut peer = up(&board, &server).await;
    let options = peer.request("OPTIONS", "echo", 7, "", "");
    peer.send(&options).await;
    peer.expect(200).await;
    let old = peer.request("BYE", "echo", 6, "", "");
    peer.send(&old).await;
    assert!(peer.expect(500).await.contains("Retry-After: 1"));
    assert_eq!(board.taken(), 1);
}
