//! Whom a call listens to, and whom it sends to, with strangers about.

mod common;

use std::net::SocketAddr;

use common::{Caller, World, ms, session};
use vox_call::{Component, MediaSession};
use vox_codecs::CodecKind;
use vox_rtp::DropReason;

/// What the SDP says.
const SIGNALLED: &str = "10.0.0.1:4000";
/// Where a NAT really sends from.
const NATTED: &str = "203.0.113.9:61000";
const ATTACKER: &str = "198.51.100.66:666";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn caller(address: &str) -> Caller {
    Caller::new(CodecKind::Pcmu, address)
}

#[test]
fn the_signalled_peer_is_connected_at_once_and_sent_to_before_it_is_heard() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, SIGNALLED));
    world.run(ms(100));
    assert!(world.rtp(call).all(|(sent, _)| sent.to == Some(address(SIGNALLED))));
    caller(SIGNALLED).speak(&mut world, call, 10);
    let leg = world.leg(call);
    assert_eq!(world.connects, [(leg, Component::Rtp, Some(address(SIGNALLED)))]);
    assert_eq!(world.rtp(call).last().unwrap().0.to, None);
}

#[test]
fn a_caller_behind_a_nat_is_answered_where_it_is_and_connected_after_the_window() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, SIGNALLED));
    let mut caller = caller(NATTED);
    caller.speak(&mut world, call, 40);
    assert!(world.connects.is_empty());
    assert!(world.rtp(call).skip(2).all(|(sent, _)| sent.to == Some(address(NATTED))));
    caller.speak(&mut world, call, 20);
    let leg = world.leg(call);
    assert_eq!(world.connects, [(leg, Component::Rtp, Some(address(NATTED)))]);
    assert_eq!(world.quality(call).lost, 0);
}

#[test]
fn who_sprays_packets_at_a_call_is_neither_heard_nor_answered() {
    for (name, spray) in [("any stream", 0xbad), ("the caller's own SSRC", 0xca11_e400)] {
        let mut world = World::new(4);
        let call = world.echo(1, session(CodecKind::Pcmu, SIGNALLED));
        let mut caller = caller(SIGNALLED);
        let mut attacker = Caller::new(CodecKind::Pcmu, ATTACKER).with(spray, ATTACKER);
        caller.speak(&mut world, call, 50);
        let sent_before = world.sent.len();
        for _ in 0..50 {
            let (genuine, forged) = (caller.packet(&[0x80; 160]), attacker.packet(&[0x00; 160]));
            world.deliver(call, attacker.address, &forged);
            world.deliver(call, caller.address, &genuine);
            world.run(ms(20));
        }
        // The caller stops; the attacker goes on for as long as it takes, at an open port.
        for _ in 0..100 {
            let forged = attacker.packet(&[0x00; 160]);
            world.deliver(call, attacker.address, &forged);
            world.run(ms(20));
        }
        let quality = world.quality(call);
        assert_eq!(quality.packets_received, 100, "{name}");
        assert_eq!(quality.dropped[DropReason::WrongSource as usize], 150, "{name}");
        for sent in &world.sent[sent_before..] {
            let host = sent.to.map(|to| to.ip());
            assert!(host.is_none_or(|ip| ip == address(SIGNALLED).ip()), "{name}: {host:?}");
            if let Some(rtp) = sent.rtp() {
                assert!(!rtp.payload.contains(&0x00), "{name}: the attacker is heard");
            }
        }
    }
}

#[test]
fn an_attacker_who_was_first_loses_to_the_signalled_caller_inside_the_window() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, SIGNALLED));
    let mut attacker = Caller::new(CodecKind::Pcmu, ATTACKER).with(0xbad, ATTACKER);
    attacker.speak(&mut world, call, 20);
    let mut caller = caller(SIGNALLED);
    for _ in 0..30 {
        let (genuine, forged) = (caller.speech(), attacker.speech());
        world.deliver(call, caller.address, &genuine);
        world.deliver(call, attacker.address, &forged);
        world.run(ms(20));
    }
    let leg = world.leg(call);
    assert_eq!(world.connects, [(leg, Component::Rtp, Some(address(SIGNALLED)))]);
    assert_eq!(world.quality(call).dropped[DropReason::WrongSource as usize], 30);
    assert_eq!(world.rtp(call).last().unwrap().0.to, None);
}

#[test]
fn a_stream_that_moves_to_another_port_of_its_host_after_a_pause_is_followed() {
    let moved = "10.0.0.1:4444";
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, SIGNALLED));
    let mut caller = caller(SIGNALLED);
    caller.speak(&mut world, call, 50);
    world.run(ms(1_500));
    caller.address = address(moved);
    caller.speak(&mut world, call, 50);
    let leg = world.leg(call);
    let peers = [Some(address(SIGNALLED)), None, Some(address(moved))];
    assert_eq!(world.connects, peers.map(|peer| (leg, Component::Rtp, peer)));
    assert_eq!(world.quality(call).packets_received, 100);
}

#[test]
fn a_move_that_the_signalling_vouches_for_needs_no_pause() {
    let moved = "10.9.9.9:4444";
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, SIGNALLED));
    let mut old = caller(SIGNALLED);
    old.speak(&mut world, call, 50);
    world.answer(call, session(CodecKind::Pcmu, moved));
    world.run(ms(40));
    assert_eq!(world.rtp(call).last().unwrap().0.to, Some(address(moved)));
    let mut new = Caller::new(CodecKind::Pcmu, moved).with(0x5eed, moved);
    new.speak(&mut world, call, 50);
    let leg = world.leg(call);
    let peers = [Some(address(SIGNALLED)), None, Some(address(moved))];
    assert_eq!(world.connects, peers.map(|peer| (leg, Component::Rtp, peer)));
    assert_eq!(world.quality(call).packets_received, 100);
}

#[test]
fn another_stream_from_the_same_peer_costs_one_packet() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, SIGNALLED));
    let mut first = caller(SIGNALLED);
    first.speak(&mut world, call, 50);
    Caller::new(CodecKind::Pcmu, SIGNALLED).with(0x5eed, SIGNALLED).speak(&mut world, call, 50);
    let quality = world.quality(call);
    assert_eq!(quality.packets_received, 99);
    assert_eq!(quality.dropped[DropReason::WrongSsrc as usize], 1);
    assert_eq!(quality.lost, 0);
}

#[test]
fn what_is_no_media_of_this_call_is_counted_by_its_reason() {
    let mut world = World::new(4);
    let mux = MediaSession { rtcp_mux: true, ..session(CodecKind::Pcmu, SIGNALLED) };
    let call = world.echo(1, mux);
    let mut caller = caller(SIGNALLED);
    caller.speak(&mut world, call, 10);
    let rtp = caller.speech();
    let padded = [&[rtp[0] | 0x20], &rtp[1..rtp.len() - 1], &[200]].concat();
    let rows: &[(&[u8], DropReason)] = &[
        (&[], DropReason::NotRtp),
        (&[0x80], DropReason::Truncated),
        (&rtp[..11], DropReason::Truncated),
        (&[0x16, 0xfe, 0xff], DropReason::NotRtp),
        (b"\0\x01\0\0\x21\x12\xa4\x42", DropReason::NotRtp),
        (&padded, DropReason::BadPadding),
        (&[0x80, 200, 0, 9], DropReason::BadRtcp),
        (&caller.packet_of(55, 0, &[1, 2, 3]), DropReason::UnknownPayloadType),
        (&caller.packet_of(101, 0, &[1, 2, 3]), DropReason::BadPayload),
    ];
    for (datagram, reason) in rows {
        let before = world.quality(call).dropped;
        world.deliver(call, address(SIGNALLED), datagram);
        let after = world.quality(call).dropped;
        let changed: Vec<_> = DropReason::ALL
            .into_iter()
            .filter(|&reason| after[reason as usize] != before[reason as usize])
            .collect();
        assert_eq!(changed, [*reason], "{datagram:02x?}");
    }
    world.run(ms(500));
    assert_eq!(world.memory.held(), 0);
}
