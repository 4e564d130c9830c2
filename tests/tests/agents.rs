//! The examples of `examples/agents`, as their readers would run them, as brains of a real worker.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use vox_tests::peers::{self, Process};
use vox_tests::{caller, ears, one_at_a_time, worker::Worker};

/// PESQ that speech must have after it went to the brain and back, with G.711 on the way.
const CLEAN_MIN: f64 = 4.0;

/// A running example; it is ended with the test.
struct Example {
    _process: Process,
    port: u16,
    lines: Receiver<String>,
}

impl Example {
    fn start(mut command: Command) -> Self {
        command.arg("0").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let output = process.0.stdout.take().expect("piped");
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody may listen any more.
                let _ = tell.send(line);
            }
        });
        let first = lines.recv_timeout(Duration::from_secs(60)).expect("the example starts");
        let port = first.strip_prefix("ready ").and_then(|port| port.parse().ok());
        Self { _process: process, port: port.expect("its port"), lines }
    }

    /// Everything the example was told on its call, up to the last word.
    fn told(&self) -> Vec<Value> {
        let mut told: Vec<Value> = vec![];
        while told.last().is_none_or(|last| last["type"] != "stop") {
            let line = self.lines.recv_timeout(Duration::from_secs(20));
            let line = line.unwrap_or_else(|_| panic!("no goodbye after {told:?}"));
            told.push(serde_json::from_str(&line).expect("JSON"));
        }
        told
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/agents").join(name)
}

fn python() -> Option<Example> {
    let program = peers::directory().join("venv/bin/python");
    let found = Command::new(&program).args(["-c", "import websockets"]).status();
    if !found.is_ok_and(|status| status.success()) {
        peers::missing("websockets (PyPI)");
        return None;
    }
    let mut command = Command::new(program);
    command.arg(example("echo.py"));
    Some(Example::start(command))
}

fn typescript() -> Option<Example> {
    let modules = peers::directory().join("node/node_modules");
    if !modules.join("ws").is_dir() || !modules.join("tsx/dist/cli.mjs").is_file() {
        peers::missing("ws and tsx (npm)");
        return None;
    }
    // Node looks for packages beside the file, so it is run where they are.
    let file = modules.with_file_name("echo.ts");
    std::fs::copy(example("echo.ts"), &file).expect("a copy");
    // In the process of its own: ended with it, nothing is left behind.
    let loader = modules.join("tsx/dist/loader.mjs");
    let mut command = Command::new(peers::find("node")?);
    command.arg("--import").arg(loader).arg(file);
    Some(Example::start(command))
}

fn talks(example: &Example) {
    let bot = format!(
        "[bots.brain]\nagent = {{ kind = \"websocket\", url = \"ws://127.0.0.1:{}/\", protocol = \"vox\", \
         barge_in = {{ enabled = false }} }}\n",
        example.port
    );
    let worker = Worker::start(&bot, &[]);
    let Some(speech) = ears::speech(worker.directory(), 8_000, 10) else { return };
    let say = || (caller::say(&worker, "brain", &speech, &["--codec", "PCMU"]), example.told());
    if let Some((call, _)) = caller::undisturbed(say) {
        let Some(score) = ears::pesq(&speech, &call.heard) else { return };
        let jitter_ms = call.report["jitter_ms"].as_f64().expect("a figure");
        println!("PESQ {:.2}, jitter {jitter_ms} ms", score.pesq);
        assert!(score.pesq >= CLEAN_MIN, "PESQ {:.2} < {CLEAN_MIN}", score.pesq);
        assert_eq!(call.report["lost"], 0);
        assert!(jitter_ms < 5.0, "20 ms apart at the caller, found {jitter_ms} ms of jitter");
    }

    let Some(silence) = ears::speech(worker.directory(), 8_000, 1) else { return };
    let call = caller::say(&worker, "brain", &silence, &["--digits", "9120#", "--tail", "6"]);
    assert_eq!(call.report["hung_up_by_peer"], true, "{}", call.report);
    let told = example.told();
    let kinds: Vec<_> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    assert!(kinds.starts_with(&["connected", "start"]), "{told:?}");
    let digits: String = told.iter().filter_map(|event| event["digit"].as_str()).collect();
    assert_eq!(digits, "9120#");
    let answer = |kind: &str| told.iter().find(|event| event["type"] == kind).cloned();
    assert_eq!(answer("mark").expect("the mark comes back")["name"], "tone");
    assert!(answer("cleared").expect("0 drops what is queued")["played_ms"].is_u64());
    assert_eq!(told.last().expect("a last word")["reason"], "call_ended");
}

#[test]
fn the_python_example_holds_a_conversation() {
    let _turn = one_at_a_time();
    if let Some(example) = python() {
        talks(&example);
    }
}

#[test]
fn the_typescript_example_holds_a_conversation() {
    let _turn = one_at_a_time();
    if let Some(example) = typescript() {
        talks(&example);
    }
}
