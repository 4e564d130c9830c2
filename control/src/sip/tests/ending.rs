use vox_call::Reason;

use super::*;

#[tokio::test]
async fn when_the_bot_hangs_up_the_caller_gets_a_bye() {
    for tcp in [false, true] {
        let (server, board) = server().await;
        let at = server.local_addr();
        let mut peer = if tcp { Peer::tcp(at).await } else { Peer::udp(at).await };
        peer.call("echo", SDP).await;
        board.hang_up(Reason::BotHungUp);
        let bye = peer.receive().await;
        assert!(bye.starts_with(&format!("BYE sip:al@{} SIP/2.0", peer.local)), "{bye}");
        peer.answer(&bye).await;
        if !tcp {
            insta::assert_snapshot!(peer.transcript());
        }
        // Answered, it does not come again, and the dialog is gone.
        let options = peer.request("OPTIONS", "echo", 2, "", "");
        peer.send(&options).await;
        peer.expect(481).await;
        assert_eq!((board.taken(), server.counts().dialogs), (0, 0));
    }
}

#[tokio::test]
async fn an_invite_that_is_never_acknowledged_ends_as_no_ack() {
    let (server, board) = server_with(|config| config.t1 = QUICK).await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "echo", 1, "", SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    let answer = peer.expect(200).await;
    assert_eq!(peer.receive_any().await, answer, "the answer is repeated");
    assert!(peer.receive().await.starts_with("BYE "));
    board.next().await;
    board.next().await;
    assert_eq!(board.next().await, "close NoAck");
}

#[tokio::test]
async fn a_line_that_ends_before_the_ack_waits_for_it() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "echo", 1, "", SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    peer.expect(200).await;
    board.hang_up(Reason::MediaTimeout);
    peer.expect_silence().await;
    let ack = peer.request("ACK", "echo", 1, "", "");
    peer.send(&ack).await;
    assert!(peer.receive().await.starts_with("BYE "));
}

#[tokio::test]
async fn cancel_ends_a_call_that_is_not_answered_yet() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "slow", 1, "", SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    let cancel = peer.request_in_branch(peer.branch(), "CANCEL", "slow", 1, "", "");
    peer.send(&cancel).await;
    peer.expect(200).await;
    let terminated = peer.expect(487).await;
    let to = terminated.lines().find(|line| line.starts_with("To:")).unwrap();
    let ack = peer.request_in_branch(peer.branch(), "ACK", "slow", 1, "", "");
    let ack = ack.lines().map(|line| if line.starts_with("To:") { to } else { line });
    let ack: String = ack.map(|line| format!("{line}\r\n")).collect();
    peer.send(&ack).await;
    insta::assert_snapshot!(peer.transcript());

    assert_eq!(board.next().await, "open slow for al");
    assert_eq!(board.taken(), 1, "what was begun is still being undone");
    board.gate.notify_one();
    assert_eq!(board.next().await, "close CallerCancelled");
}

#[tokio::test]
async fn cancel_ends_a_call_whose_answer_is_being_made() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "thoughtful", 1, "", SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    board.next().await;
    assert_eq!(board.next().await, "media PCMU/0 127.0.0.1:4000 SendRecv");
    let cancel = peer.request_in_branch(peer.branch(), "CANCEL", "thoughtful", 1, "", "");
    peer.send(&cancel).await;
    peer.expect(200).await;
    // On this one thread, the call's mail is written before we read the answer.
    board.gate.notify_one();
    peer.expect(487).await;
    assert_eq!(board.next().await, "close CallerCancelled");
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_or_for_nothing_changes_nothing() {
    let (server, board) = server().await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "echo", 1, "", SDP);
    peer.send(&invite).await;
    let branch = peer.branch();
    peer.expect(100).await;
    peer.expect(200).await;
    let cancel = peer.request_in_branch(branch, "CANCEL", "echo", 1, "", "");
    peer.send(&cancel).await;
    let answer = peer.expect(200).await;
    assert!(answer.contains("CSeq: 1 CANCEL"), "{answer}");
    let ack = peer.request("ACK", "echo", 1, "", "");
    peer.send(&ack).await;
    assert_eq!(board.taken(), 1);

    let mut stranger = Peer::udp(server.local_addr()).await;
    let cancel = stranger.request("CANCEL", "echo", 1, "", "");
    stranger.send(&cancel).await;
    stranger.expect(481).await;
}

#[tokio::test]
async fn a_bye_before_the_answer_ends_the_call_too() {
    let (server, board) = server_with(|config| config.ring_after = Duration::ZERO).await;
    let mut peer = Peer::udp(server.local_addr()).await;
    let invite = peer.request("INVITE", "slow", 1, "", SDP);
    peer.send(&invite).await;
    peer.expect(100).await;
    let ringing = peer.expect(180).await;
    let to = ringing.lines().find(|line| line.starts_with("To:")).unwrap();
    let bye = peer.request("BYE", "slow", 2, "", "");
    let bye = bye.replace(&format!("To: <sip:slow@{}>", server.local_addr()), to);
    peer.send(&bye).await;
    let mut answers = [peer.receive().await, peer.receive().await];
    answers.sort();
    assert!(answers[0].starts_with("SIP/2.0 200 ") && answers[0].contains("CSeq: 2 BYE"));
    assert!(answers[1].starts_with("SIP/2.0 487 "), "{answers:?}");
    board.gate.notify_one();
    assert_eq!(board.next().await, "open slow for al");
    assert_eq!(board.next().await, "close CallerCancelled");
}

#[tokio::test]
async fn a_bug_in_one_call_ends_that_call_and_no_other() {
    let (server, board) = server().await;
    let mut good = Peer::udp(server.local_addr()).await;
    good.call("echo", SDP).await;
    for bot in ["bug", "late-bug"] {
        let mut bad = Peer::udp(server.local_addr()).await;
        let invite = bad.request("INVITE", bot, 1, "", SDP);
        bad.send(&invite).await;
        bad.expect(100).await;
        bad.expect(500).await;
    }
    let bye = good.request("BYE", "echo", 2, "", "");
    good.send(&bye).await;
    good.expect(200).await;
    let diary = async {
        let mut entries = Vec::new();
        while !entries.iter().any(|entry| entry == "close CallerHungUp") {
            entries.push(board.next().await);
        }
        entries
    };
    assert!(diary.await.contains(&"close SignallingFailed".to_owned()));
}

#[tokio::test]
async fn a_flood_that_fills_the_stack_keeps_nobody_from_hanging_up_or_giving_up() {
    let (server, board) = server_with(|config| {
        config.limits.answers = 8;
        config.limits.transactions = 8;
    })
    .await;
    let at = server.local_addr();
    let (mut talking, mut waiting) = (Peer::udp(at).await, Peer::udp(at).await);
    talking.call("echo", SDP).await;
    let invite = waiting.request("INVITE", "slow", 1, "", SDP);
    waiting.send(&invite).await;
    waiting.expect(100).await;

    let mut flood = Peer::udp(at).await;
    for cseq in 1..=40 {
        let options = flood.request("OPTIONS", "echo", cseq, "", "");
        flood.send_raw(options.as_bytes()).await;
    }
    until("a drop", || server.counts().dropped > 0).await;
    let bye = talking.request("BYE", "echo", 2, "", "");
    talking.send(&bye).await;
    talking.expect(200).await;
    let cancel = waiting.request_in_branch(waiting.branch(), "CANCEL", "slow", 1, "", "");
    waiting.send(&cancel).await;
    waiting.expect(200).await;
    waiting.expect(487).await;
    board.gate.notify_one();
    until("no slot taken", || board.taken() == 0).await;
}

/// Waits for what has no message of its own.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(QUICK).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
