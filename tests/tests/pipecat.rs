//! Pipecat from PyPI, unmodified, on both kinds of sockets.

use std::time::Duration;

use serde_json::Value;
use vox_tests::pipecat::Pipecat;
use vox_tests::worker::{Worker, free_port};
use vox_tests::{caller, ears, one_at_a_time, wait_for};

/// Speech once through G.711 each way, through two jitter buffers and Pipecat's resampler.
const PESQ_MIN: f64 = 3.5;

#[test]
fn a_sip_caller_hears_a_pipecat_echo_pipeline_through_the_twilio_agent() {
    let _turn = one_at_a_time();
    let port = free_port();
    let Some(_pipecat) = Pipecat::start("echo.py", &["twilio", &port.to_string()]) else { return };
    let worker = Worker::start(&socket_bot("pipecat", &format!("ws://127.0.0.1:{port}/")), &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 10) else { return };
    let mut calls = 0;
    let say = || {
        calls += 1;
        (caller::say(&worker, "pipecat", &speech, &["--codec", "PCMU"]), ())
    };
    let Some((call, ())) = caller::undisturbed(say) else { return };
    let Some(score) = ears::pesq(&speech, &call.heard) else { return };
    println!("twilio: PESQ {:.2}, round trip {} ms", score.pesq, call.report["round_trip_ms"]);
    assert!(score.pesq >= PESQ_MIN, "PESQ {:.2}", score.pesq);
    for result in worker.results(calls, Duration::from_secs(10)) {
        assert_eq!(result["disconnected_by"], "customer", "{result}");
    }
}

#[test]
fn a_sip_caller_talks_with_a_pipecat_pipeline_that_came_in_as_exotel() {
    let _turn = one_at_a_time();
    let port = free_port();
    let Some(_join) = Pipecat::start("join.py", &[&port.to_string()]) else { return };
    // Two calls of this worker, one by SIP and one by Exotel's socket, each with an agent of its
    // own; the agents' server joins them.
    let url = format!("ws://127.0.0.1:{port}/");
    let bots = ["desk", "applet"].map(|name| socket_bot(name, &url)).concat();
    let worker = Worker::start(&bots, &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 10) else { return };
    let exotel = format!("ws://{}/exotel/applet", worker.http);
    let Some(pipecat) = Pipecat::start("echo.py", &["exotel", &exotel]) else { return };
    wait_for("Exotel's call", Duration::from_secs(10), || (worker.calls() == 1).then_some(()));
    let mut calls = 0;
    let say = || {
        calls += 1;
        (caller::say(&worker, "desk", &speech, &["--codec", "PCMU"]), ())
    };
    let Some((call, ())) = caller::undisturbed(say) else { return };
    let Some(score) = ears::pesq(&speech, &call.heard) else { return };
    println!("exotel: PESQ {:.2}, round trip {} ms", score.pesq, call.report["round_trip_ms"]);
    assert!(score.pesq >= PESQ_MIN, "PESQ {:.2}", score.pesq);
    drop(pipecat);
    wait_for("every result", Duration::from_secs(10), || (worker.calls() == 0).then_some(()));
    let results = worker.results(calls + 1, Duration::from_secs(15));
    let by_socket = |result: &&Value| result["stream_id"] == "MZpipecat";
    let socket = results.iter().find(by_socket).expect("a result of the socket's call");
    assert_eq!(socket["media"]["codec"], "L16", "{socket}");
    assert_eq!(socket["caller_id"], "+919876543210");
    assert!(socket["media"]["packets"].as_u64().is_some_and(|packets| packets > 100), "{socket}");
}

#[test]
fn a_pipecat_pipeline_that_came_in_as_exotel_hears_a_bot_and_is_recorded() {
    let _turn = one_at_a_time();
    let worker = Worker::start("", &[]);
    let exotel = format!("ws://{}/exotel/play?lead=7", worker.http);
    let Some(pipecat) = Pipecat::start("echo.py", &["exotel", &exotel]) else { return };
    wait_for("Exotel's call", Duration::from_secs(10), || (worker.calls() == 1).then_some(()));
    wait_for("some seconds of talk", Duration::from_secs(20), || {
        worker.metric("vox_packets_received_total").is_some_and(|n| n > 150.0).then_some(())
    });
    drop(pipecat);
    let result = worker.results(1, Duration::from_secs(10)).remove(0);
    assert_eq!(result["connected_event"]["lead"], "7", "{result}");
    let wav = ears::wav(&worker.recordings(1, Duration::from_secs(10))[0]);
    assert_eq!((wav.rate_hz, wav.channels), (8_000, 2));
    let loud = |channel: usize| {
        wav.samples.iter().skip(channel).step_by(2).filter(|sample| sample.abs() > 1_000).count()
    };
    assert!(loud(1) > 1_000, "the bot spoke");
    assert!(loud(0) > 1_000, "and Pipecat gave it back");
}

fn socket_bot(name: &str, url: &str) -> String {
    format!(
        "[bots.{name}]\nagent = {{ kind = \"websocket\", protocol = \"twilio\", url = \"{url}\" }}\n"
    )
}
