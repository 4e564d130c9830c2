//! What a crash of the worker leaves of its calls.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use vox_tests::peers::Process;
use vox_tests::worker::{Worker, files};
use vox_tests::{caller, ears, one_at_a_time, wait_for};

const CALLS: usize = 2;

fn events(result: &Value) -> Vec<&str> {
    let events = result["events"].as_array().expect("events").iter();
    events.filter_map(|event| event["event"].as_str()).collect()
}

#[test]
fn a_worker_that_is_killed_in_mid_call_delivers_results_and_recordings_at_its_next_start() {
    let _turn = one_at_a_time();
    let mut worker = Worker::start("", &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 60) else { return };
    let call = || {
        let mut command = caller::command(&worker, "echo");
        command.arg("--play").arg(&speech).args(["--codec", "PCMU"]);
        Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
    };
    let _callers: Vec<_> = (0..CALLS).map(|_| call()).collect();
    let spool = worker.directory().join("spool/active");
    wait_for("two seconds of each call on disk", Duration::from_secs(20), || {
        let long = |path: &std::path::PathBuf| {
            std::fs::metadata(path).is_ok_and(|file| file.len() > 2 * 8_000 * 4)
        };
        (files(&spool, "wav").iter().filter(|path| long(path)).count() == CALLS).then_some(())
    });
    let notes = worker.directory().join("outbox/open");
    assert_eq!(files(&notes, "json").len(), CALLS);
    worker.crash_and_restart();

    let results = worker.results(CALLS, Duration::from_secs(5));
    let recordings = worker.recordings(CALLS, Duration::from_secs(10));
    assert_eq!((results.len(), recordings.len()), (CALLS, CALLS));
    for result in &results {
        assert_eq!(result["disconnected_by"], "error", "{result}");
        assert_eq!(events(result), ["worker_crashed"]);
        assert_eq!(result["pipeline_config"]["dialed"], "echo", "{result}");
        let key = result["recording_key"].as_str().expect("a recording");
        let path = worker.directory().join("recordings").join(key);
        let seconds = result["call_duration_seconds"].as_f64().expect("a duration");
        let bytes = std::fs::metadata(&path).expect("the recording").len();
        let recorded = (bytes - 44) as f64 / 4.0 / 8_000.0;
        assert!(
            seconds >= 2.0 && (recorded - seconds).abs() < 0.001,
            "{recorded} s of {seconds} s"
        );
        // The header lags behind by a second at most.
        let wav = ears::wav(&path);
        assert!(wav.frames() as f64 / 8_000.0 >= recorded - 1.0, "{} frames", wav.frames());
    }
    assert_eq!(worker.calls(), 0);
    let crashed = worker.metric("vox_calls_ended_total{reason=\"worker_crashed\"");
    assert_eq!(crashed, Some(CALLS as f64));
    assert!(files(&notes, "json").is_empty());

    worker.crash_and_restart();
    assert_eq!(worker.results(CALLS, Duration::from_secs(5)), results, "written once");
    assert_eq!(worker.metric("vox_calls_ended_total{reason=\"worker_crashed\""), Some(0.0));
}
