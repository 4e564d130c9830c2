//! Real speech through the whole path and back.

use std::time::Duration;

use vox_tests::{caller, ears, one_at_a_time, worker::Worker};

/// PESQ that a G.711 echo must reach on a clean network.
const CLEAN_MIN: f64 = 4.0;

#[test]
fn every_codec_brings_speech_back_as_it_was_said() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    for (codec, rate_hz, pesq_min) in [
        ("PCMU", 8_000, CLEAN_MIN),
        ("PCMA", 8_000, CLEAN_MIN),
        ("G722", 16_000, 3.8),
        ("opus", 16_000, 3.5),
    ] {
        let Some(speech) = ears::speech(worker.directory(), rate_hz, 20) else { return };
        let call = caller::say(&worker, "echo", &speech, &["--codec", codec]);
        let Some(score) = ears::pesq(&speech, &call.heard) else { return };
        println!("{codec}: PESQ {:.2}, round trip {} ms", score.pesq, call.report["round_trip_ms"]);
        assert!(score.pesq >= pesq_min, "{codec}: PESQ {:.2} < {pesq_min}", score.pesq);
        assert_eq!(call.report["lost"], 0, "{codec}");
    }
    worker.results(4, Duration::from_secs(10));
}
