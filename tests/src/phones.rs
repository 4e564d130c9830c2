//! Many telephones in LiveKit's rooms: processes that hold several of them, told what to do line by
//! line (`livekit/phones.py`).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::livekit::Server;
use crate::peers::Process;
use crate::wait_for;

/// Telephones, spread over some processes.
#[derive(Debug)]
pub struct Phones {
    lines: Vec<Line>,
    /// The process that holds a call.
    calls: HashMap<String, usize>,
    events: Arc<Mutex<Vec<Value>>>,
}

#[derive(Debug)]
struct Line {
    process: Process,
    input: Option<ChildStdin>,
    reading: Option<JoinHandle<()>>,
}

impl Phones {
    /// Starts `processes` of them for the rooms of `server`, without a telephone yet.
    pub fn start(server: &Server, processes: usize) -> Self {
        let events = Arc::new(Mutex::new(vec![]));
        let lines = (0..processes).map(|_| Line::start(server, events.clone())).collect();
        Self { lines, calls: HashMap::new(), events }
    }

    /// A call as `phones.py` describes it; `order` names it under `call`.
    ///
    /// # Panics
    /// When the process is gone, or the call has no name.
    pub fn call(&mut self, order: &Value) {
        let name = order["call"].as_str().expect("a name");
        let held = |at: &usize| self.calls.values().filter(|held| *held == at).count();
        let line = (0..self.lines.len()).min_by_key(held).expect("a process");
        self.calls.insert(name.to_owned(), line);
        self.lines[line].tell(order);
    }

    /// Has a call hang up, and forgets it.
    ///
    /// # Panics
    /// When there never was one.
    pub fn end(&mut self, call: &str) {
        let line = self.calls.remove(call).expect("a call");
        self.lines[line].tell(&json!({ "end": call }));
    }

    /// What has been said so far, in order of each process.
    pub fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What has been said since the last time that this was asked.
    pub fn take_events(&self) -> Vec<Value> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `call` says `event`.
    ///
    /// # Panics
    /// When it does not within `limit`, or fails.
    pub fn wait_for(&self, call: &str, event: &str, limit: Duration) -> Value {
        wait_for(&format!("{call} to be {event}"), limit, || {
            let events = self.events();
            let mut of_call = events.into_iter().filter(|said| said["call"] == call);
            of_call.find(|said| {
                assert!(said["event"] != "failed", "{said}");
                said["event"] == event
            })
        })
    }

    /// The processes.
    pub fn process_ids(&self) -> Vec<u32> {
        self.lines.iter().map(|line| line.process.0.id()).collect()
    }

    /// Has all hang up and waits for it; what was said and not taken.
    ///
    /// # Panics
    /// When a process does not end well.
    pub fn finish(mut self) -> Vec<Value> {
        for line in &mut self.lines {
            line.input = None;
        }
        for line in &mut self.lines {
            let status = line.process.0.wait().expect("a child");
            assert!(status.success(), "telephones end with {status}");
            line.reading.take().expect("once").join().expect("the reader");
        }
        self.take_events()
    }
}

impl Line {
    fn start(server: &Server, events: Arc<Mutex<Vec<Value>>>) -> Self {
        let mut command = server.script("phones.py");
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let output = BufReader::new(process.0.stdout.take().expect("piped"));
        let reading = thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        });
        let input = process.0.stdin.take();
        Self { process, input, reading: Some(reading) }
    }

    fn tell(&mut self, line: &Value) {
        let input = self.input.as_mut().expect("not finished");
        writeln!(input, "{line}").expect("telephones that listen");
    }
}
