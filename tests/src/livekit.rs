//! LiveKit's own server, and a telephone in its rooms: the Python SDK with a SIP token.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::{self, Process};
use crate::wait_for;
use crate::worker::{free_port, http_get, http_post};

/// Key and secret that server, worker and telephone share.
pub const KEYS: [&str; 2] = ["devkey", "secret-of-32-or-more-characters-xxxx"];

/// A running `livekit-server` on loopback.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Where it is signalled to.
    pub url: String,
    address: SocketAddr,
    /// A Python that has LiveKit's SDKs.
    pub python: PathBuf,
    command: Command,
    _directory: TempDir,
}

/// A telephone in a room.
#[derive(Debug)]
pub struct Phone {
    process: Process,
    output: BufReader<ChildStdout>,
    events: Vec<Value>,
    /// What it heard, once it has hung up.
    pub heard: PathBuf,
}

impl Server {
    /// Starts one and waits until it answers; `None` when it, or the SDK, is missing.
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// [`start`](Self::start), with webhooks to `url`.
    pub fn with_webhook(url: &str) -> Option<Self> {
        let [key, _] = KEYS;
        Self::start_with(&format!("webhook: {{api_key: {key}, urls: [\"{url}\"]}}\n"))
    }

    /// [`start`](Self::start), with these lines in its configuration besides.
    pub fn start_with(lines: &str) -> Option<Self> {
        let program = peers::find("livekit-server")?;
        let python = peers::directory().join("livekit-venv/bin/python");
        if !python.is_file() {
            peers::missing("livekit (PyPI)");
            return None;
        }
        let directory = TempDir::new().expect("a temporary directory");
        let (port, udp, stun) = (free_port(), free_port(), free_port());
        let [key, secret] = KEYS;
        let config = format!(
            "port: {port}\nbind_addresses: [127.0.0.1]\nkeys: {{{key}: {secret}}}\n\
             rtc: {{udp_port: {udp}, tcp_port: 0, node_ip: 127.0.0.1, use_external_ip: false, \
             enable_loopback_candidate: true, use_ice_lite: true, interfaces: {{includes: [lo]}}, \
             stun_servers: [\"127.0.0.1:{stun}\"]}}\nlogging: {{level: warn}}\n{lines}"
        );
        let path = directory.path().join("livekit.yaml");
        std::fs::write(&path, config).expect("livekit.yaml");
        let mut command = Command::new(program);
        command.arg("--config").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until_it_answers(address);
        let url = format!("ws://{address}");
        Some(Self { process, url, address, python, command, _directory: directory })
    }

    /// Kills it, and starts it again: it knows of no room then.
    pub fn restart(&mut self) {
        // The old one is killed when it is replaced, and its ports have to be free before.
        self.process.end();
        self.process = Process::start(&mut self.command);
        wait_until_it_answers(self.address);
    }

    /// A worker's environment for this server.
    pub fn environment(&self) -> [(&str, &str); 4] {
        let [key, secret] = KEYS;
        [
            ("LIVEKIT_URL", &self.url),
            ("LIVEKIT_API_KEY", key),
            ("LIVEKIT_API_SECRET", secret),
            ("VOXCORE_SECRET", "between-services"),
        ]
    }

    /// What the server's API says to `method` (`SIP/ListSIPInboundTrunk`), asked by somebody who
    /// may do everything.
    ///
    /// # Panics
    /// When it refuses.
    pub fn api(&self, method: &str, body: &Value) -> Value {
        let token = token(json!({
            "sip": {"admin": true, "call": true},
            "video": {
                "roomList": true, "roomCreate": true, "roomAdmin": true, "room": body["room"],
            },
        }));
        let header = format!("Authorization: Bearer {token}\r\n");
        let path = format!("/twirp/livekit.{method}");
        let (status, answer) = http_post(self.address(), &path, &header, &body.to_string());
        assert_eq!(status, 200, "{method}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Has a telephone wait in `room` that will say `speech` (48 kHz).
    ///
    /// # Panics
    /// When it is not there within a minute.
    pub fn call(&self, room: &str, speech: &Path, arguments: &[&str]) -> Phone {
        let heard = speech.with_file_name(format!("heard-{room}.wav"));
        let mut command = self.script("phone.py");
        command.arg(room).arg(speech).arg(&heard).args(arguments);
        let mut phone = Phone::start(command, heard);
        phone.wait_for("joined");
        phone
    }

    /// Has `runs` people wait in rooms, one after the other; see `callees.py`.
    pub fn callees(&self, name: &str, identity: &str, runs: usize) -> Phone {
        let mut command = self.script("callees.py");
        command.args([name, identity, &runs.to_string()]);
        Phone::start(command, PathBuf::new())
    }

    /// One of the Python scripts, told where the server is and its keys.
    pub(crate) fn script(&self, name: &str) -> Command {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("livekit").join(name);
        let mut command = Command::new(&self.python);
        let [key, secret] = KEYS;
        command.env("LIVEKIT_API_KEY", key).env("LIVEKIT_API_SECRET", secret);
        command.arg(path).arg(&self.url);
        command
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the server give `room`'s callers to workers that are registered as `agent_name`.
    ///
    /// # Panics
    /// When it does not.
    pub fn create_dispatch(&self, room: &str, agent_name: &str, metadata: &str) {
        self.dispatch(&[room, agent_name, metadata]);
    }

    /// Ends `room`'s dispatches, and the jobs that came of them.
    ///
    /// # Panics
    /// When it does not.
    pub fn delete_dispatches(&self, room: &str) {
        self.dispatch(&[room]);
    }

    fn dispatch(&self, arguments: &[&str]) {
        let mut command = self.script("dispatch.py");
        let status = command.args(arguments).stdin(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "dispatch.py {arguments:?}");
    }
}

fn wait_until_it_answers(address: SocketAddr) {
    wait_for("livekit-server", Duration::from_secs(20), || http_get(address, "/"));
}

impl Phone {
    fn start(mut command: Command, heard: PathBuf) -> Self {
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let output = BufReader::new(process.0.stdout.take().expect("piped"));
        Self { process, output, events: Vec::new(), heard }
    }

    /// Waits until it says that this has happened, and gives what it says.
    ///
    /// # Panics
    /// When it ends before.
    pub fn wait_for(&mut self, event: &str) -> Value {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("the telephone speaks");
            assert!(read > 0, "the telephone ends without {event:?}: {:?}", self.events);
            let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
            self.events.push(said.clone());
            if said["event"] == event {
                return said;
            }
        }
    }

    /// Waits until it has hung up; what it says happened.
    pub fn ended(mut self) -> (Vec<Value>, PathBuf) {
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("text");
        let status = self.process.0.wait().expect("a child");
        assert!(status.success(), "the telephone ends with {status}: {text}");
        self.events.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
        (self.events, self.heard)
    }
}

/// What the server lets its holder do for a minute.
pub(crate) fn token(mut claims: Value) -> String {
    let [key, secret] = KEYS;
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
    claims["iss"] = key.into();
    claims["exp"] = (now + 60).into();
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

/// Whether this process has the network that WebRTC clients want: an interface besides loopback
/// that is up. Runs the test `name` again in a network of its own when it has not.
///
/// # Panics
/// When the test fails there.
pub fn has_network(name: &str) -> bool {
    is_connected() || own_network(name)
}

/// Whether this process has a network of its own, whose rules it may change. Runs the test `name`
/// again in one when it has not.
///
/// # Panics
/// When the test fails there.
pub fn own_network(name: &str) -> bool {
    if std::env::var_os(OWN_NETWORK).is_some() {
        return true;
    }
    let status = run_again(["--exact", name, "--nocapture"]);
    assert!(status.success(), "{name} in a network of its own: {status}");
    false
}

/// Runs this program again, with these arguments, in a network of its own; `None` when it has a
/// network that WebRTC clients can use.
pub fn in_own_network(
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Option<ExitStatus> {
    let has_one = std::env::var_os(OWN_NETWORK).is_some() || is_connected();
    (!has_one).then(|| run_again(arguments))
}

/// Whether an interface besides loopback is up.
fn is_connected() -> bool {
    let is_up = |entry: std::fs::DirEntry| -> bool {
        let flags = std::fs::read_to_string(entry.path().join("flags")).unwrap_or_default();
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
        entry.file_name() != "lo" && flags & 1 == 1
    };
    std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten().any(is_up)
}

fn run_again(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> ExitStatus {
    let set_up = "ip link set lo up && ip link add v0 type veth peer name v1 && \
                  ip addr add 192.0.2.1/24 dev v0 && ip link set v0 up && ip link set v1 up && \
                  exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", set_up, "sh"])
        .arg(std::env::current_exe().expect("a path of our own"))
        .args(arguments)
        .env(OWN_NETWORK, "1")
        .status();
    status.expect("unshare runs")
}

/// Set where [`run_again`] has made one.
const OWN_NETWORK: &str = "VOX_TEST_NETWORK";
