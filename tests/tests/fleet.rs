//! The fleet's health under load: fast, and byte for byte as its consumers match it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vox_tests::worker::{Worker, free_port};
use vox_tests::{ears, one_at_a_time, peers, wait_for};

const CALLS: u64 = 200;
const ASKED: usize = 300;

#[test]
fn fleet_health_is_exact_with_two_hundred_calls() {
    let _turn = one_at_a_time();
    let Some(sipp) = peers::find("sipp") else { return };
    let worker = Worker::start("", &[("MAX_CONCURRENT_CALLS", "250")]);
    if ears::speech(worker.directory(), 8_000, 10).is_none() {
        return;
    }
    let mut command = Command::new(sipp);
    command
        .arg(worker.sip.to_string())
        .args(["-sn", "uac", "-s", "echo", "-i", "127.0.0.1", "-p", &free_port().to_string()])
        .args(["-m", &CALLS.to_string(), "-l", &CALLS.to_string(), "-r", "50", "-d", "12000"])
        .args(["-timeout", "60", "-nostdin"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _load = peers::Process::start(&mut command);
    wait_for("200 calls", Duration::from_secs(15), || (worker.calls() == CALLS).then_some(()));

    let pid = worker.process.0.id();
    let expected = format!(
        "{{\"status\":\"ok\",\"fleet_calls\":200,\"fleet_max\":250,\"fleet_available\":50,\
         \"workers\":[{{\"id\":\"1\",\"calls\":200,\"max\":250,\"pid\":{pid}}}]}}"
    );
    let mut times: Vec<Duration> = (0..ASKED)
        .map(|_| {
            let asked = Instant::now();
            let body = worker.get("/health/fleet").expect("a 200");
            let took = asked.elapsed();
            assert_eq!(body, expected);
            took
        })
        .collect();
    times.sort();
    // A figure for the report, not a verdict: a slow machine must not fail a test.
    println!(
        "/health/fleet with {CALLS} calls: p50 {:?}, p99 {:?}",
        times[ASKED / 2],
        times[ASKED * 99 / 100]
    );
}
