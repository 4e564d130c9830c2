//! Calls through a real engine and real sockets.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Caller, LIMITS, Rig, is_the_tone, ports_for, session, talk};
use vox_codecs::wav::Wav;
use vox_engine::call::{Event, Reason};
use vox_engine::{
    CallOptions, Engine, EngineConfig, EngineEvent, RecordingOptions, Refused, StartError,
};

#[test]
fn a_caller_hears_the_echo_of_what_he_says() {
    let mut rig = Rig::new(1);
    let caller = Caller::new();
    let live = rig.echo(&caller, None);
    let mut callers = [(caller, live)];
    talk(&mut callers, |callers| callers[0].0.hears_the_tone());
    rig.wait_for("MediaStarted", |event| {
        matches!(event, EngineEvent::Call(Event::MediaStarted { call, .. }) if *call == live.call)
    });
    rig.hang_up(live.call);
    let stats = rig.engine.stats();
    assert_eq!((stats.send_failed, stats.no_buffers, stats.events_lost), (0, 0, 0), "{stats:?}");
}

#[test]
fn fifty_callers_on_one_shard_all_hear_their_echo() {
    let mut rig = Rig::new(50);
    let mut callers: Vec<_> = (0..50)
        .map(|_| {
            let caller = Caller::new();
            let live = rig.echo(&caller, None);
            (caller, live)
        })
        .collect();
    assert_eq!(rig.engine.taken(), 50);
    let full = rig.engine.open(CallOptions { limits: LIMITS, recording: None, vad: None });
    assert_eq!(full.unwrap_err(), Refused::AtCapacity);
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    for (_, live) in &callers {
        rig.hang_up(live.call);
    }
    assert_eq!(rig.engine.taken(), 0);
}

#[test]
fn calls_spread_over_the_shards() {
    let config = EngineConfig {
        bind: common::LOCALHOST,
        ports: ports_for(8),
        cores: vec![0, 1],
        calls_per_shard: 2,
        port_quarantine: Duration::ZERO,
    };
    let mut rig = match Engine::start(config) {
        Ok((engine, events)) => Rig { engine, events, heard: vec![] },
        Err(StartError::Cores(said)) if std::env::var_os("REQUIRE_PEERS").is_none() => {
            return eprintln!("SKIPPED, needs cores 0 and 1: {said}");
        }
        Err(error) => panic!("{error}"),
    };
    let mut callers: Vec<_> = (0..4)
        .map(|_| {
            let caller = Caller::new();
            let live = rig.echo(&caller, None);
            (caller, live)
        })
        .collect();
    let mut shards: Vec<_> = callers.iter().map(|(_, live)| live.call.0 >> 56).collect();
    shards.sort_unstable();
    assert_eq!(shards, [0, 0, 1, 1]);
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    for (_, live) in &callers {
        rig.hang_up(live.call);
    }
}

#[test]
fn a_recording_holds_both_sides_on_their_channels_for_as_long_as_the_call() {
    let directory = tempfile::tempdir().unwrap();
    for (rate_hz, channels) in [(8_000, 2), (16_000, 2), (8_000, 1)] {
        let path = directory.path().join(format!("{rate_hz}-{channels}.wav"));
        let mut rig = Rig::new(1);
        let caller = Caller::new();
        let recording = RecordingOptions { path: path.clone(), rate_hz, channels };
        let live = rig.echo(&caller, Some(recording));
        let mut callers = [(caller, live)];
        talk(&mut callers, |callers| callers[0].0.packets >= 75);
        rig.hang_up(live.call);
        let recorded = rig.wait_for(
            "Recorded",
            |event| matches!(event, EngineEvent::Recorded { call, .. } if *call == live.call),
        );
        let EngineEvent::Recorded { duration, error, overruns, .. } = &rig.heard[recorded] else {
            panic!()
        };
        assert_eq!((error, *overruns), (&None, 0));

        let wav = Wav::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((wav.rate_hz, wav.channels), (rate_hz, channels));
        let length = Duration::from_micros(wav.frames() as u64 * 1_000_000 / u64::from(rate_hz));
        assert_eq!(length, *duration);
        let ending = rig.heard.iter().find_map(|event| match event {
            EngineEvent::Call(Event::Ended { ending, .. }) => Some(ending.duration),
            _ => None,
        });
        let apart = ending.unwrap().abs_diff(length);
        assert!(apart <= Duration::from_millis(40), "{length:?}, but the call took {ending:?}");
        for channel in 0..usize::from(channels) {
            let side = wav.channel(channel);
            let side: Vec<i16> = side.iter().step_by(rate_hz as usize / 8_000).copied().collect();
            assert!(
                side.chunks_exact(1_600).any(is_the_tone),
                "channel {channel} of {rate_hz} Hz, {channels} channels"
            );
        }
        if channels == 2 {
            let heard = |channel| {
                let side = wav.channel(channel);
                side.iter().position(|sample| sample.unsigned_abs() > 500).unwrap()
            };
            assert!(heard(0) <= heard(1), "the caller on the left speaks first");
        }
    }
}

#[test]
fn a_recording_that_cannot_be_written_says_so_and_disturbs_no_call() {
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.wav");
    let nowhere = directory.path().join("nowhere/a.wav");
    let full = PathBuf::from("/dev/full");
    let options =
        |path: &Path, rate_hz| RecordingOptions { path: path.into(), rate_hz, channels: 2 };
    let rows = [
        (options(&good, 8_000), None),
        (options(&nowhere, 8_000), Some("nowhere/a.wav")),
        (options(&full, 8_000), Some("/dev/full")),
        (options(&directory.path().join("odd.wav"), 11_025), Some("not 11025 Hz")),
    ];
    let mut rig = Rig::new(rows.len());
    let mut callers: Vec<_> = rows
        .iter()
        .map(|(options, _)| {
            let caller = Caller::new();
            let live = rig.echo(&caller, Some(options.clone()));
            (caller, live)
        })
        .collect();
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    for ((_, live), (_, expected)) in callers.iter().zip(&rows) {
        rig.hang_up(live.call);
        let at = rig.wait_for(
            "Recorded",
            |event| matches!(event, EngineEvent::Recorded { call, .. } if *call == live.call),
        );
        let EngineEvent::Recorded { error, .. } = &rig.heard[at] else { panic!() };
        match (error, expected) {
            (None, None) => {}
            (Some(said), Some(expected)) if said.contains(expected) => {}
            _ => panic!("{error:?}, expected {expected:?}"),
        }
    }
    assert!(Wav::parse(&std::fs::read(&good).unwrap()).unwrap().frames() >= 1_600);
}

#[test]
fn draining_refuses_new_calls_and_leaves_the_others_alone() {
    let mut rig = Rig::new(2);
    let caller = Caller::new();
    let live = rig.echo(&caller, None);
    rig.engine.drain();
    let refused = rig.engine.open(CallOptions { limits: LIMITS, recording: None, vad: None });
    assert_eq!(refused.unwrap_err(), Refused::Draining);
    let mut callers = [(caller, live)];
    talk(&mut callers, |callers| callers[0].0.hears_the_tone());
    rig.hang_up(live.call);
    let gone = rig.engine.answer(live.call, session(callers[0].0.address()));
    assert_eq!(gone.unwrap_err(), Refused::NoSuchCall);
    assert_eq!(rig.engine.close(live.call, Reason::CallerHungUp), Ok(()), "harmless");
}

#[test]
fn stop_ends_what_is_left_and_its_events_can_still_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.wav");
    let mut rig = Rig::new(1);
    let caller = Caller::new();
    let recording = RecordingOptions { path: path.clone(), rate_hz: 8_000, channels: 2 };
    let live = rig.echo(&caller, Some(recording));
    let mut callers = [(caller, live)];
    talk(&mut callers, |callers| callers[0].0.hears_the_tone());
    rig.engine.stop();
    rig.engine.stop();
    rig.drain();
    assert_eq!(rig.wait_for_end(live.call), Reason::WorkerStopped);
    assert!(rig.heard.iter().any(|event| matches!(event, EngineEvent::Recorded { .. })));
    assert!(Wav::parse(&std::fs::read(&path).unwrap()).unwrap().frames() >= 1_600);
    let refused = rig.engine.open(CallOptions { limits: LIMITS, recording: None, vad: None });
    assert_eq!(refused.unwrap_err(), Refused::Draining);
}
