//! A browser in a room of a real LiveKit server: headless Chromium with LiveKit's JavaScript SDK.

use std::time::Duration;

use serde_json::{Value, json};
use vox_tests::browser::Browser;
use vox_tests::livekit::{Server, has_network};
use vox_tests::worker::{Worker, http_post};
use vox_tests::{ears, one_at_a_time, wait_for};

/// Speech through Opus twice, and through two jitter buffers.
const PESQ_MIN: f64 = 3.0;
const SECONDS: u32 = 10;
const SECRET: &str = "X-VoxCore-Secret: between-services\r\n";

#[test]
fn a_browser_is_heard_and_hears_and_its_leaving_ends_the_call() {
    let _turn = one_at_a_time();
    if !has_network("a_browser_is_heard_and_hears_and_its_leaving_ends_the_call") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let worker = Worker::start("", &server.environment());
    let Some(speech) = ears::speech(worker.directory(), 48_000, SECONDS) else { return };
    let Some(browser) = Browser::open(&server, "widget-1", "visitor", &speech, SECONDS + 2) else {
        return;
    };
    browser.wait_for("joined", Duration::from_secs(60));
    let body = json!({"bot_id": "echo", "room_name": "widget-1", "caller_id": "visitor"});
    let (status, answer) = http_post(worker.http, "/livekit/widget", SECRET, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    let accepted: Value = serde_json::from_str(&answer).expect("JSON");
    browser.wait_for("speaking", Duration::from_secs(20));

    let left = browser.wait_for("leaving", Duration::from_secs(u64::from(SECONDS) + 20));
    browser.wait_for("left", Duration::from_secs(5));
    wait_for("a free slot", Duration::from_secs(5), || (worker.calls() == 0).then_some(()));
    let result = worker.results(1, Duration::from_secs(5)).remove(0);
    assert_eq!(result["stream_id"], accepted["call_id"], "{result}");
    assert_eq!(result["disconnected_by"], "customer", "{result}");
    assert_eq!(result["caller_id"], "visitor", "{result}");
    let loudest = left["loudest"].as_f64().expect("a loudness");
    assert!(loudest > 0.01, "the browser hears silence: {left}");

    let recording = worker.recordings(1, Duration::from_secs(5)).remove(0);
    let Some(caller) = ears::pesq_of(&speech, &recording, 0) else { return };
    let Some(heard) = browser.heard() else { return };
    let Some(echo) = ears::pesq(&speech, &heard) else { return };
    println!(
        "LiveKit widget: the browser as recorded PESQ {:.2}, echo in the browser {:.2}, loudest {loudest:.2}",
        caller.pesq, echo.pesq
    );
    assert!(caller.pesq >= PESQ_MIN && echo.pesq >= PESQ_MIN, "{caller:?} {echo:?}");
}
