use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_call_over_udp_is_answered_and_hung_up() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    peer.call("echo", SDP).await;
    assert_eq!(board.next().await, "open echo for al");
    assert_eq!(board.next().await, "media PCMU/0 127.0.0.1:4000 SendRecv");
    assert_eq!((board.taken(), server.counts().dialogs), (1, 1));

    let bye = peer.request("BYE", "echo", 2, "", "");
    peer.send(&bye).await;
    peer.expect(200).await;
    assert_eq!(board.next().await, "close CallerHungUp");
    insta::assert_snapshot!(peer.transcript());

    // The dialog is over: the same BYE is answered as before, another one is not known.
    peer.send_raw(bye.as_bytes()).await;
    assert!(peer.receive_any().await.starts_with("SIP/2.0 200 "));
    let again = peer.request("BYE", "echo", 3, "", "");
    peer.send(&again).await;
    peer.expect(481).await;
    assert_eq!((board.taken(), server.counts().dialogs), (0, 0));
}

#[tokio::test]
async fn a_call_over_tcp_is_the_same() {
    let (server, board) = server().await;
    let mut peer = Peer::tcp(server.local_addr()).await;
    let ok = peer.call("echo", SDP).await;
    assert!(ok.contains(&format!("Contact: <sip:echo@{};transport=tcp>", server.local_addr())));
    board.next().await;
    board.next().await;
    let bye = peer.request("BYE", "echo", 2, "", "");
    peer.send(&bye).await;
    peer.expect(200).await;
    assert_eq!(board.next().await, "close CallerHungUp");
}

#[tokio::test]
async fn a_repeated_invite_gets_the_same_answer_and_one_call() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "slow", 1, "", SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    peer.send_raw(invite.as_bytes()).await;
    assert!(peer.receive_any().await.starts_with("SIP/2.0 100 "));
    board.gate.notify_one();
    let ok = peer.expect(200).await;
    let ack = peer.request("ACK", "slow", 1, "", "");
    peer.send(&ack).await;
    // Once acknowledged, the INVITE and the ACK may still come again.
    peer.send_raw(ack.as_bytes()).await;
    while peer.repeat(&invite).await.as_ref() != Some(&ok) {}
    assert_eq!(board.next().await, "open slow for al");
    assert_eq!(board.next().await, "media PCMU/0 127.0.0.1:4000 SendRecv");
    assert_eq!(board.rest(), Vec::<String>::new());
    assert_eq!(board.taken(), 1);
}

#[tokio::test]
async fn an_invite_without_offer_gets_ours_and_answers_it_in_the_ack() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "echo", 1, "", "");
    peer.send(&invite).await;
    peer.expect(100).await;
    peer.expect(200).await;
    assert_eq!(board.next().await, "open echo for al");
    let answer = SDP.replace("RTP/AVP 0 101", "RTP/AVP 8 101");
    let ack = peer.request("ACK", "echo", 1, "", &answer);
    peer.send(&ack).await;
    assert_eq!(board.next().await, "media PCMA/8 127.0.0.1:4000 SendRecv");
    insta::assert_snapshot!(peer.transcript());
}

#[tokio::test]
async fn an_ack_without_the_answer_we_need_ends_the_call() {
    let (server, board) = server().await;
    for answer in ["", "nonsense"] {
        let mut peer = Peer::udp(server.local_addr()).await;
        let invite = peer.request("INVITE", "echo", 1, "", "");
        peer.send(&invite).await;
        peer.expect(100).await;
        peer.expect(200).await;
        assert_eq!(board.next().await, "open echo for al");
        let ack = peer.request("ACK", "echo", 1, "", answer);
        peer.send(&ack).await;
        assert!(peer.receive().await.starts_with("BYE "), "{answer:?}");
        assert_eq!(board.next().await, "close SignallingFailed");
    }
}

#[tokio::test]
async fn a_caller_who_waits_for_the_bot_hears_it_ring_or_nothing() {
    use crate::sip::Provisional::{Ringing, SessionProgress};
    for (provisional, status) in [(Ringing, 180), (SessionProgress, 183)] {
        let (server, board) = server_with(|config| {
            config.ring_after = Duration::ZERO;
            config.provisional = provisional;
        })
        .await;
        let mut peer = Peer::udp(server.local_addr()).await;
        let invite = peer.request("INVITE", "slow", 1, "", SDP);
        peer.send(&invite).await;
        peer.expect(100).await;
        let early = peer.expect(status).await;
        board.gate.notify_one();
        let ok = peer.expect(200).await;
        let to = |text: &str| text.lines().find(|l| l.starts_with("To:")).map(str::to_owned);
        assert_eq!(to(&early), to(&ok), "one dialog");
    }
}

#[tokio::test]
async fn what_proxies_recorded_comes_back_and_is_the_way_of_our_requests() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let route = format!("<sip:{};lr>", peer.local);
    let fields = format!("Record-Route: {route}, <sip:far.example;lr>\r\n");
    let invite = peer.request("INVITE", "echo", 1, &fields, SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    let ok = peer.expect(200).await;
    assert!(ok.contains(fields.trim_end()), "{ok}");
    let ack = peer.request("ACK", "echo", 1, "", "");
    peer.send(&ack).await;
    board.hang_up(vox_call::Reason::BotHungUp);
    let bye = peer.receive().await;
    assert!(bye.contains(&format!("Route: {route}\r\nRoute: <sip:far.example;lr>")), "{bye}");
}
