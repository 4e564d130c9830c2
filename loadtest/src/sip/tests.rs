//! Both sides of calls, over real sockets.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::time::timeout;
use vox_codecs::CodecKind;

use super::*;
use crate::media::Direction;

const SOON: Duration = Duration::from_secs(5);
const CODECS: [CodecKind; 2] = [CodecKind::Pcmu, CodecKind::Pcma];

/// A listener at a port that is free for UDP and TCP.
async fn listener() -> (Listener, SocketAddr) {
    for _ in 0..20 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = udp.local_addr().unwrap();
        drop(udp);
        if let Ok(listener) = Listener::start(address).await {
            return (listener, address);
        }
    }
    panic!("no port for a listener");
}

async fn agent(transport: Transport) -> UserAgent {
    UserAgent::start(Ipv4Addr::LOCALHOST.into(), transport).await.unwrap()
}

fn invite(to: SocketAddr, nth: usize, session: &mut Session) -> Invite {
    Invite {
        uri: format!("sip:callee@{to}"),
        caller: "caller".into(),
        call_id: format!("call-{nth}-{to}"),
        offer: session.offer(&CODECS, Direction::SendRecv),
    }
}

fn session() -> Session {
    Session::new("127.0.0.1:40000".parse().unwrap())
}

/// A call that both sides have.
async fn connected(
    agent: &UserAgent,
    listener: &mut Listener,
    to: SocketAddr,
) -> (LiveCall, Session, LiveCall, Session) {
    let (mut ours, mut theirs) = (session(), session());
    let mut outgoing = agent.place(invite(to, 0, &mut ours)).unwrap();
    let incoming = timeout(SOON, listener.next()).await.unwrap().unwrap();
    let (_, _, answer) = theirs.accept(incoming.offer(), &CODECS).unwrap();
    let called = incoming.accept(answer).unwrap();
    let answer = timeout(SOON, outgoing.answered()).await.unwrap().unwrap();
    ours.answered(&answer.body, &CODECS).unwrap();
    (outgoing.live(), ours, called, theirs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_held_resumed_changed_and_ended_over_udp_and_tcp() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut listener, to) = listener().await;
        let agent = agent(transport).await;
        let (call, mut ours, mut called, mut theirs) = connected(&agent, &mut listener, to).await;
        for (codecs, direction, expected) in [
            (&CODECS[..], Direction::SendOnly, (CodecKind::Pcmu, Direction::RecvOnly)),
            (&CODECS[..], Direction::SendRecv, (CodecKind::Pcmu, Direction::SendRecv)),
            (&CODECS[1..], Direction::SendRecv, (CodecKind::Pcma, Direction::SendRecv)),
        ] {
            let change = call.change(ours.offer(codecs, direction));
            let answer = async {
                let PeerEvent::Offer(offer) = called.event().await else { panic!("no offer") };
                let (agreed, way, text) = theirs.accept(&offer.body, &CODECS).unwrap();
                offer.accept(text).await;
                (agreed.codec, way)
            };
            let both = async { tokio::join!(change, answer) };
            let (changed, seen) = timeout(SOON, both).await.unwrap();
            assert_eq!(seen, expected, "{transport:?}");
            ours.answered(&changed.unwrap(), codecs).unwrap();
        }
        let hung_up = call.hang_up(SOON);
        let (hung_up, event) = tokio::join!(hung_up, timeout(SOON, called.event()));
        hung_up.unwrap();
        assert!(matches!(event.unwrap(), PeerEvent::HungUp), "{transport:?}");
        drop(called);
        assert_eq!((agent.calls(), listener.agent.calls()), (0, 0), "nothing is left behind");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_that_cannot_be_taken_leaves_the_call_as_it_is() {
    let (mut listener, to) = listener().await;
    let agent = agent(Transport::Udp).await;
    let (call, mut ours, mut called, _) = connected(&agent, &mut listener, to).await;
    let change = call.change(ours.offer(&CODECS, Direction::SendRecv));
    let refuse = async {
        let PeerEvent::Offer(offer) = called.event().await else { panic!("no offer") };
        offer.refuse().await;
    };
    let both = async { tokio::join!(change, refuse) };
    let (changed, ()) = timeout(SOON, both).await.unwrap();
    assert!(matches!(changed, Err(SipError::Refused { status: 488, .. })), "{changed:?}");
    call.hang_up(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_refused_or_given_up_and_nothing_is_left_behind() {
    let (mut listener, to) = listener().await;
    let agent = agent(Transport::Udp).await;
    for (nth, status) in [486, 503, 603].into_iter().enumerate() {
        let mut outgoing = agent.place(invite(to, nth, &mut session())).unwrap();
        let incoming = timeout(SOON, listener.next()).await.unwrap().unwrap();
        assert!(incoming.agent().is_some_and(|agent| agent.starts_with("voxload/")));
        incoming.refuse(status);
        let refused = timeout(SOON, outgoing.answered()).await.unwrap();
        assert!(matches!(refused, Err(SipError::Refused { status: s, .. }) if s == status));
    }
    let mut outgoing = agent.place(invite(to, 9, &mut session())).unwrap();
    let mut incoming = timeout(SOON, listener.next()).await.unwrap().unwrap();
    incoming.ring();
    outgoing.cancel().await;
    timeout(SOON, incoming.given_up()).await.unwrap();
    drop(incoming);
    let over = timeout(SOON, outgoing.answered()).await.unwrap();
    assert!(matches!(over, Err(SipError::Refused { status: 487, .. })), "{over:?}");
    assert_eq!((agent.calls(), listener.agent.calls()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_gone_does_not_know_the_call_any_more() {
    let (mut listener, to) = listener().await;
    let agent = agent(Transport::Udp).await;
    let (gone, _, mut called, _) = connected(&agent, &mut listener, to).await;
    drop(gone);
    assert_eq!(agent.calls(), 0);
    let nothing = timeout(Duration::from_millis(300), called.event()).await;
    assert!(nothing.is_err(), "no word is said: {nothing:?}");
    // A BYE is answered with 481, which ends the call for who sent it.
    called.hang_up(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_calls_are_had_at_once_on_one_endpoint() {
    let (mut listener, to) = listener().await;
    let agent = agent(Transport::Udp).await;
    let answering = tokio::spawn(async move {
        let mut calls = Vec::new();
        while calls.len() < 500 {
            let incoming = listener.next().await.unwrap();
            let (_, _, answer) = session().accept(incoming.offer(), &CODECS).unwrap();
            calls.push(incoming.accept(answer).unwrap());
        }
        for call in &mut calls {
            assert!(matches!(call.event().await, PeerEvent::HungUp));
        }
        drop(calls);
        listener.agent.calls()
    });
    let mut placed: Vec<_> =
        (0..500).map(|nth| agent.place(invite(to, nth, &mut session())).unwrap()).collect();
    for outgoing in &mut placed {
        timeout(SOON * 4, outgoing.answered()).await.unwrap().unwrap();
    }
    assert_eq!(agent.calls(), 500);
    for outgoing in placed {
        outgoing.live().hang_up(SOON * 4).await.unwrap();
    }
    assert_eq!(agent.calls(), 0);
    assert_eq!(timeout(SOON * 4, answering).await.unwrap().unwrap(), 0);
}
