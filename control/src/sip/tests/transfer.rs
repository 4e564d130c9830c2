use super::*;
use crate::calls::{Destination, TransferMode};

const TRYING: &str = "SIP/2.0 100 Trying\r\n";
const ACTIVE: &str = "Event: refer\r\nSubscription-State: active;expires=60\r\n\
                      Content-Type: message/sipfrag;version=2.0\r\n";
const LAST: &str = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n\
                    Content-Type: message/sipfrag;version=2.0\r\n";

/// An answered call whose bot asks for a transfer; the REFER that came.
async fn referred(peer: &mut Peer, board: &Board, to: Destination) -> String {
    peer.call("echo", SDP).await;
    board.next().await;
    board.next().await;
    board.transfer(to, TransferMode::Blind);
    let refer = peer.receive().await;
    assert!(refer.starts_with("REFER "), "{refer}");
    refer
}

fn number() -> Destination {
    Destination::Number("600".into())
}

#[tokio::test]
async fn a_caller_is_sent_elsewhere_and_let_go_when_it_is_there() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let refer = referred(&mut peer, &board, number()).await;
    peer.respond(&refer, "202 Accepted", "").await;
    for (cseq, fields, body) in [
        (2, ACTIVE, TRYING),
        (3, ACTIVE, "SIP/2.0 180 Ringing\r\n"),
        (4, LAST, "SIP/2.0 200 OK\r\n"),
    ] {
        let notify = peer.request("NOTIFY", "echo", cseq, fields, body);
        peer.send(&notify).await;
        peer.expect(200).await;
    }
    let bye = peer.receive().await;
    assert!(bye.starts_with("BYE "), "{bye}");
    peer.answer(&bye).await;
    insta::assert_snapshot!(peer.transcript());
    assert_eq!(board.next().await, "sip_refer: Ok(())");
    assert_eq!(board.next().await, "close Transferred");
}

/// What the peer does after REFER, and what comes of it.
async fn check(answer: (&str, &str), reports: &[(&str, &str)], bye: bool, expected: &str) {
    let (server, board) = server_with(|config| config.t1 = QUICK).await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let refer = referred(&mut peer, &board, number()).await;
    if !answer.0.is_empty() {
        peer.respond(&refer, answer.0, answer.1).await;
    }
    let mut cseq = 1;
    for (fields, body) in reports {
        cseq += 1;
        let notify = peer.request("NOTIFY", "echo", cseq, fields, body);
        peer.send(&notify).await;
        loop {
            // Unanswered, REFER comes again.
            let text = peer.receive_any().await;
            if text.starts_with("SIP/2.0 200") && text.contains("NOTIFY") {
                break;
            }
        }
    }
    if bye {
        let bye = peer.request("BYE", "echo", cseq + 1, "", "");
        peer.send(&bye).await;
    }
    assert_eq!(board.next().await, expected, "{answer:?} {reports:?} {bye}");
    let ends = bye || expected.contains("Ok");
    if ends {
        let why = if expected.contains("Ok") { "Transferred" } else { "CallerHungUp" };
        assert_eq!(board.next().await, format!("close {why}"), "{answer:?} {reports:?}");
    } else {
        assert_eq!(board.rest(), [""; 0], "the call goes on");
        assert_eq!(board.taken(), 1);
    }
}

#[tokio::test]
async fn whatever_a_peer_makes_of_a_refer_there_is_one_outcome() {
    let ok = "sip_refer: Ok(())";
    let failed = |why: &str| format!("sip_refer: Err({why:?})");
    let accepted = ("202 Accepted", "");
    let hung_up = failed("the caller hung up before");
    check(("603 Decline", ""), &[], false, &failed("REFER: 603 Decline")).await;
    check(("405 Method Not Allowed", ""), &[], false, &failed("REFER: 405 Method Not Allowed"))
        .await;
    check(("", ""), &[], false, &failed("the peer did not answer REFER")).await;
    check(
        accepted,
        &[(ACTIVE, TRYING), (LAST, "SIP/2.0 486 Busy Here\r\n")],
        false,
        &failed("486 Busy Here"),
    )
    .await;
    check(accepted, &[], false, &failed("the peer reported no outcome in time")).await;
    check(accepted, &[(LAST, TRYING)], false, &failed("the peer reported no outcome")).await;
    // RFC 4488.
    check(("202 Accepted", "Refer-Sub: false\r\n"), &[], false, ok).await;
    // A report that overtakes the answer.
    check(("", ""), &[(LAST, "SIP/2.0 200 OK\r\n")], false, ok).await;
    check(accepted, &[], true, ok).await;
    check(accepted, &[(ACTIVE, TRYING)], true, ok).await;
    check(accepted, &[(ACTIVE, "SIP/2.0 180 Ringing\r\n")], true, &hung_up).await;
    check(("", ""), &[], true, &hung_up).await;
}

#[tokio::test]
async fn a_transfer_that_failed_can_be_followed_by_another() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let refer = referred(&mut peer, &board, Destination::Uri("tel:+491234".into())).await;
    assert!(refer.contains("Refer-To: <tel:+491234>\r\n"), "{refer}");
    peer.respond(&refer, "480 Temporarily Unavailable", "").await;
    assert_eq!(board.next().await, "sip_refer: Err(\"REFER: 480 Temporarily Unavailable\")");
    let notify = peer.request("NOTIFY", "echo", 2, LAST, "SIP/2.0 480 Gone\r\n");
    peer.send(&notify).await;
    peer.expect(481).await;
    board.transfer(Destination::Number("*7#".into()), TransferMode::Blind);
    let refer = peer.receive().await;
    assert!(refer.contains(&format!("Refer-To: <sip:*7%23@{}>\r\n", peer.local)), "{refer}");
    peer.respond(&refer, "202 Accepted", "").await;
    let bye = peer.request("BYE", "echo", 3, "", "");
    peer.send(&bye).await;
    peer.expect(200).await;
    assert_eq!(board.next().await, "sip_refer: Ok(())");
}

#[tokio::test]
async fn reports_that_belong_to_nothing_are_refused() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    // Outside any dialog, and before there is a REFER.
    let stray = peer.request("NOTIFY", "echo", 1, LAST, "SIP/2.0 200 OK\r\n");
    peer.send(&stray).await;
    peer.expect(481).await;
    peer.call("echo", SDP).await;
    let early = peer.request("NOTIFY", "echo", 2, LAST, "SIP/2.0 200 OK\r\n");
    peer.send(&early).await;
    peer.expect(481).await;
    board.transfer(number(), TransferMode::Blind);
    let refer = peer.receive().await;
    peer.respond(&refer, "202 Accepted", "").await;
    let rows = [
        ("Event: dialog\r\nContent-Type: message/sipfrag\r\n", 489),
        ("Event: refer;id=9\r\nContent-Type: message/sipfrag\r\n", 481),
        ("Event: refer\r\nContent-Type: text/plain\r\n", 415),
    ];
    for (cseq, (fields, status)) in (3..).zip(rows) {
        let notify = peer.request("NOTIFY", "echo", cseq, fields, "SIP/2.0 200 OK\r\n");
        peer.send(&notify).await;
        peer.expect(status).await;
    }
    let notify = peer.request("NOTIFY", "echo", 9, LAST, "nonsense");
    peer.send(&notify).await;
    peer.expect(400).await;
}
