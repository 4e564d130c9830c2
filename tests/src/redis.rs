//! Redis, where LiveKit keeps its trunks and rules.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::peers::{self, Process};
use crate::wait_for;
use crate::worker::free_port;

/// A running `redis-server` on loopback that keeps nothing.
#[derive(Debug)]
pub struct Redis {
    /// Its process.
    pub process: Process,
    port: u16,
}

impl Redis {
    /// Starts one and waits until it answers; `None` when it is missing.
    ///
    /// # Panics
    /// When it does not answer within 10 s.
    pub fn start() -> Option<Self> {
        let program = peers::find("redis-server")?;
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no"]).stdout(Stdio::null());
        let process = Process::start(&mut command);
        wait_for("redis-server", Duration::from_secs(10), || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
            stream.write_all(b"PING\r\n").ok()?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).ok()?;
            (&answer == b"+PONG\r\n").then_some(())
        });
        Some(Self { process, port })
    }

    /// The line of LiveKit's configuration that names it.
    pub fn for_livekit(&self) -> String {
        format!("redis: {{address: \"127.0.0.1:{}\"}}\n", self.port)
    }
}
