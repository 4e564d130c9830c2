//! SIPp calls a number through livekit-sip, and gives back what it hears: speech both ways.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use vox_tests::livekit::{KEYS, Server, has_network};
use vox_tests::livekit_sip::LivekitSip;
use vox_tests::redis::Redis;
use vox_tests::sipp::{Sipp, Step};
use vox_tests::webhooks::Webhooks;
use vox_tests::worker::{Worker, binary, free_port};
use vox_tests::{ears, one_at_a_time, wait_for};

const NUMBER: &str = "+15105550100";
const BOTS: &str = "[bots.reception]\nnumbers = [\"+15105550100\"]\nagent = { kind = \"tone\" }\n\
                    recording = { enabled = true, channels = 2 }\n";

#[test]
fn a_telephone_is_answered_and_heard_through_a_real_livekit_sip() {
    let _turn = one_at_a_time();
    if !has_network("a_telephone_is_answered_and_heard_through_a_real_livekit_sip") {
        return;
    }
    let (Some(redis), webhooks) = (Redis::start(), Webhooks::start()) else { return };
    let [key, _] = KEYS;
    let lines = format!(
        "{}webhook: {{api_key: {key}, urls: [\"{}\"]}}\n",
        redis.for_livekit(),
        webhooks.url()
    );
    let Some(server) = Server::start_with(&lines) else { return };
    let worker = Worker::start(BOTS, &server.environment());
    let Some(sip) = LivekitSip::start(&server, &redis, worker.directory()) else { return };
    webhooks.send_calls_to(worker.http);
    let (health, fleet) = (sip.health, worker.http);
    tool(&server, &worker, &format!("setup --number {NUMBER}"));
    let around = format!("--sip-health http://{health} --fleet http://{fleet}");
    tool(&server, &worker, &format!("check --number {NUMBER} {around}"));
    is_answered_and_heard(&worker, sip.sip);
    webhooks.hear("participant_left", Duration::from_secs(5), |event| {
        event.participant.as_ref().is_some_and(|who| who.is_sip())
    });
}

/// What the phone does is right: without LiveKit between, it is answered and heard by the same bot.
#[test]
fn the_same_telephone_is_answered_and_heard_without_livekit() {
    let _turn = one_at_a_time();
    let worker = Worker::start(BOTS, &[]);
    is_answered_and_heard(&worker, worker.sip);
}

fn is_answered_and_heard(worker: &Worker, sip: SocketAddr) {
    let steps = [Step::Echo, Step::Call, Step::Pause(3_000), Step::HangUp];
    let Some(phone) = Sipp::start(worker.directory(), free_port(), NUMBER, sip, &steps) else {
        return;
    };
    phone.finish();
    wait_for("a free slot", Duration::from_secs(2), || (worker.calls() == 0).then_some(()));
    let result = worker.results(1, Duration::from_secs(2)).remove(0);
    assert_eq!(result["disconnected_by"], json!("customer"), "{result}");
    let wav = ears::wav(&worker.recordings(1, Duration::from_secs(5))[0]);
    assert_eq!(wav.channels, 2);
    for (side, name) in ["the caller", "the bot"].into_iter().enumerate() {
        let loudest = wav.samples.iter().skip(side).step_by(2).map(|it| it.unsigned_abs()).max();
        assert!(loudest > Some(1_000), "{name} is silent");
    }
}

fn tool(server: &Server, worker: &Worker, options: &str) {
    let bots = worker.directory().join("bots.toml");
    let mut command = Command::new(binary("voxcore"));
    command.arg("livekit").args(options.split_whitespace());
    command.env_clear().envs(server.environment()).env("VOXCORE_BOTS", bots);
    let output = command.output().expect("voxcore");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "voxcore livekit {options}: {text}");
}
