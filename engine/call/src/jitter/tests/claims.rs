//! What the buffer promises, on networks that test it.
use std::time::Duration;

use vox_codecs::opus::Settings;
use vox_codecs::{CodecKind, Decoder, Encoder};

use super::network::{Network, Random};
use super::rig::{Heard, Packet, Rig, breathless, call, encode, voice};
use crate::jitter::{Content, Played};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
const KINDS: [CodecKind; 4] = [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus];

/// All packets, decoded in order.
fn decoded(kind: CodecKind, packets: &[Packet]) -> Vec<i16> {
    let mut decoder = Decoder::new(kind);
    let mut pcm = vec![0; 2_000];
    let mut all = Vec::new();
    for packet in packets {
        let samples = decoder.decode(&packet.payload, &mut pcm).expect("it was encoded");
        all.extend_from_slice(&pcm[..samples]);
    }
    all
}

/// Every sample heard was decoded, made up, or stretched in; every one decoded was heard, is
/// pending, or was stretched out.
fn assert_nothing_was_cut(kind: CodecKind, heard: &Heard, packet_ms: u64) {
    let stats = heard.stats();
    let silent = (heard.count(Played::Silence) + heard.count(Played::ComfortNoise)) as u64 * 20;
    let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    let in_ms =
        (stats.filed * packet_ms + silent) as f64 + ms(stats.concealed) + ms(stats.lengthened)
            - ms(stats.shortened);
    let out_ms = heard.pcm.len() as f64 * 1_000.0 / f64::from(kind.rate_hz());
    let pending_ms = in_ms - out_ms;
    assert!((-0.1..20.0).contains(&pending_ms), "{kind:?}: in {in_ms} out {out_ms} {stats:?}");
}

#[test]
fn a_clean_stream_is_bit_exact_and_waits_less_than_a_frame_and_a_bit() {
    for kind in KINDS {
        for ptime_ms in [10, 20, 40, 60] {
            let packets = encode(kind, ptime_ms, &voice(kind.rate_hz(), 6));
            for phase_us in [0, 1_000, 3_900, 4_100, 11_000, 19_999] {
                let arrivals = Network::clean().carry(packets.iter().map(|p| p.sent_us));
                let heard = Rig::new(kind).play(&packets, &arrivals, phase_us, 0);
                let stats = heard.stats();
                let what = format!("{kind:?} ptime {ptime_ms} phase {phase_us}: {stats:?}");
                let lead = heard.played.iter().take_while(|&&p| p == Played::Silence).count();
                let pcm = &heard.pcm[lead * kind.frame_samples()..];
                assert!(pcm[..] == decoded(kind, &packets)[..pcm.len()], "{what}");
                assert!(pcm.len() > 5 * kind.rate_hz() as usize, "{what}");
                assert!(stats.concealed.is_zero() && stats.lost == 0, "{what}");
                // Packets of 10 ms come in pairs: half a frame more.
                let worst_ms = if ptime_ms == 10 { 34 } else { 24 };
                assert!(stats.delay_mean <= Duration::from_millis(worst_ms), "{what}");
            }
        }
    }
}

#[test]
fn odd_packet_sizes_are_played_whole() {
    let kind = CodecKind::Pcmu;
    for samples in [80, 101, 159, 161, 240, 333, 959] {
        let pcm = voice(8_000, 8);
        let mut packets = Vec::new();
        for (index, chunk) in pcm.chunks_exact(samples).enumerate() {
            let first = &encode(kind, 1, chunk)[0];
            let mut payload = Vec::new();
            for packet in encode(kind, 1, chunk) {
                payload.extend_from_slice(&packet.payload);
            }
            let mut encoder = Encoder::new(kind);
            payload.resize(samples, 0);
            encoder.encode(chunk, &mut payload);
            packets.push(Packet {
                sent_us: 1_000_000 + (index * samples) as u64 * 125,
                seq: index as u16,
                time: (index * samples) as u32,
                payload,
                ..first.clone()
            });
        }
        let arrivals = Network::clean().carry(packets.iter().map(|p| p.sent_us));
        let heard = Rig::new(kind).play(&packets, &arrivals, 3_000, 0);
        let lead = heard.played.iter().take_while(|&&p| p == Played::Silence).count() * 160;
        let pcm = &heard.pcm[lead..];
        assert!(pcm[..] == decoded(kind, &packets)[..pcm.len()], "{samples}");
        assert!(heard.stats().concealed.is_zero(), "{samples}");
    }
}

/// A stall of 500 ms in speech of `kind`; everything is played, and then the delay falls again.
fn check_stall(kind: CodecKind, ptime_ms: usize, pcm: &[i16]) {
    let during = 5 * SECOND..5 * SECOND + 500 * MS;
    let packets = encode(kind, ptime_ms, pcm);
    let heard = call(kind, &packets, &Network { stall: Some(during.clone()), ..Network::clean() });
    let stats = heard.stats();
    let (before, at_once) = (heard.delay_at(during.start), heard.delay_at(during.end + 60 * MS));
    let after = heard.delay_at(during.end + 10 * SECOND);
    let what = format!("{kind:?} ptime {ptime_ms}: {before:?} {at_once:?} {after:?} {stats:?}");
    assert_eq!(stats.filed, packets.len() as u64, "{what}");
    assert_eq!((stats.lost, stats.late), (0, 0), "{what}");
    assert_nothing_was_cut(kind, &heard, ptime_ms as u64);
    assert!(at_once > before + Duration::from_millis(300), "{what}");
    assert!(after <= before + Duration::from_millis(20), "{what}");
}

#[test]
fn after_a_500_ms_stall_everything_is_played_and_the_delay_returns_within_10_s() {
    for kind in KINDS {
        for ptime_ms in [10, 20, 60] {
            check_stall(kind, ptime_ms, &voice(kind.rate_hz(), 18));
        }
    }
}

/// Whether speech is decoded again, and nothing else, from `since_us` on.
fn assert_heard_again(heard: &Heard, since_us: u64) {
    let ticks = heard.trace.iter().zip(&heard.played);
    let after: Vec<_> =
        ticks.filter(|((at_us, _), _)| *at_us >= since_us).map(|(_, &p)| p).collect();
    let speech = after.iter().filter(|&&played| played == Played::Speech).count();
    assert!(after.len() > 100 && speech >= after.len() - 12, "{speech} of {}", after.len());
}

#[test]
fn a_burst_longer_than_the_ring_costs_its_oldest_packets_and_not_the_call() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 20));
    let stall = Some(4 * SECOND..10 * SECOND);
    let heard = call(kind, &packets, &Network { stall, ..Network::clean() });
    assert!((150..200).contains(&heard.stats().lost), "300 - 128: {:?}", heard.stats());
    assert_heard_again(&heard, 10_100 * MS);
}

#[test]
fn an_outage_longer_than_the_ring_is_over_when_it_is_over() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 20));
    for seconds in [2, 3, 6] {
        let arrivals = Network::clean().carry(packets.iter().map(|packet| packet.sent_us));
        let out = 4 * SECOND..(4 + seconds) * SECOND;
        let arrivals: Vec<_> =
            arrivals.into_iter().filter(|(at_us, _)| !out.contains(at_us)).collect();
        let heard = Rig::new(kind).play(&packets, &arrivals, 7_000, 200);
        assert_heard_again(&heard, out.end + 100 * MS);
        assert_eq!(heard.stats().lost, seconds * 50);
    }
}

#[test]
fn the_delay_returns_even_when_the_caller_never_draws_breath() {
    for kind in KINDS {
        check_stall(kind, 20, &breathless(kind.rate_hz(), 18));
    }
}

#[test]
fn a_500_ms_detour_raises_the_delay_for_a_while_only() {
    let kind = CodecKind::Pcmu;
    let during = 5 * SECOND..5 * SECOND + 500 * MS;
    for ptime_ms in [10, 20, 60] {
        let packets = encode(kind, ptime_ms, &voice(8_000, 18));
        let network = Network { detour: Some(during.clone()), ..Network::clean() };
        let heard = call(kind, &packets, &network);
        let (before, after) = (heard.delay_at(during.start), heard.delay_at(15_500 * MS));
        let what = format!("ptime {ptime_ms}: {before:?} {after:?} {:?}", heard.stats());
        assert!(after <= before + Duration::from_millis(20), "{what}");
    }
}

#[test]
fn stalls_that_repeat_are_waited_for() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 20));
    let stall = Some(3 * SECOND..3 * SECOND + 120 * MS);
    let network = Network { stall, again_us: Some(SECOND), ..Network::clean() };
    let heard = call(kind, &packets, &network);
    let stats = heard.stats();
    assert_eq!((stats.lost, stats.late), (0, 0), "{stats:?}");
    let concealed_at = |at_us: u64| {
        let (_, stats) = heard.trace.iter().find(|(tick_us, _)| *tick_us >= at_us).unwrap();
        stats.concealed
    };
    assert!(concealed_at(10 * SECOND) >= Duration::from_millis(100), "{stats:?}");
    assert_eq!(concealed_at(10 * SECOND), concealed_at(20 * SECOND), "{stats:?}");
    assert!(heard.delay_at(20 * SECOND) <= Duration::from_millis(170), "{stats:?}");
}

#[test]
fn a_change_of_the_route_moves_the_audio_once_and_the_buffer_not_at_all() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 20));
    for longer_us in [-100_000, 100_000] {
        for jitter_us in [0, 10 * MS] {
            let route = Some((5 * SECOND, longer_us));
            let network = Network { route, jitter_us, ..Network::clean() };
            let heard = call(kind, &packets, &network);
            let stats = heard.stats();
            let what = format!("{longer_us} {jitter_us} {stats:?}");
            assert_eq!((stats.lost, stats.late), (0, 0), "{what}");
            let (before, after) = (heard.delay_at(5 * SECOND), heard.delay_at(15 * SECOND));
            assert!(after <= before + Duration::from_millis(20), "{before:?} {after:?} {what}");
            assert!(stats.concealed <= Duration::from_millis(320), "{what}");
            assert!(stats.lengthened <= Duration::from_millis(40), "{what}");
        }
    }
}

#[test]
fn a_host_that_ticks_late_now_and_then_does_not_touch_the_audio() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 20));
    let (mut rig, mut random) = (Rig::new(kind), Random(5));
    let mut pcm = Vec::new();
    for (index, packet) in packets.iter().enumerate() {
        assert_eq!(rig.file(packet.sent_us, packet), Ok(()));
        let late_us = if index % 50 == 7 { 12 * MS } else { random.below(3 * MS) };
        pcm.extend_from_slice(rig.tick(packet.sent_us + 5 * MS + late_us).1);
    }
    assert!(pcm == decoded(kind, &packets));
}

#[test]
fn random_loss_is_concealed_for_its_time_and_moves_nothing() {
    for kind in [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722] {
        let packets = encode(kind, 20, &voice(kind.rate_hz(), 20));
        for seed in 1..5 {
            let heard = call(kind, &packets, &Network { seed, loss: 50, ..Network::clean() });
            let stats = heard.stats();
            let lost = packets.len() as u64 - stats.filed;
            assert!((20..90).contains(&lost), "{lost}");
            // A loss at the very end never shows.
            assert!(lost - stats.lost <= 2, "{lost} {stats:?}");
            assert_eq!(stats.late, 0);
            assert!(stats.shortened.is_zero() && stats.lengthened.is_zero(), "{stats:?}");
            // What follows the last packet is concealed, too.
            let concealed_ms = stats.concealed.as_millis() as u64;
            assert!((lost * 20..=lost * 20 + 220).contains(&concealed_ms), "{lost} {stats:?}");
        }
    }
}

/// `pcm` in packets of 20 ms from an Opus encoder with such settings.
fn encode_opus(settings: Settings, pcm: &[i16]) -> Vec<Packet> {
    let mut encoder = Encoder::with_opus_settings(CodecKind::Opus, settings);
    let mut packets = encode(CodecKind::Opus, 20, pcm);
    for (packet, frame) in packets.iter_mut().zip(pcm.chunks_exact(320)) {
        packet.payload = vec![0; 1_500];
        let len = encoder.encode(frame, &mut packet.payload);
        packet.payload.truncate(len);
    }
    packets
}

#[test]
fn opus_recovers_what_it_can_from_the_next_packet() {
    let settings = Settings { expected_loss_percent: 20, ..Settings::default() };
    let packets = encode_opus(settings, &voice(16_000, 20));
    for jitter_us in [0, 40 * MS] {
        let network = Network { loss: 50, jitter_us, ..Network::clean() };
        let stats = call(CodecKind::Opus, &packets, &network).stats();
        assert!(stats.recovered * 3 > stats.lost * 2, "{stats:?}");
    }
}

#[test]
fn opus_dtx_pauses_are_its_own_noise_and_no_loss() {
    let mut pcm = voice(16_000, 12);
    for second in pcm.chunks_mut(16_000).skip(1).step_by(2) {
        second.fill(0);
    }
    let mut packets = encode_opus(Settings { dtx: true, ..Settings::default() }, &pcm);
    let all = packets.len();
    // RFC 7587 §3.1.3: frames of one byte need not be sent.
    packets.retain(|packet| packet.payload.len() > 2);
    assert!(packets.len() < all - 200, "{} of {all}", packets.len());
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.seq = index as u16;
    }
    let heard = call(CodecKind::Opus, &packets, &Network::clean());
    let stats = heard.stats();
    assert_eq!((stats.lost, stats.late, stats.undecodable), (0, 0, 0), "{stats:?}");
    // Only what follows the last packet.
    assert!(stats.concealed <= Duration::from_millis(1_220), "{stats:?}");
    assert!(stats.delay_mean <= Duration::from_millis(24), "{stats:?}");
}

#[test]
fn jitter_of_40_ms_is_absorbed_by_a_delay_that_follows_it() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 30));
    for seed in 1..6 {
        let network = Network { seed, jitter_us: 40 * MS, ..Network::clean() };
        let heard = call(kind, &packets, &network);
        let stats = heard.stats();
        // Late ones are those it learnt from.
        assert!(stats.late <= 15, "{stats:?}");
        assert!(stats.delay_mean < Duration::from_millis(65), "{stats:?}");
        assert!(stats.target >= Duration::from_millis(34), "{stats:?}");
        assert!((7..14).contains(&stats.jitter_p50.as_millis()), "{stats:?}");
        assert!((28..34).contains(&stats.jitter_p95.as_millis()), "{stats:?}");
    }
}

#[test]
fn two_late_packets_lift_the_target_and_a_quiet_while_lowers_it() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 30));
    let mut arrivals = Network::clean().carry(packets.iter().map(|p| p.sent_us));
    for index in [500, 525] {
        arrivals[index].0 += 40 * MS;
    }
    arrivals.sort();
    let heard = Rig::new(kind).play(&packets, &arrivals, 7_000, 0);
    let target_at = |index: usize| {
        let at_us = packets[index].sent_us;
        let (_, stats) = heard.trace.iter().find(|(tick_us, _)| *tick_us >= at_us).unwrap();
        stats.target.as_millis()
    };
    assert_eq!(target_at(510), 4, "one alone says nothing");
    assert!((40..=44).contains(&target_at(530)), "{}", target_at(530));
    assert_eq!(target_at(1_000), 4, "it was forgotten");
    assert!(heard.delay_at(30 * SECOND) <= heard.delay_at(10 * SECOND) + Duration::from_millis(20));
}

#[test]
fn overtaken_packets_and_copies_are_put_in_order_and_counted() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 10));
    let network = Network { duplicates: 100, jitter_us: 30 * MS, ..Network::clean() };
    let heard = call(kind, &packets, &network);
    let stats = heard.stats();
    assert!((20..90).contains(&stats.duplicates), "{stats:?}");
    assert!(stats.reordered > 20, "{stats:?}");
    assert_eq!(stats.filed + stats.late, packets.len() as u64, "{stats:?}");
}

#[test]
fn a_dtx_pause_is_silence_and_no_loss() {
    let kind = CodecKind::Pcmu;
    let mut packets = encode(kind, 20, &voice(8_000, 10));
    // Half a second on, half a second off; sequence numbers go on, timestamps leap.
    packets.retain(|packet| (packet.sent_us / (500 * MS)).is_multiple_of(2));
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.seq = index as u16;
    }
    let heard = call(kind, &packets, &Network::clean());
    let stats = heard.stats();
    assert_eq!((stats.lost, stats.late), (0, 0));
    // Only what follows the last packet.
    assert!(stats.concealed <= Duration::from_millis(220), "{stats:?}");
    assert!(stats.delay_mean <= Duration::from_millis(24), "{stats:?}");
}

#[test]
fn comfort_noise_fills_a_pause_that_the_sender_announced() {
    let kind = CodecKind::Pcmu;
    let mut packets = encode(kind, 20, &voice(8_000, 10));
    let off = |packet: &Packet| packet.sent_us / (500 * MS) % 2 == 1;
    for packet in packets.iter_mut().filter(|packet| off(packet)) {
        packet.content = Content::ComfortNoise;
        packet.payload = vec![50];
    }
    // One description at the start of a pause and one in it.
    packets.retain(|packet| {
        !off(packet)
            || packet.sent_us % (240 * MS) < 20 * MS
            || packet.sent_us % (500 * MS) < 20 * MS
    });
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.seq = index as u16;
    }
    let heard = call(kind, &packets, &Network::clean());
    let stats = heard.stats();
    assert_eq!((stats.lost, stats.late), (0, 0));
    assert!(stats.concealed.is_zero(), "{stats:?}");
    assert!(heard.count(Played::ComfortNoise) > 200, "{}", heard.count(Played::ComfortNoise));
    let noisy = heard.played.iter().zip(heard.pcm.chunks(160));
    let quiet = noisy.filter(|(played, pcm)| {
        **played == Played::ComfortNoise && pcm.iter().all(|&sample| sample == 0)
    });
    assert_eq!(quiet.count(), 0);
}

#[test]
fn telephone_events_take_a_number_and_are_no_loss() {
    let kind = CodecKind::Pcmu;
    let mut packets = encode(kind, 20, &voice(8_000, 6));
    let start = packets[100].time;
    for packet in &mut packets[100..120] {
        packet.content = Content::TelephoneEvent;
        packet.time = start;
        packet.payload = vec![5, 10, 0, 160];
    }
    let heard = call(kind, &packets, &Network::clean());
    let stats = heard.stats();
    assert_eq!((stats.lost, stats.late, stats.undecodable), (0, 0, 0));
    assert!(stats.concealed <= Duration::from_millis(220), "{stats:?}");
    assert!(stats.delay_mean <= Duration::from_millis(24), "{stats:?}");
}

#[test]
fn a_restart_of_numbers_and_timestamps_costs_nothing() {
    let kind = CodecKind::Pcmu;
    for (seq, time) in [(20_000, 0), (0, 3_000_000_000), (1_000, 0)] {
        let mut packets = encode(kind, 20, &voice(8_000, 12));
        for packet in &mut packets[300..] {
            packet.seq = packet.seq.wrapping_add(seq);
            packet.time = packet.time.wrapping_add(time);
        }
        let heard = call(kind, &packets, &Network::clean());
        let stats = heard.stats();
        let what = format!("{seq} {time}: {stats:?}");
        assert_eq!(stats.filed, 600, "{what}");
        // 1,000 numbers are a long loss as far as anybody can tell.
        assert_eq!((stats.lost, stats.late), (if seq == 1_000 { 1_000 } else { 0 }, 0), "{what}");
        // While the first packet waits for its confirmation, one frame is made up.
        assert!(stats.concealed <= Duration::from_millis(260), "{what}");
        assert!(heard.delay_at(12 * SECOND) <= Duration::from_millis(50), "{what}");
    }
}

#[test]
fn a_stray_packet_from_nowhere_changes_nothing() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 4));
    let mut rig = Rig::new(kind);
    let mut random = Random(3);
    let mut pcm = Vec::new();
    for packet in &packets {
        assert_eq!(rig.file(packet.sent_us, packet), Ok(()));
        let seq = packet.seq.wrapping_add(20_000 + 2 * random.below(5_000) as u16);
        let stray = Packet { seq, time: random.next() as u32, ..packet.clone() };
        assert_eq!(rig.file(packet.sent_us, &stray), Ok(()));
        let (_, heard) = rig.tick(packet.sent_us + 7 * MS);
        pcm.extend_from_slice(heard);
    }
    assert!(pcm == decoded(kind, &packets));
    assert_eq!(rig.memory.held(), 1, "the last stray is on probation");
}

#[test]
fn a_frozen_clock_after_hold_does_not_become_delay() {
    let kind = CodecKind::Pcmu;
    let mut packets = encode(kind, 20, &voice(8_000, 12));
    for packet in &mut packets[300..] {
        packet.sent_us += 30 * SECOND;
    }
    let heard = call(kind, &packets, &Network::clean());
    let stats = heard.stats();
    assert_eq!((stats.lost, stats.late), (0, 0));
    assert!(heard.delay_at(37 * SECOND) <= Duration::from_millis(50), "{stats:?}");
    assert!(stats.shortened <= Duration::from_millis(40), "{stats:?}");
}

#[test]
fn payloads_that_are_no_audio_are_concealed_and_counted() {
    let kind = CodecKind::Pcmu;
    let mut packets = encode(kind, 20, &voice(8_000, 6));
    for index in [50, 51, 100] {
        packets[index].payload.clear();
    }
    packets[150].payload = vec![0; 1_400];
    let stats = call(kind, &packets, &Network::clean()).stats();
    assert_eq!((stats.undecodable, stats.lost), (4, 0));
    assert!((80..=300).contains(&stats.concealed.as_millis()), "{stats:?}");
}

#[test]
fn a_change_of_codec_keeps_the_statistics_in_time_and_not_in_samples() {
    let packets = encode(CodecKind::Pcmu, 20, &voice(8_000, 1));
    let mut rig = Rig::new(CodecKind::Pcmu);
    assert_eq!(rig.file(SECOND, &packets[0]), Ok(()));
    // One packet, then nothing: four frames are made up.
    let played: Vec<_> = (0..5).map(|tick| rig.tick(SECOND + (10 + 20 * tick) * MS).0).collect();
    assert_eq!((played[0], played[4]), (Played::Speech, Played::Concealed));
    let before = rig.buffer.stats();
    assert_eq!(before.concealed, Duration::from_millis(80));
    let wide = CodecKind::G722;
    rig.change(wide);
    assert_eq!(rig.buffer.stats().concealed, before.concealed);
    let packets = encode(wide, 20, &voice(16_000, 1));
    assert_eq!(rig.file(2 * SECOND, &packets[0]), Ok(()));
    let (played, pcm) = rig.tick(2 * SECOND + 10 * MS);
    assert_eq!((played, pcm.len()), (Played::Speech, 320));
    assert_eq!(rig.buffer.stats().delay_mean, Duration::from_millis(10));
}

#[test]
fn reset_gives_everything_back_and_keeps_the_statistics() {
    let kind = CodecKind::Pcmu;
    let packets = encode(kind, 20, &voice(8_000, 2));
    let mut rig = Rig::new(kind);
    for packet in &packets[..50] {
        assert_eq!(rig.file(2 * SECOND, packet), Ok(()));
    }
    let stray = Packet { seq: 20_000, ..packets[0].clone() };
    assert_eq!(rig.file(2 * SECOND, &stray), Ok(()));
    assert_eq!(rig.memory.held(), 51);
    rig.buffer.reset(kind.clock_hz(), kind.rate_hz(), &mut rig.memory);
    assert_eq!(rig.memory.held(), 0);
    assert_eq!(rig.buffer.stats().filed, 50);
    assert_eq!(rig.tick(3 * SECOND).0, Played::Silence);
    assert_eq!(rig.file(3 * SECOND, &packets[0]), Ok(()));
    assert_eq!(rig.tick(3 * SECOND + 10 * MS).0, Played::Speech);
}
