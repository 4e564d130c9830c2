//! The two workers.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use vox_benches::process_tree::processes;
use vox_tests::livekit::{KEYS, Server};
use vox_tests::peers::Process;
use vox_tests::worker::{TERM, Worker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Vox,
    Python,
}

/// A worker that takes calls.
#[derive(Debug)]
pub(crate) enum Running {
    Vox(Box<Worker>),
    Python(PythonWorker),
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vox => "Vox",
            Self::Python => "livekit-agents",
        }
    }

    /// Starts a fresh worker and waits until it can be given calls.
    pub(crate) fn start(self, server: &Server, calls: usize) -> Result<Running> {
        match self {
            Self::Vox => {
                let capacity = (calls + 1).to_string();
                let mut environment = server.environment().to_vec();
                environment.extend([("MAX_CONCURRENT_CALLS", &*capacity), ("VOXCORE_LOG", "warn")]);
                Ok(Running::Vox(Box::new(Worker::start("", &environment))))
            }
            Self::Python => Ok(Running::Python(PythonWorker::start(server)?)),
        }
    }
}

impl Running {
    pub(crate) fn process_id(&self) -> u32 {
        match self {
            Self::Vox(worker) => worker.process.0.id(),
            Self::Python(worker) => worker.process.0.id(),
        }
    }

    /// What a phone asks for to be answered by this worker.
    pub(crate) fn request(&self) -> Value {
        match self {
            Self::Vox(worker) => {
                let url = format!("http://{}/livekit/dispatch", worker.http);
                json!({"url": url, "secret": "between-services", "bot": "echo"})
            }
            Self::Python(_) => json!({ "agent": AGENT }),
        }
    }
}

/// `tests/livekit/echo_agent.py` and the processes that it keeps.
#[derive(Debug)]
pub(crate) struct PythonWorker {
    process: Process,
}

impl PythonWorker {
    fn start(server: &Server) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/livekit/echo_agent.py");
        let [key, secret] = KEYS;
        let mut command = Command::new(&server.python);
        command.arg(script).arg("start").stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::null()).env("LIVEKIT_URL", &server.url).env("AGENT_NAME", AGENT);
        command.env("LIVEKIT_API_KEY", key).env("LIVEKIT_API_SECRET", secret);
        // It would look for models that nobody uses here.
        command.env("HF_HUB_OFFLINE", "1");
        let mut process = Process::start(&mut command);
        let mut log = BufReader::new(process.0.stdout.take().expect("piped"));
        // A process that is ready is kept for each core; the others come while the worker settles.
        let (mut initialized, mut registered) = (false, false);
        while !registered || !initialized {
            let mut line = String::new();
            ensure!(
                log.read_line(&mut line)? > 0,
                "livekit-agents ended: `./dev test` installs it"
            );
            initialized |= line.contains("process initialized");
            registered |= line.contains("registered worker");
        }
        // Its log goes on; nobody reads it, but a full pipe would hold it up.
        thread::spawn(move || log.lines().map_while(Result::ok).for_each(drop));
        Ok(Self { process })
    }
}

impl Drop for PythonWorker {
    fn drop(&mut self) {
        let tree = processes(self.process.0.id());
        self.process.signal(TERM);
        let limit = Instant::now() + LEAVE_MAX;
        while Instant::now() < limit && matches!(self.process.0.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(50));
        }
        // What it left behind: killed alone, a parent leaves its jobs running.
        for process in tree.iter().skip(1).filter(|process| is_python(**process)) {
            let _ = Command::new("kill").args(["-9", &process.to_string()]).status();
        }
    }
}

fn is_python(process: u32) -> bool {
    let command = std::fs::read_to_string(format!("/proc/{process}/cmdline"));
    command.is_ok_and(|command| command.contains("python"))
}

/// The agent's name, which dispatches ask for.
const AGENT: &str = "echo";
/// To end its jobs in.
const LEAVE_MAX: Duration = Duration::from_secs(15);
