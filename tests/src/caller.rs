//! `vox call` as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::capture::Capture;
use crate::worker::{Worker, binary};

/// A call and what came of it.
#[derive(Debug)]
pub struct Call {
    /// The caller's report.
    pub report: Value,
    /// What was heard.
    pub heard: PathBuf,
}

impl Call {
    /// Whether this machine was too busy to hold one call in real time: no verdict about quality
    /// then.
    pub fn was_disturbed(&self) -> bool {
        self.report["send_lateness_max_ms"].as_f64().is_none_or(|late| late > LATENESS_MAX_MS)
    }
}

/// A packet that leaves later than this was held up by the machine, not by the network.
const LATENESS_MAX_MS: f64 = 8.0;
/// Attempts at a call that nothing disturbs.
const ATTEMPTS: usize = 5;

/// Repeats `call` until the machine left it alone; `None`, said loudly, when it never did: then
/// there is no verdict.
pub fn undisturbed<T>(mut call: impl FnMut() -> (Call, T)) -> Option<(Call, T)> {
    for attempt in 1..=ATTEMPTS {
        let (heard, rest) = call();
        if !heard.was_disturbed() {
            return Some((heard, rest));
        }
        eprintln!(
            "attempt {attempt}: this machine held packets up for {} ms",
            heard.report["send_lateness_max_ms"]
        );
    }
    eprintln!("NO VERDICT: this machine is too busy to hold one call in real time");
    None
}

/// A command that calls `user` at `worker`, to be given more arguments.
pub fn command(worker: &Worker, user: &str) -> Command {
    let mut command = Command::new(binary("vox"));
    command.args(["call", &worker.uri(user)]);
    command
}

/// Says `speech` to `user` and reports.
///
/// # Panics
/// When the call fails.
pub fn say(worker: &Worker, user: &str, speech: &Path, arguments: &[&str]) -> Call {
    let heard =
        worker.directory().join(format!("heard-{}.wav", arguments.join("-").replace('/', "_")));
    let output = command(worker, user)
        .arg("--play")
        .arg(speech)
        .arg("--record")
        .arg(&heard)
        .arg("--json")
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("vox call runs");
    assert!(output.status.success(), "vox call {user} {arguments:?} failed");
    let report = serde_json::from_slice(&output.stdout).expect("a JSON report");
    Call { report, heard }
}

/// Calls several users at the same time, each with arguments of its own, and gives what each caller
/// reported and captured.
///
/// # Panics
/// When a call fails.
pub fn capture_all(worker: &Worker, calls: &[(String, Vec<String>)]) -> Vec<(Value, Capture)> {
    let path = |user: &str| worker.directory().join(format!("{user}.pcap"));
    let place = |(user, arguments): &(String, Vec<String>)| {
        let mut command = command(worker, user);
        command.args(["--codec", "PCMU", "--json", "--capture"]).arg(path(user)).args(arguments);
        command.stdout(Stdio::piped()).spawn().expect("vox call runs")
    };
    let children: Vec<_> = calls.iter().map(place).collect();
    let ended = calls.iter().zip(children).map(|((user, arguments), child)| {
        let output = child.wait_with_output().expect("a child");
        assert!(output.status.success(), "vox call {user} {arguments:?} failed");
        let report = serde_json::from_slice(&output.stdout).expect("a JSON report");
        (report, Capture::read(&path(user)))
    });
    ended.collect()
}
