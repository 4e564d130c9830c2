//! Pipecat from PyPI, unmodified, as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::peers::{self, Process};

/// A script of `tests/pipecat` that runs.
#[derive(Debug)]
pub struct Pipecat {
    /// Its process.
    pub process: Process,
}

impl Pipecat {
    /// Starts `script` with these arguments and waits until it is ready; `None` when Pipecat is
    /// missing.
    ///
    /// # Panics
    /// When it is not ready within a minute.
    pub fn start(script: &str, arguments: &[&str]) -> Option<Self> {
        let venv = peers::directory().join("venv");
        let packages = venv.join("lib");
        let installed = std::fs::read_dir(packages).into_iter().flatten().flatten().any(|python| {
            let packages = python.path().join("site-packages");
            ["pipecat", "uvicorn"].iter().all(|name| packages.join(name).is_dir())
        });
        if !installed {
            peers::missing("pipecat-ai (PyPI)");
            return None;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipecat").join(script);
        let mut command = Command::new(venv.join("bin/python"));
        command.arg(path).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let output = process.0.stdout.take().expect("piped");
        let (tell, ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line == "ready" {
                    // Nobody may be waiting any more.
                    let _ = tell.send(());
                }
            }
        });
        ready.recv_timeout(Duration::from_secs(60)).expect("Pipecat starts");
        Some(Self { process })
    }
}
