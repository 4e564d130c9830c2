//! How soon somebody whom the dialler has called hears the bot, and that nothing of its first words is
//! missing.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use vox_tests::livekit::{Server, has_network};
use vox_tests::one_at_a_time;
use vox_tests::worker::{Worker, http_post};

/// `ATTACH_RUNS=50` for the figures in the README.
const RUNS: usize = 10;
/// The aim is 300 ms on a quiet machine; more than this is wrong on any.
const FIRST_AUDIO_MAX_MS: f64 = 1_500.0;
/// Of the first words.
const MISSING_MAX_MS: f64 = 40.0;

#[test]
fn whom_the_dialler_called_hears_the_first_word_soon_and_from_its_beginning() {
    let _turn = one_at_a_time();
    if !has_network("whom_the_dialler_called_hears_the_first_word_soon_and_from_its_beginning") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let files = tempfile::tempdir().expect("a directory");
    let chirp = files.path().join("chirp.wav");
    write_chirp(&chirp);
    let bots =
        format!("[bots.chirp]\nagent = {{ kind = \"play\", file = \"{}\" }}\n", chirp.display());
    let worker = Worker::start(&bots, &server.environment());
    let runs = std::env::var("ATTACH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let mut callees = server.callees("attach", "sip-+15105550222", runs);
    let mut times: [Vec<f64>; 5] = Default::default();
    for run in 0..runs {
        callees.wait_for("joined");
        let asked = now_ms();
        let body = json!({
            "room_name": format!("attach-{run}"), "bot_id": "chirp", "to_number": "+15105550222",
        });
        let secret = "X-VoxCore-Secret: between-services\r\n";
        let (status, answer) = http_post(worker.http, "/attach", secret, &body.to_string());
        assert_eq!(status, 200, "{answer}");
        for (event, times) in ["published", "subscribed", "heard"].into_iter().zip(&mut times) {
            let at = callees.wait_for(event)["at"].as_f64().expect("a time");
            times.push(at * 1e3 - asked);
        }
        times[3].push(callees.wait_for("began")["ms"].as_f64().expect("a number"));
    }
    for result in worker.results(runs, Duration::from_secs(10)) {
        let events = result["events"].as_array().expect("events");
        let answered = events.iter().find(|event| event["event"] == "answered");
        times[4].push(answered.and_then(|it| it["offset_ms"].as_f64()).expect("an answer"));
    }
    let [published, subscribed, heard, began, answered] = times.map(percentiles);
    println!("/attach, {runs} runs, ms after the POST (p50, p95):");
    println!("  the bot's track is announced {published:?}, subscribed to {subscribed:?}");
    println!("  the bot begins {answered:?} after its config, the callee hears it {heard:?}");
    println!("  of its first words are missing {began:?}");
    assert!(heard.1 < FIRST_AUDIO_MAX_MS, "{heard:?}");
    assert!(began.1 < MISSING_MAX_MS, "{began:?}");
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1e3
}

fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize].round();
    (at(0.5), at(0.95))
}

/// Three seconds from 300 Hz on, 1 kHz a second.
fn write_chirp(path: &Path) {
    let samples = (0..3 * RATE).map(|n| {
        let t = f64::from(n) / f64::from(RATE);
        let phase = std::f64::consts::TAU * (300.0 * t + 500.0 * t * t);
        (phase.sin() * 12_000.0) as i16
    });
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let length = data.len() as u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + length).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(RATE.to_le_bytes());
    wav.extend((2 * RATE).to_le_bytes());
    wav.extend([2, 0, 16, 0]);
    wav.extend(b"data");
    wav.extend(length.to_le_bytes());
    wav.extend(data);
    std::fs::write(path, wav).expect("a WAV file");
}

const RATE: u32 = 48_000;
