//! A Vox worker as a process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::peers::Process;
use crate::wait_for;

/// `SIGKILL`: a crash.
pub const KILL: i32 = 9;

/// `SIGTERM`: drain.
pub const TERM: i32 = 15;

/// A running `vox up`, with a directory of its own.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub process: Process,
    /// Where it listens for SIP.
    pub sip: SocketAddr,
    /// Where it listens for HTTP.
    pub http: SocketAddr,
    directory: TempDir,
    command: Command,
}

impl Worker {
    /// Starts one and waits until it answers. `bots` is the text of a `bots.toml` (the built-in
    /// bots when empty); `environment` is added to its own.
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn start(bots: &str, environment: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let (sip, http) = (free_port(), free_port());
        let mut command = Command::new(binary("vox"));
        command.arg("up").arg("--dir").arg(directory.path());
        command.args(["--sip-port", &sip.to_string(), "--http-port", &http.to_string()]);
        if !bots.is_empty() {
            let path = directory.path().join("bots.toml");
            std::fs::write(&path, bots).expect("bots.toml");
            command.arg("--bots").arg(path);
        }
        // What can be called, for people; what goes wrong it says on stderr.
        command.envs(environment.iter().copied()).stdout(Stdio::null());
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut worker = Self {
            process: Process::start(&mut command),
            sip: local(sip),
            http: local(http),
            directory,
            command,
        };
        worker.wait_until_it_answers();
        worker
    }

    /// Kills it, as a crash would, and starts it again in the same directory.
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn crash_and_restart(&mut self) {
        self.process.signal(KILL);
        self.process.0.wait().expect("a child");
        self.process = Process::start(&mut self.command);
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        wait_for("vox up to answer", Duration::from_secs(20), || {
            let exited = self.process.0.try_wait().expect("a child");
            assert!(exited.is_none(), "vox up ended at once: {exited:?}");
            self.get("/health")
        });
    }

    /// `sip:user@…` of this worker.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.sip)
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The body of a 200 to `GET path`.
    pub fn get(&self, path: &str) -> Option<String> {
        http_get(self.http, path)
    }

    /// Calls it holds now.
    pub fn calls(&self) -> u64 {
        let health: Value =
            serde_json::from_str(&self.get("/health").expect("/health")).expect("JSON");
        health["worker_calls"].as_u64().expect("worker_calls")
    }

    /// One series of `/metrics`, by the start of its line.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics")?;
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits for `count` results in the results directory.
    pub fn results(&self, count: usize, limit: Duration) -> Vec<Value> {
        wait_for(&format!("{count} results"), limit, || {
            let results = self.json_files("results");
            (results.len() >= count).then_some(results)
        })
    }

    /// Waits for `count` recordings in the store.
    pub fn recordings(&self, count: usize, limit: Duration) -> Vec<PathBuf> {
        let directory = self.directory().join("recordings");
        wait_for(&format!("{count} recordings"), limit, || {
            let files = files(&directory, "wav");
            (files.len() >= count).then_some(files)
        })
    }

    fn json_files(&self, name: &str) -> Vec<Value> {
        let texts = files(&self.directory().join(name), "json").into_iter().map(std::fs::read);
        texts.filter_map(|text| serde_json::from_slice(&text.ok()?).ok()).collect()
    }
}

/// A `GET` by hand; `None` unless the answer is a 200.
pub fn http_get(address: SocketAddr, path: &str) -> Option<String> {
    let (status, body) = http(address, &format!("GET {path} HTTP/1.1\r\n"), "")?;
    (status == 200).then_some(body)
}

/// A `POST` of JSON by hand, with these header lines; status and body.
pub fn http_post(address: SocketAddr, path: &str, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n"
    );
    http(address, &head, body).expect("an HTTP answer")
}

fn http(address: SocketAddr, head: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "{head}Host: vox\r\nConnection: close\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Files in `directory` with this extension, sorted; empty when it does not exist.
pub fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// A binary of this workspace, built by the same profile as the test, or the bench, that asks.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a path of our own");
    // target/PROFILE/deps/test, or target/PROFILE/bench.
    let mut folders = own.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| {
        let path = folder.join(name);
        path.is_file().then_some(path)
    });
    found.unwrap_or_else(|| panic!("{name} is not built: run `cargo build --workspace --bins`"))
}

/// A port that is free for UDP and TCP right now, from the kernel.
pub fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP port");
        let port = udp.local_addr().expect("bound").port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
