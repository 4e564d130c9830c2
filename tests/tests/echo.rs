//! Real speech through the whole path and back.

use std::time::Duration;

use vox_tests::{caller, ears, one_at_a_time, worker::Worker};

/// PESQ that a G.711 echo must reach on a clean network.
const CLEAN_MIN: f64 = 4.0;

/// How far the two sides of a recording may be from the round trip.
const OFFSET_TOLERANCE_MS: f64 = 20.0;

#[test]
fn every_codec_brings_speech_back_as_it_was_said() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    for (codec, rate_hz, pesq_min) in [
        ("PCMU", 8_000, CLEAN_MIN),
        ("PCMA", 8_000, CLEAN_MIN),
        ("G722", 16_000, 4.0),
        ("opus", 16_000, 3.5),
    ] {
        let Some(speech) = ears::speech(worker.directory(), rate_hz, 20) else { return };
        let say = || (caller::say(&worker, "echo", &speech, &["--codec", codec]), ());
        let Some((call, ())) = caller::undisturbed(say) else { return };
        let Some(score) = ears::pesq(&speech, &call.heard) else { return };
        println!("{codec}: PESQ {:.2}, round trip {} ms", score.pesq, call.report["round_trip_ms"]);
        assert!(score.pesq >= pesq_min, "{codec}: PESQ {:.2} < {pesq_min}", score.pesq);
        assert_eq!(call.report["lost"], 0, "{codec}");
    }
}

#[test]
fn the_recording_holds_both_sides_as_far_apart_as_the_round_trip() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 20) else { return };
    let mut calls = 0;
    let say = || {
        calls += 1;
        let call = caller::say(&worker, "echo", &speech, &["--codec", "PCMU"]);
        (call, worker.recordings(calls, Duration::from_secs(10)))
    };
    let Some((call, recordings)) = caller::undisturbed(say) else { return };
    let newest =
        recordings.iter().max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
    let recording = newest.expect("a recording");
    assert_eq!(ears::wav(recording).channels, 2);
    let (Some(caller), Some(agent)) =
        (ears::pesq_of(&speech, recording, 0), ears::pesq_of(&speech, recording, 1))
    else {
        return;
    };
    let round_trip = call.report["round_trip_ms"].as_f64().expect("an echo");
    println!(
        "caller {:.2}, agent {:.2}, apart {} ms, round trip {round_trip} ms",
        caller.pesq,
        agent.pesq,
        agent.offset_ms - caller.offset_ms
    );
    assert!(
        caller.pesq >= CLEAN_MIN && agent.pesq >= CLEAN_MIN,
        "both sides are on their channels, whole"
    );
    assert!((agent.offset_ms - caller.offset_ms - round_trip).abs() <= OFFSET_TOLERANCE_MS);
}
