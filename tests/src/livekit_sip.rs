//! livekit-sip, where `LIVEKIT_SIP_BIN` names one: no registry that tests install from has it.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::livekit::{KEYS, Server};
use crate::peers::Process;
use crate::redis::Redis;
use crate::wait_for;
use crate::worker::{free_port, http_get};

/// A running `livekit-sip` beside a server, with its Redis.
#[derive(Debug)]
pub struct LivekitSip {
    /// Its process.
    pub process: Process,
    /// Where it listens for SIP. Not on loopback: its WebRTC side would find no candidates there.
    pub sip: SocketAddr,
    /// Where it says how it is.
    pub health: SocketAddr,
}

impl LivekitSip {
    /// Starts the one that `LIVEKIT_SIP_BIN` names and waits until it is healthy; `None` (said on
    /// stderr) when none is named.
    ///
    /// # Panics
    /// When it is not healthy within 20 s.
    pub fn start(server: &Server, redis: &Redis, directory: &Path) -> Option<Self> {
        let Some(program) = std::env::var_os("LIVEKIT_SIP_BIN") else {
            eprintln!("SKIPPED: LIVEKIT_SIP_BIN names no livekit-sip, and no registry has one");
            return None;
        };
        let ip = own_address().ip();
        let (sip, health, rtp) = (free_port(), free_port(), 30_000);
        let [key, secret] = KEYS;
        let config = format!(
            "api_key: {key}\napi_secret: {secret}\nws_url: {}\n{}sip_port: {sip}\n\
             rtp_port: {rtp}-{}\nlisten_ip: {ip}\nnat_1_to_1_ip: {ip}\nuse_external_ip: false\n\
             health_port: {health}\nmax_cpu_utilization: 1\nlogging: {{level: warn}}\n",
            server.url,
            redis.for_livekit(),
            rtp + 100
        );
        let path = directory.join("livekit-sip.yaml");
        std::fs::write(&path, config).expect("livekit-sip.yaml");
        let mut command = Command::new(program);
        command.arg("--config").arg(&path).stdout(Stdio::null());
        let process = Process::start(&mut command);
        let health = SocketAddr::from(([127, 0, 0, 1], health));
        wait_for("livekit-sip", Duration::from_secs(20), || http_get(health, "/"));
        Some(Self { process, sip: SocketAddr::new(ip, sip), health })
    }
}

/// This machine's, where it would send to elsewhere from. Nothing is sent.
fn own_address() -> SocketAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket.connect("192.0.2.2:9").expect("a way to elsewhere");
    socket.local_addr().expect("bound")
}
