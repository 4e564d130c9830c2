//! `vox call` as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::worker::{Worker, binary};

/// A call and what came of it.
#[derive(Debug)]
pub struct Call {
    /// The caller's report.
    pub report: Value,
    /// What was heard.
    pub heard: PathBuf,
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
