//! Real speech over bad networks: nothing is missing, and the delay comes back.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use vox_codecs::wav::Wav;
use vox_tests::{caller, ears, one_at_a_time, worker::Worker};

const LOSS_PESQ_MIN: f64 = 3.0;
/// How far the buffer's delay may be from a clean call's, ten seconds after the burst.
const DELAY_TOLERANCE_MS: f64 = 20.0;
const FRAME: usize = 160;
/// Mean square of a frame that is clearly speech, and of one that is clearly nothing.
const LOUD: f64 = 500.0 * 500.0;
const NOTHING: f64 = 8.0 * 8.0;

/// Says `speech` through `profile` on a quiet machine; gives the caller's side and Vox's own account
/// of the call.
fn through(profile: &str, speech: &Path, worker: &Worker) -> Option<(caller::Call, Value)> {
    caller::undisturbed(|| {
        let nth = worker.results(0, Duration::ZERO).len() + 1;
        let own = format!("call-{nth}");
        let call = caller::say(
            worker,
            "echo",
            speech,
            &["--codec", "PCMU", "--net", profile, "--caller", &own],
        );
        let results = worker.results(nth, Duration::from_secs(10));
        let result =
            results.iter().find(|result| result["caller_id"] == own).expect("its result").clone();
        (call, result)
    })
}

fn delay_at_end_ms(result: &Value) -> f64 {
    result["media"]["buffer_delay_end_ms"]
        .as_f64()
        .unwrap_or_else(|| panic!("no delay in {result}"))
}

fn energies(wav: &Wav) -> Vec<f64> {
    let square =
        |frame: &[i16]| frame.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / FRAME as f64;
    wav.samples.chunks_exact(FRAME).map(square).collect()
}

/// Frames where speech was said and nothing at all was heard, after alignment.
fn gaps(said: &Wav, heard: &Wav, offset_ms: f64) -> usize {
    let skip = (offset_ms / 1e3 * 8_000.0) as usize;
    let heard = Wav { samples: heard.samples[skip..].to_vec(), ..heard.clone() };
    energies(said)
        .iter()
        .zip(energies(&heard))
        .filter(|&(&said, heard)| said > LOUD && heard < NOTHING)
        .count()
}

#[test]
fn random_loss_leaves_no_gap_and_speech_that_is_good_to_hear() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 28) else { return };
    let Some((call, result)) = through("loss=5%,seed=7", &speech, &worker) else { return };
    let Some(score) = ears::pesq(&speech, &call.heard) else { return };
    println!("5 % loss: PESQ {:.2}, concealed {} ms", score.pesq, result["media"]["concealed_ms"]);
    assert!(score.pesq >= LOSS_PESQ_MIN, "PESQ {:.2}", score.pesq);
    assert_eq!(gaps(&ears::wav(&speech), &ears::wav(&call.heard), score.offset_ms), 0);
    let lost = result["media"]["lost"].as_u64().expect("lost");
    assert_eq!(
        Some(lost),
        call.report["lost_on_purpose"].as_u64(),
        "what was lost is what Vox missed"
    );
}

#[test]
fn jitter_leaves_no_gap_and_loses_nothing() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 28) else { return };
    let Some((call, result)) = through("jitter=40ms,seed=7", &speech, &worker) else { return };
    let Some(score) = ears::pesq(&speech, &call.heard) else { return };
    println!("40 ms jitter: PESQ {:.2}, {}", score.pesq, result["media"]);
    assert_eq!(result["media"]["lost"], 0, "{result}");
    assert_eq!(gaps(&ears::wav(&speech), &ears::wav(&call.heard), score.offset_ms), 0);
}

#[test]
fn a_burst_of_delay_loses_nothing_and_the_delay_returns() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 18) else { return };
    let Some((_, clean)) = through("", &speech, &worker) else { return };
    // Ten seconds lie between the end of the burst and the end of the call (tail included).
    let Some((_, burst)) = through("burst=500ms@9500ms", &speech, &worker) else { return };
    println!("burst: {} against {}", burst["media"], clean["media"]);
    assert_eq!(burst["media"]["lost"], 0, "{burst}");
    assert_eq!(burst["media"]["late"], 0, "{burst}");
    let (before, after) = (delay_at_end_ms(&clean), delay_at_end_ms(&burst));
    assert!(
        after <= before + DELAY_TOLERANCE_MS,
        "delay {after} ms, on a clean network {before} ms"
    );
}
