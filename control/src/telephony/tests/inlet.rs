use std::time::Duration;

use vox_rtp::RtpPacket;

use super::pcm;
use crate::telephony::inlet::{Inlet, PACKET_BYTES};

/// Packets that came out: when (ms), timestamp in frames from the first, marker, first sample.
type Out = Vec<(u64, u32, bool, i16)>;

/// Pushes `(at ms, audio ms)`, pops whenever something is due, and looks for `until` ms.
fn run(pushes: &[(u64, u64)], until: u64) -> (Out, u64) {
    let mut inlet = Inlet::new(0, 97);
    let (mut out, mut dropped, mut pushed) = (Out::new(), 0, 0);
    let mut expected_seq = 0;
    for now_ms in 0..=until {
        let now = Duration::from_millis(now_ms);
        for &(_, audio_ms) in pushes.iter().filter(|(at, _)| *at == now_ms) {
            let samples = audio_ms as usize * 8;
            dropped += inlet.push(now, &pcm(pushed, samples));
            pushed += samples;
        }
        let mut bytes = [0; PACKET_BYTES];
        while let Some(len) = inlet.pop(now, &mut bytes) {
            let packet = RtpPacket::parse(&bytes[..len]).unwrap();
            assert_eq!((packet.header.payload_type, packet.payload.len()), (97, 320));
            assert_eq!(packet.header.seq.0, expected_seq, "sequence numbers have no gap");
            assert_eq!(packet.header.time.0 % 160, 0, "timestamps are whole frames");
            expected_seq += 1;
            let sample = i16::from_be_bytes([packet.payload[0], packet.payload[1]]);
            out.push((now_ms, packet.header.time.0 / 160, packet.header.marker, sample));
        }
        if let Some(due) = inlet.due(now) {
            assert!(due > now && due < now + Duration::from_millis(20), "{due:?} at {now:?}");
        }
    }
    let first = out.first().map_or(0, |packet| packet.1);
    out.iter_mut().for_each(|packet| packet.1 -= first);
    (out, dropped)
}

fn every(step_ms: u64, audio_ms: u64, count: u64) -> Vec<(u64, u64)> {
    (0..count).map(|n| (n * step_ms, audio_ms)).collect()
}

#[test]
fn audio_of_any_length_becomes_packets_of_20_ms_with_continuous_timestamps() {
    // Audio per message; each comes when it was spoken.
    for audio_ms in [10, 20, 25, 30, 40, 100, 200, 500] {
        let pushes = every(audio_ms, audio_ms, 2_000 / audio_ms);
        let (out, dropped) = run(&pushes, 2_500);
        assert_eq!(dropped, 0, "{audio_ms}");
        assert_eq!(out.len() as u64, pushes.len() as u64 * audio_ms / 20, "{audio_ms}");
        for (n, &(at, frame, marker, sample)) in out.iter().enumerate() {
            assert_eq!((frame, marker), (n as u32, n == 0), "{audio_ms}");
            let expected = i16::from_le_bytes(pcm(n * 160, 1).try_into().unwrap());
            assert_eq!(sample, expected, "{audio_ms}: packet {n}");
            // Handed over with the message that completes it.
            let complete = (n as u64 * 20 + 20).div_ceil(audio_ms) * audio_ms - audio_ms;
            assert_eq!(at, complete, "{audio_ms}: packet {n}");
        }
    }
}

#[test]
fn a_burst_is_let_through_and_what_is_further_ahead_is_paced() {
    let (out, dropped) = run(&[(0, 1_500)], 2_000);
    assert_eq!((out.len(), dropped), (75, 0));
    let at_once = out.iter().filter(|packet| packet.0 == 0).count();
    assert_eq!(at_once, 25, "what the jitter buffer can hold");
    for pair in out[24..].windows(2) {
        assert!((18..=19).contains(&(pair[1].0 - pair[0].0)), "{pair:?}");
    }
    assert!(out.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1), "{out:?}");
}

#[test]
fn ten_thousand_messages_at_once_leave_the_newest_two_and_a_half_seconds() {
    let pushes: Vec<_> = (0..10_000).map(|_| (5, 20)).collect();
    let (out, dropped) = run(&pushes, 5_000);
    assert_eq!(out.len() as u64 + dropped, 10_000);
    // They come before anything is handed over: nothing is let through at once.
    assert_eq!(out.len(), 100);
    let newest = i16::from_le_bytes(pcm(9_999 * 160, 1).try_into().unwrap());
    assert_eq!(out.last().unwrap().3, newest, "the oldest went");
}

#[test]
fn timestamps_follow_the_clock_over_a_pause() {
    // Pushes, then the frame and the marker of each packet after the pause.
    type Row<'a> = (&'a [(u64, u64)], &'a [(u32, bool)]);
    let rows: [Row<'_>; 5] = [
        // Silence suppression: 1 s without audio.
        (&[(0, 20), (20, 20), (1_040, 20), (1_060, 20)], &[(51, true), (52, false)]),
        // A short pause is the jitter buffer's business.
        (&[(0, 20), (20, 20), (220, 20), (240, 20)], &[(2, false), (3, false)]),
        // A stall of 400 ms, then everything at once: nothing overlaps, nothing is lost.
        (&[(0, 20), (20, 20), (460, 200), (460, 200)], &[(13, true), (14, false)]),
        // A peer that is ahead and then waits has not paused.
        (&[(0, 400), (400, 400)], &[(2, false), (3, false)]),
        // Half a frame before the pause becomes a whole one, and stays before it.
        (&[(0, 30), (1_030, 30)], &[(50, true)]),
    ];
    for (pushes, expected) in rows {
        let (out, dropped) = run(pushes, 2_000);
        assert_eq!(dropped, 0);
        let after: Vec<_> = out[2..].iter().take(expected.len()).map(|p| (p.1, p.2)).collect();
        assert_eq!(after, expected, "{pushes:?}: {out:?}");
    }
}

#[test]
fn what_waits_can_be_forgotten() {
    let mut inlet = Inlet::new(7, 97);
    inlet.push(Duration::ZERO, &pcm(0, 8_000));
    inlet.clear();
    assert_eq!(inlet.pop(Duration::ZERO, &mut [0; PACKET_BYTES]), None);
    assert_eq!(inlet.due(Duration::ZERO), None);
}
