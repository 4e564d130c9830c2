//! RTCP both ways.

mod common;

use std::time::Duration;

use common::{Caller, Sent, World, ms, session};
use vox_call::{CallId, Component, Direction, MediaSession, MediaTime, Reason};
use vox_codecs::opus::PAYLOAD_BYTES_MAX;
use vox_codecs::{CodecKind, Encoder};
use vox_rtp::rtcp::{
    Compound, CompoundWriter, NtpShort, NtpTime, ReportBlock, RtcpPacket, SenderInfo,
};
use vox_rtp::{DropReason, RtpTime, Ssrc};

const PEER: &str = "192.0.2.7:4000";
const PEER_RTCP: &str = "192.0.2.7:4001";

fn reports(world: &World) -> Vec<Sent> {
    world.sent.iter().filter(|sent| sent.rtp().is_none()).cloned().collect()
}

/// One letter a packet: S, R, D (SDES), B.
fn letters(sent: &Sent) -> String {
    let letter = |packet| match packet {
        RtcpPacket::SenderReport(_) => 'S',
        RtcpPacket::ReceiverReport(_) => 'R',
        RtcpPacket::Sdes(_) => 'D',
        RtcpPacket::Bye(_) => 'B',
        RtcpPacket::Unknown(_) => '?',
    };
    Compound::parse(&sent.bytes).unwrap().packets().map(letter).collect()
}

/// Our last sender report, and when it was sent.
fn last_sr(world: &World) -> (Ssrc, SenderInfo, Option<ReportBlock>, MediaTime) {
    let reports = reports(world);
    let found = reports.iter().rev().find_map(|sent| {
        match Compound::parse(&sent.bytes).unwrap().packets().next() {
            Some(RtcpPacket::SenderReport(sr)) => {
                Some((sr.ssrc, sr.info, sr.blocks.iter().next(), sent.at))
            }
            _ => None,
        }
    });
    found.expect("a sender report")
}

fn deliver(world: &mut World, call: CallId, from: &str, compound: &[u8]) {
    let leg = world.leg(call);
    world.deliver_to(leg, Component::Rtcp, from.parse().unwrap(), compound);
}

#[test]
fn reports_go_every_five_seconds_or_so_to_the_right_port() {
    let mux = |codec| MediaSession { rtcp_mux: true, ..session(codec, PEER) };
    let none = |codec| MediaSession { remote_rtcp: None, ..session(codec, PEER) };
    let rows = [
        (session(CodecKind::Pcmu, PEER), Some((Component::Rtcp, Some(PEER_RTCP)))),
        // Connected, hence without an address.
        (mux(CodecKind::Pcmu), Some((Component::Rtp, None))),
        (none(CodecKind::Pcmu), None),
    ];
    for (agreed, expected) in rows {
        let mut world = World::new(4);
        let call = world.echo(1, agreed);
        Caller::new(CodecKind::Pcmu, PEER).speak(&mut world, call, 3_000);
        let reports = reports(&world);
        let Some((component, to)) = expected else {
            assert!(reports.is_empty());
            continue;
        };
        assert!((8..=20).contains(&reports.len()), "{} reports in a minute", reports.len());
        for sent in &reports {
            assert_eq!((sent.component, sent.to), (component, to.map(|to| to.parse().unwrap())));
            assert_eq!(letters(sent), "SD");
        }
        let gaps = reports.windows(2).map(|pair| pair[1].at.since(pair[0].at));
        assert!(gaps.clone().all(|gap| (ms(2_480)..ms(7_520)).contains(&gap)));
        assert!(gaps.clone().max() > gaps.min(), "reports are in step");
    }
}

#[test]
fn a_report_tells_what_was_sent_and_heard() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    for n in 0..3_000 {
        let packet = caller.speech();
        if n % 10 != 3 {
            world.deliver(call, caller.address, &packet);
        }
        world.run(ms(20));
    }
    let (ssrc, info, block, at) = last_sr(&world);
    let before: Vec<_> = world.rtp(call).filter(|(sent, _)| sent.at <= at).collect();
    let last = before.last().unwrap().1.header;
    assert_eq!(ssrc, last.ssrc);
    assert_eq!(info.packets as usize, before.len());
    assert_eq!(info.octets as usize, 160 * before.len());
    assert!((0..=160).contains(&info.rtp.since(last.time)));
    let block = block.unwrap();
    assert_eq!(block.ssrc, Ssrc(caller.ssrc));
    assert!((23..=28).contains(&block.fraction_lost), "{}", block.fraction_lost);
    assert!(block.cumulative_lost >= 200);
}

#[test]
fn the_round_trip_is_read_from_a_report_that_quotes_ours() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    Caller::new(CodecKind::Pcmu, PEER).speak(&mut world, call, 400);
    assert_eq!(world.quality(call).rtt, None);
    let (ours, info, _, at) = last_sr(&world);
    // The peer hears it 40 ms later, and answers 100 ms after that; the way back takes 40 ms.
    let delay = Duration::from_millis(100);
    world.run((at + ms(180)).since(world.now));
    let forged = NtpShort(info.ntp.short().0.wrapping_sub(99_999));
    for (last_sr, expected) in [(forged, None), (info.ntp.short(), Some(()))] {
        let block = ReportBlock {
            ssrc: ours,
            fraction_lost: 0,
            cumulative_lost: 0,
            highest_seq: 0,
            jitter: 0,
            last_sr,
            delay_since_last_sr: NtpShort::from_duration(delay),
        };
        let mut bytes = [0; 200];
        let report = CompoundWriter::receiver_report(&mut bytes, Ssrc(9), &[block]).unwrap();
        let len = report.finish();
        deliver(&mut world, call, PEER_RTCP, &bytes[..len]);
        let rtt = world.quality(call).rtt;
        assert_eq!(rtt.is_some(), expected.is_some());
        let true_rtt = world.now.since(at) - delay;
        assert!(rtt.is_none_or(|rtt| rtt.abs_diff(true_rtt) < ms(1)), "{rtt:?} {true_rtt:?}");
    }
}

#[test]
fn opus_carries_redundancy_while_the_peer_reports_loss() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Opus, PEER));
    let mut caller = Caller::new(CodecKind::Opus, PEER);
    let syllables = syllables();
    // Each row: the reports that are heard, in 1/256, and whether what is sent then has FEC.
    for (fractions_lost, expected) in [(&[][..], false), (&[26], true), (&[0; 6], false)] {
        for &fraction_lost in fractions_lost {
            report_loss(&mut world, call, fraction_lost);
        }
        let before = world.sent.len();
        for payload in &syllables {
            let packet = caller.packet(payload);
            world.deliver(call, caller.address, &packet);
            world.run(ms(20));
        }
        let packets = world.sent[before..].iter().filter_map(Sent::rtp);
        let (with, without): (Vec<_>, Vec<_>) =
            packets.partition(|packet| vox_codecs::opus::has_fec(packet.payload));
        let most = if expected { with.len() } else { without.len() };
        assert!(most > 60, "{fractions_lost:?}: {} with, {} without", with.len(), without.len());
    }
}

/// Two seconds that libopus takes for speech: a steady tone has no redundancy.
fn syllables() -> Vec<Vec<u8>> {
    let sample = |n: u32| {
        let t = n as f32 / 16_000.0 * std::f32::consts::TAU;
        let voice: f32 = (1..=12).map(|k| (t * 140.0 * k as f32).sin() / k as f32).sum();
        (voice * (t * 1.7).sin().abs() * 6_000.0) as i16
    };
    let mut encoder = Encoder::new(CodecKind::Opus);
    let packet = |frame: u32| {
        let pcm: Vec<i16> = (frame * 320..(frame + 1) * 320).map(sample).collect();
        let mut payload = vec![0; PAYLOAD_BYTES_MAX];
        let len = encoder.encode(&pcm, &mut payload);
        payload.truncate(len);
        payload
    };
    (0..100).map(packet).collect()
}

/// The peer reports that it lost this share of what it was sent.
fn report_loss(world: &mut World, call: CallId, fraction_lost: u8) {
    let ours = world.sent.iter().find_map(|sent| Some(sent.rtp()?.header.ssrc));
    let block = ReportBlock {
        ssrc: ours.expect("something was sent"),
        fraction_lost,
        cumulative_lost: 0,
        highest_seq: 0,
        jitter: 0,
        last_sr: NtpShort(0),
        delay_since_last_sr: NtpShort(0),
    };
    let mut bytes = [0; 200];
    let report = CompoundWriter::receiver_report(&mut bytes, Ssrc(9), &[block]).unwrap();
    let len = report.finish();
    deliver(world, call, PEER_RTCP, &bytes[..len]);
}

#[test]
fn a_call_that_sent_anything_says_goodbye_when_it_ends() {
    for (packets, expected) in [(0, None), (50, Some("SDB"))] {
        let mut world = World::new(4);
        let call = world.echo(1, session(CodecKind::Pcmu, PEER));
        Caller::new(CodecKind::Pcmu, PEER).speak(&mut world, call, packets);
        world.close(call, Reason::BotHungUp);
        assert_eq!(reports(&world).last().map(letters).as_deref(), expected);
    }
}

#[test]
fn a_held_peer_gets_receiver_reports() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    Caller::new(CodecKind::Pcmu, PEER).speak(&mut world, call, 50);
    let direction = Direction::Inactive;
    world.answer(call, MediaSession { direction, ..session(CodecKind::Pcmu, PEER) });
    world.run(Duration::from_secs(60));
    let letters: Vec<_> = reports(&world).iter().map(letters).collect();
    assert!(letters.len() >= 8);
    assert!(letters[2..].iter().all(|letters| letters == "RD"), "{letters:?}");
}

#[test]
fn a_goodbye_ends_the_stream_but_not_the_call() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    let mut caller = Caller::new(CodecKind::Pcmu, PEER);
    caller.speak(&mut world, call, 50);
    let mut bytes = [0; 200];
    let report = CompoundWriter::receiver_report(&mut bytes, Ssrc(caller.ssrc), &[]).unwrap();
    let len = report.bye(&[Ssrc(caller.ssrc)], b"").unwrap().finish();
    deliver(&mut world, call, PEER_RTCP, &bytes[..len]);
    world.run(ms(1_000));
    assert_eq!(world.ending(call).map(|ending| ending.reason), None);
    // Another stream needs no second packet to be believed.
    Caller::new(CodecKind::Pcmu, PEER).with(0x5eed, PEER).speak(&mut world, call, 50);
    let quality = world.quality(call);
    assert_eq!(quality.packets_received, 100);
    assert_eq!(quality.dropped[DropReason::WrongSsrc as usize], 0);
}

#[test]
fn rtcp_from_a_stranger_is_not_read() {
    let mut world = World::new(4);
    let call = world.echo(1, session(CodecKind::Pcmu, PEER));
    Caller::new(CodecKind::Pcmu, PEER).speak(&mut world, call, 50);
    let mut bytes = [0; 200];
    let info = SenderInfo { ntp: NtpTime(1), rtp: RtpTime(1), packets: 1, octets: 1 };
    let len = CompoundWriter::sender_report(&mut bytes, Ssrc(9), &info, &[]).unwrap().finish();
    let rows = [
        ("198.51.100.66:4001", 1, None),
        // The host that RTP comes from, whatever the port; from then on nobody else there either.
        ("192.0.2.7:61001", 0, Some("192.0.2.7:61001")),
        (PEER_RTCP, 1, None),
        ("192.0.2.7:61001", 0, None),
    ];
    for (from, dropped, connected) in rows {
        let (before, connects) = (world.quality(call).dropped, world.connects.len());
        deliver(&mut world, call, from, &bytes[..len]);
        let after = world.quality(call).dropped;
        let wrong = DropReason::WrongSource as usize;
        assert_eq!(after[wrong] - before[wrong], dropped, "{from}");
        let leg = world.leg(call);
        let connected = connected.map(|peer| (leg, Component::Rtcp, Some(peer.parse().unwrap())));
        assert_eq!(world.connects.get(connects).copied(), connected, "{from}");
    }
}
