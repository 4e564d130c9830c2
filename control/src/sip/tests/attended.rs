use vox_call::Reason;

use super::*;
use crate::calls::{Destination, TransferMode};
use crate::sip::Switchboard;

const LAST: &str = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n\
                    Content-Type: message/sipfrag;version=2.0\r\n";

/// A caller in a call, and somebody who is called by an attended transfer.
struct Scene {
    server: SipServer,
    board: Board,
    caller: Peer,
    target: Peer,
    /// What the target got.
    invite: String,
}

impl Scene {
    async fn begin() -> Self {
        Self::begin_with(|_| {}).await
    }

    async fn begin_with(change: impl FnOnce(&mut SipConfig)) -> Self {
        let (server, board) = server_with(change).await;
        let mut caller = Peer::udp(server.local_addr()).await;
        let mut target = Peer::udp(server.local_addr()).await;
        caller.call("echo", SDP).await;
        board.next().await;
        board.next().await;
        board.transfer(uri(&target), TransferMode::Attended);
        let invite = target.receive().await;
        assert!(
            invite.starts_with(&format!("INVITE sip:boss@{} SIP/2.0", target.local)),
            "{invite}"
        );
        Self { server, board, caller, target, invite }
    }

    /// The target rings.
    async fn ring(&mut self) {
        self.target.respond_with(&self.invite, "180 Ringing", "", "").await;
    }

    /// The target answers, and the caller is asked to take it over: the REFER.
    async fn answer(&mut self) -> String {
        self.target.respond_with(&self.invite, "200 OK", &contact(&self.target), SDP).await;
        self.target_gets("ACK ").await;
        assert_eq!(self.board.next().await, "leg: media PCMU/0 127.0.0.1:4000 SendRecv");
        let refer = self.caller.receive().await;
        assert!(refer.starts_with("REFER "), "{refer}");
        refer
    }

    /// The next request of this method; others that come again meanwhile are passed over.
    async fn target_gets(&mut self, method: &str) -> String {
        loop {
            let text = self.target.receive_any().await;
            if text.starts_with(method) {
                return text;
            }
        }
    }

    async fn report(&mut self, cseq: u32, status: &str) {
        let notify = self.caller.request("NOTIFY", "echo", cseq, LAST, status);
        self.caller.send(&notify).await;
        loop {
            // On a slow machine REFER may come once more.
            let text = self.caller.receive_any().await;
            if text.starts_with("SIP/2.0 200") && text.contains("NOTIFY") {
                return;
            }
        }
    }

    /// The transfer failed for this reason, the call goes on, and nothing else is left.
    async fn failed(&self, why: &str) {
        let mut entry = self.board.next().await;
        while entry.starts_with("leg: close ") {
            entry = self.board.next().await;
        }
        assert_eq!(entry, format!("sip_refer_attended: Err({why:?})"));
        let alone = async {
            while self.board.taken() != 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), alone).await.expect("the slot comes back");
        let rest = self.board.rest();
        assert!(rest.iter().all(|entry| entry.starts_with("leg: close ")), "{rest:?}");
    }
}

fn uri(target: &Peer) -> Destination {
    Destination::Uri(format!("sip:boss@{}", target.local))
}

fn contact(target: &Peer) -> String {
    format!("Contact: <sip:desk@{}>\r\n", target.local)
}

fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("no {name} in {message}"))[name.len()..].trim()
}

#[tokio::test]
async fn a_target_that_answered_is_taken_over_by_the_caller_and_both_calls_end() {
    let mut scene = Scene::begin().await;
    assert!(scene.invite.contains("\r\nm=audio 40000 RTP/AVP "), "{}", scene.invite);
    assert!(field(&scene.invite, "From:").starts_with("<sip:echo@"), "{}", scene.invite);
    scene.ring().await;
    let refer = scene.answer().await;
    let tag = field(&scene.invite, "From:").split_once(";tag=").unwrap().1;
    let call_id = field(&scene.invite, "Call-ID:").replace('@', "%40");
    let expected = format!(
        "<sip:desk@{}?Replaces={call_id}%3Bto-tag%3Dtarget-tag%3Bfrom-tag%3D{tag}>",
        scene.target.local
    );
    assert_eq!(field(&refer, "Refer-To:"), expected);
    scene.caller.respond(&refer, "202 Accepted", "").await;
    scene.report(2, "SIP/2.0 200 OK\r\n").await;
    assert_eq!(scene.board.next().await, "sip_refer_attended: Ok(())");
    assert_eq!(scene.board.next().await, "close Transferred");
    assert_eq!(scene.board.next().await, "leg: close Transferred");
    let bye = scene.target_gets("BYE ").await;
    scene.target.answer(&bye).await;
    let bye = scene.caller.receive().await;
    assert!(bye.starts_with("BYE "), "{bye}");
    scene.caller.answer(&bye).await;
    assert_eq!(scene.board.rest(), [""; 0]);
    scene.server.stop().await;
}

#[tokio::test]
async fn a_target_that_hangs_up_once_the_caller_has_accepted_was_taken_over() {
    let mut scene = Scene::begin().await;
    let refer = scene.answer().await;
    scene.caller.respond(&refer, "202 Accepted", "").await;
    // RFC 4488 would end it; a report that is none lets the answer be seen to have come.
    let notify = scene.caller.request(
        "NOTIFY",
        "echo",
        2,
        &LAST.replace("terminated", "active"),
        "SIP/2.0 100 Trying\r\n",
    );
    scene.caller.send(&notify).await;
    scene.caller.expect(200).await;
    let bye = bye(&scene);
    scene.target.send(&bye).await;
    assert_eq!(scene.board.next().await, "leg: close Transferred");
    scene.report(3, "SIP/2.0 200 OK\r\n").await;
    assert_eq!(scene.board.next().await, "sip_refer_attended: Ok(())");
    assert_eq!(scene.board.next().await, "close Transferred");
}

/// BYE of the target.
fn bye(scene: &Scene) -> String {
    let (invite, local) = (&scene.invite, scene.target.local);
    format!(
        "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKbye\r\n\
         From: {};tag=target-tag\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 7 BYE\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        field(invite, "Contact:").trim_matches(['<', '>']),
        field(invite, "To:"),
        field(invite, "From:"),
        field(invite, "Call-ID:"),
    )
}

#[tokio::test]
async fn a_target_that_does_not_answer_leaves_the_caller_where_it_is() {
    for (status, why) in [
        ("486 Busy Here", "the target: 486 Busy Here"),
        ("603 Decline", "the target: 603 Decline"),
        ("302 Moved Temporarily", "the target: 302 Moved Temporarily"),
        ("401 Unauthorized", "the target: 401 Unauthorized"),
        ("407 Proxy Authentication Required", "the target: 407 Proxy Authentication Required"),
    ] {
        let mut scene = Scene::begin().await;
        scene.ring().await;
        scene.target.respond_with(&scene.invite, status, "", "").await;
        scene.target_gets("ACK ").await;
        scene.failed(why).await;
    }
    // Not a word.
    let scene = Scene::begin_with(|config| config.t1 = QUICK).await;
    scene.failed("the target: 408 Request Timeout").await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_acknowledged_and_hung_up() {
    const SECURE: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n\
                          t=0 0\r\nm=audio 4000 RTP/AVP 18\r\n";
    for (sdp, why) in [
        ("", "the target's answer: no description in it"),
        (SECURE, "the target's answer: no common codec among 18"),
    ] {
        let mut scene = Scene::begin().await;
        scene.target.respond_with(&scene.invite, "200 OK", &contact(&scene.target), sdp).await;
        scene.target_gets("ACK ").await;
        let bye = scene.target_gets("BYE ").await;
        scene.target.answer(&bye).await;
        scene.failed(why).await;
    }
}

#[tokio::test]
async fn a_target_that_rings_for_too_long_is_cancelled() {
    let mut scene = Scene::begin().await;
    scene.ring().await;
    // Its line ends when the provisional answer has been seen, or before: CANCEL comes after it.
    scene.board.end_legs(Reason::SetupTimeout);
    let cancel = scene.target_gets("CANCEL ").await;
    assert_eq!(field(&cancel, "Via:"), field(&scene.invite, "Via:"), "the same transaction");
    assert_eq!(field(&cancel, "CSeq:"), "1 CANCEL");
    scene.target.answer(&cancel).await;
    scene.target.respond_with(&scene.invite, "487 Request Terminated", "", "").await;
    scene.target_gets("ACK ").await;
    scene.failed("the target did not answer in time").await;
}

#[tokio::test]
async fn an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut scene = Scene::begin().await;
    scene.board.end_legs(Reason::SetupTimeout);
    scene.failed("the target did not answer in time").await;
    // RFC 3261 §9.1: nothing to cancel yet.
    scene.ring().await;
    scene.target_gets("CANCEL ").await;
    scene.target.respond_with(&scene.invite, "200 OK", &contact(&scene.target), SDP).await;
    scene.target_gets("ACK ").await;
    let bye = scene.target_gets("BYE ").await;
    scene.target.answer(&bye).await;
}

#[tokio::test]
async fn a_caller_that_does_not_take_the_target_over_keeps_its_bot() {
    for (answer, why) in [
        ("603 Decline", "REFER: 603 Decline"),
        ("401 Unauthorized", "REFER: 401 Unauthorized"),
        ("407 Proxy Authentication Required", "REFER: 407 Proxy Authentication Required"),
    ] {
        let mut scene = Scene::begin().await;
        let refer = scene.answer().await;
        scene.caller.respond(&refer, answer, "").await;
        let bye = scene.target_gets("BYE ").await;
        scene.target.answer(&bye).await;
        scene.failed(why).await;
    }
    let mut scene = Scene::begin().await;
    let refer = scene.answer().await;
    scene.caller.respond(&refer, "202 Accepted", "").await;
    scene.report(2, "SIP/2.0 486 Busy Here\r\n").await;
    let bye = scene.target_gets("BYE ").await;
    scene.target.answer(&bye).await;
    scene.failed("486 Busy Here").await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_takes_the_call_to_the_target_with_it() {
    let mut scene = Scene::begin().await;
    scene.ring().await;
    let bye = scene.caller.request("BYE", "echo", 2, "", "");
    scene.caller.send(&bye).await;
    scene.target_gets("CANCEL ").await;
    let mut closed = [scene.board.next().await, scene.board.next().await];
    closed.sort();
    assert_eq!(closed, ["close CallerHungUp", "leg: close CallerCancelled"]);
    assert_eq!(scene.board.taken(), 0);
}

#[tokio::test]
async fn a_target_that_hangs_up_before_the_caller_was_asked_fails_the_transfer() {
    let (server, board) = server().await;
    let mut caller = Peer::udp(server.local_addr()).await;
    let mut target = Peer::udp(server.local_addr()).await;
    caller.call("echo", SDP).await;
    board.next().await;
    board.next().await;
    // Without its ACK no REFER goes out.
    let hold = caller.request("INVITE", "echo", 2, "", SDP);
    caller.send(&hold).await;
    caller.expect(200).await;
    board.next().await;
    board.transfer(uri(&target), TransferMode::Attended);
    let invite = target.receive().await;
    let mut scene = Scene { server, board, caller, target, invite };
    scene.target.respond_with(&scene.invite, "200 OK", &contact(&scene.target), SDP).await;
    scene.target_gets("ACK ").await;
    scene.board.next().await;
    let bye = bye(&scene);
    scene.target.send(&bye).await;
    assert_eq!(scene.board.next().await, "leg: close CallerHungUp");
    scene.failed("the target hung up before the caller was there").await;
}

#[tokio::test]
async fn an_answer_that_comes_again_is_acknowledged_again_and_another_branchs_is_hung_up() {
    let mut scene = Scene::begin().await;
    scene.answer().await;
    let ok = contact(&scene.target);
    scene.target.respond_with(&scene.invite, "200 OK", &ok, SDP).await;
    scene.target_gets("ACK ").await;
    let to = field(&scene.invite, "To:");
    let elsewhere = scene.invite.replace(&format!("To: {to}"), &format!("To: {to};tag=fork"));
    scene.target.respond_with(&elsewhere, "200 OK", &ok, SDP).await;
    for method in ["ACK ", "BYE "] {
        let text = scene.target_gets(method).await;
        assert!(field(&text, "To:").ends_with(";tag=fork"), "{text}");
    }
    assert_eq!(scene.board.rest(), [""; 0], "the call to the first one is untouched");
}

#[tokio::test]
async fn a_target_that_cannot_be_called_is_refused_in_words() {
    let rows = [
        ("sips:boss@127.0.0.1", "expected sip: over UDP or TCP"),
        ("sip:boss@127.0.0.1;transport=tls", "expected sip: over UDP or TCP"),
        ("sip:boss@[::1]", "not the IP version that we speak"),
        ("sip:boss@127.0.0.1:1;transport=tcp", "the target cannot be called"),
    ];
    for (to, why) in rows {
        let (server, board) = server().await;
        let mut caller = Peer::udp(server.local_addr()).await;
        caller.call("echo", SDP).await;
        board.next().await;
        board.next().await;
        board.transfer(Destination::Uri(to.into()), TransferMode::Attended);
        assert!(board.next().await.starts_with("leg: close "), "{to}");
        let outcome = board.next().await;
        assert!(
            outcome.starts_with("sip_refer_attended: Err(") && outcome.contains(why),
            "{outcome}"
        );
    }
}

#[tokio::test]
async fn a_full_worker_places_no_call_to_a_target() {
    let (server, board) = server().await;
    let mut caller = Peer::udp(server.local_addr()).await;
    caller.call("echo", SDP).await;
    board.next().await;
    board.next().await;
    let _last = board.admit().unwrap();
    board.transfer(Destination::Number("600".into()), TransferMode::Attended);
    assert_eq!(board.next().await, "sip_refer_attended: Err(\"no slot is free\")");
    assert_eq!(board.rest(), [""; 0], "the call goes on");
}

#[tokio::test]
async fn a_number_is_called_where_the_caller_is_over_its_connection() {
    let (server, board) = server().await;
    let mut caller = Peer::tcp(server.local_addr()).await;
    caller.call("echo", SDP).await;
    board.next().await;
    board.next().await;
    board.transfer(Destination::Number("*7#".into()), TransferMode::Attended);
    let invite = caller.receive().await;
    let expected = format!("INVITE sip:*7%23@{};transport=TCP SIP/2.0", caller.local);
    assert!(invite.starts_with(&expected), "{invite}");
    let ok = format!("Contact: <sip:de%20sk@{};transport=tcp>\r\n", caller.local);
    caller.respond_with(&invite, "200 OK", &ok, SDP).await;
    let ack = caller.receive().await;
    assert!(ack.starts_with("ACK sip:de%20sk@"), "{ack}");
    let refer = caller.receive().await;
    assert!(refer.starts_with("REFER "), "{refer}");
    assert!(field(&refer, "Refer-To:").contains(";transport=TCP?Replaces="), "{refer}");
}
