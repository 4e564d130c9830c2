//! A worker as a server to be measured.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use vox_tests::worker::free_port;

use crate::process::Process;

/// Whom a worker's callers may call: `echo`, `record`, and `vox` and `twilio`, whose brains listen at
/// the port to be put for `PORT`; it may stay where nobody calls these.
pub const BOTS: &str = include_str!("bots.toml");

/// A running `vox up`.
#[derive(Debug)]
pub struct Worker {
    /// All of it runs on one core.
    pub process: Process,
    /// Where it takes calls.
    pub sip: SocketAddr,
    /// Where its pages are: `/health`, `/metrics`.
    pub http: SocketAddr,
}

impl Worker {
    /// Starts `program` on `core` with room for so many calls, all it keeps in `directory`, and waits
    /// until it answers. `bots` is the text of its `bots.toml`.
    pub fn start(
        program: &Path,
        core: usize,
        directory: &Path,
        bots: &str,
        calls: usize,
    ) -> Result<Self> {
        let (sip, http) = (free_port(), free_port());
        let path = directory.join("bots.toml");
        std::fs::write(&path, bots)?;
        let env = format!("MAX_CONCURRENT_CALLS={}", calls + 1);
        let args: Vec<String> = [
            &env,
            // Each call's beginning and end are no news here.
            "VOXCORE_LOG=warn",
            &program.display().to_string(),
            "up",
            "--dir",
            &directory.display().to_string(),
            "--bots",
            &path.display().to_string(),
            "--sip-port",
            &sip.to_string(),
            "--http-port",
            &http.to_string(),
        ]
        .map(str::to_owned)
        .into();
        let mut process = Process::start_program(core, Path::new("env"), &args)?;
        // It says what can be called once it takes calls.
        process.line()?;
        let answers = || TcpStream::connect((Ipv4Addr::LOCALHOST, http)).is_ok();
        let limit = Instant::now() + START_MAX;
        while !answers() {
            ensure!(Instant::now() < limit, "the worker does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        let [sip, http] = [sip, http].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Ok(Self { process, sip, http })
    }
}

const START_MAX: Duration = Duration::from_secs(10);
