//! Two hundred callers at once, by SIPp.

use std::process::{Command, Stdio};
use std::time::Duration;

use vox_tests::worker::{Worker, files, free_port};
use vox_tests::{ears, one_at_a_time, peers, wait_for};

const CALLS: usize = 200;
/// New calls per second while the load builds up.
const CALLS_PER_SECOND: usize = 20;
const HOLD: Duration = Duration::from_secs(60);
/// How far a recording's length may be from the call's.
const LENGTH_TOLERANCE_S: f64 = 0.040;

#[test]
fn two_hundred_calls_at_once_end_well_and_leave_nothing_behind() {
    let _turn = one_at_a_time();
    let Some(sipp) = peers::find("sipp") else { return };
    let worker = Worker::start("", &[("MAX_CONCURRENT_CALLS", "250")]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 60) else { return };
    let Some(scenario) = scenario(&worker, &speech) else { return };
    let descriptors = open_descriptors(worker.process.0.id());

    let status = Command::new(sipp)
        .arg(worker.sip.to_string())
        .args(["-sf", &scenario, "-s", "echo", "-i", "127.0.0.1", "-mi", "127.0.0.1"])
        .args(["-p", &free_port().to_string(), "-mp", "42000"])
        .args([
            "-m",
            &CALLS.to_string(),
            "-l",
            &CALLS.to_string(),
            "-r",
            &CALLS_PER_SECOND.to_string(),
        ])
        .args([
            "-d",
            &HOLD.as_millis().to_string(),
            "-timeout",
            "150",
            "-timeout_error",
            "-nostdin",
        ])
        .current_dir(worker.directory())
        .stdout(Stdio::null())
        .status()
        .expect("sipp runs");
    assert!(status.success(), "SIPp counts a failed call: {status}");

    let results = worker.results(CALLS, Duration::from_secs(30));
    let recordings = worker.recordings(CALLS, Duration::from_secs(60));
    for result in &results {
        assert_eq!(result["disconnected_by"], "customer", "{result}");
        assert_eq!(result["media"]["lost"], 0, "{result}");
    }
    for path in &recordings {
        let key = path.file_name().expect("a file").to_string_lossy().into_owned();
        let result =
            results.iter().find(|result| result["recording_key"] == *key).expect("its result");
        let wav = ears::wav(path);
        let seconds = wav.samples.len() as f64 / f64::from(wav.channels) / f64::from(wav.rate_hz);
        let expected = result["call_duration_seconds"].as_f64().expect("a duration");
        assert!(
            (seconds - expected).abs() <= LENGTH_TOLERANCE_S,
            "{key}: {seconds} s, call {expected} s"
        );
    }
    assert_eq!(worker.metric("vox_engine_calls"), Some(0.0));
    assert_eq!(worker.metric("vox_ports_used"), Some(0.0));
    assert_eq!(worker.metric("vox_receive_buffers_held"), Some(0.0));
    assert_eq!(files(&worker.directory().join("spool"), "wav").len(), 0);
    wait_for("descriptors to be back", Duration::from_secs(10), || {
        (open_descriptors(worker.process.0.id()) <= descriptors + 2).then_some(())
    });
}

/// The scenario with raw A-law speech in place.
fn scenario(worker: &Worker, speech: &std::path::Path) -> Option<String> {
    let sox = peers::find("sox")?;
    let raw = worker.directory().join("speech.al");
    let status = Command::new(sox).arg(speech).args(["-t", "al", "-r", "8000"]).arg(&raw).status();
    assert!(status.is_ok_and(|status| status.success()), "sox made no A-law");
    let text = include_str!("../sipp/uac-g711.xml").replace("SPEECH", &raw.to_string_lossy());
    let path = worker.directory().join("uac.xml");
    std::fs::write(&path, text).expect("the scenario");
    Some(path.to_string_lossy().into_owned())
}

fn open_descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("a live process").count()
}
