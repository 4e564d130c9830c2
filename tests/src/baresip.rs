//! baresip, driven over its control socket.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::{self, Process};
use crate::wait_for;
use crate::worker::{files, free_port};

/// A running baresip with one account, that says what a WAV holds.
#[derive(Debug)]
pub struct Baresip {
    control: TcpStream,
    /// Bytes of the control socket that make no whole message yet.
    buffer: Vec<u8>,
    /// What it told that nobody waited for yet.
    events: Vec<Value>,
    _process: Process,
    directory: TempDir,
}

impl Baresip {
    /// Starts one that offers `codec` alone (`opus/48000/2`, `PCMU/8000/1`, …) and says `speech`;
    /// `None` when baresip or its modules are missing.
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn start(codec: &str, speech: &Path) -> Option<Self> {
        Self::start_at(two_free_ports(), codec, speech)
    }

    /// The same at this port (see [`two_free_ports`]). It answers when it is called.
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn start_at(sip: u16, codec: &str, speech: &Path) -> Option<Self> {
        let program = peers::find("baresip")?;
        let modules = Path::new("/usr/lib/baresip/modules");
        if !modules.is_dir() {
            peers::missing("baresip's modules in /usr/lib/baresip/modules");
            return None;
        }
        let directory = TempDir::new().expect("a temporary directory");
        let control = free_port();
        let write = |name: &str, text: String| {
            std::fs::write(directory.path().join(name), text).expect("baresip's configuration");
        };
        write("config", config(modules, sip, control, speech, directory.path()));
        let account =
            format!("<sip:al@127.0.0.1:{sip}>;regint=0;answermode=auto;audio_codecs={codec}\n");
        write("accounts", account);
        write("contacts", String::new());
        let mut command = Command::new(program);
        command.arg("-f").arg(directory.path()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command);
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, control));
        let control = wait_for("baresip", Duration::from_secs(20), || TcpStream::connect(at).ok());
        control.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
        let (buffer, events) = (Vec::new(), Vec::new());
        Some(Self { control, buffer, events, _process: process, directory })
    }

    /// Runs one of baresip's commands: `dial`, `hold`, `resume`, `sndcode`, `hangup`.
    ///
    /// # Panics
    /// When it is refused.
    pub fn command(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters }).to_string();
        let framed = format!("{}:{text},", text.len());
        self.control.write_all(framed.as_bytes()).expect("baresip listens");
        let answer = self.wait(|message| message["response"] == true, command);
        assert_eq!(answer["ok"], true, "{command} {parameters}: {answer}");
    }

    /// The WAV of what it heard, once it has heard something; complete some time after the call.
    pub fn heard(&self) -> Option<PathBuf> {
        let files = files(self.directory.path(), "wav");
        files.into_iter().find(|file| file.to_string_lossy().ends_with("-dec.wav"))
    }

    /// Waits for an event of this type; it is not seen again.
    pub fn event(&mut self, kind: &str) -> Value {
        self.wait(|message| message["type"] == kind, kind)
    }

    fn wait(&mut self, wanted: impl Fn(&Value) -> bool, what: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.events.iter().position(&wanted) {
                return self.events.remove(at);
            }
            assert!(Instant::now() < deadline, "no {what}; baresip told {:?}", self.events);
            self.read();
        }
    }

    /// Reads what is there: JSON in netstrings (`LEN:TEXT,`).
    fn read(&mut self) {
        let mut piece = [0; 4096];
        match self.control.read(&mut piece) {
            Ok(0) => panic!("baresip is gone; it told {:?}", self.events),
            Ok(len) => self.buffer.extend_from_slice(&piece[..len]),
            Err(error) => {
                let waits =
                    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                assert!(waits, "baresip: {error}");
            }
        }
        while let Some((message, rest)) = netstring(&self.buffer) {
            self.events.push(message);
            self.buffer.drain(..rest);
        }
    }
}

fn netstring(buffer: &[u8]) -> Option<(Value, usize)> {
    let colon = buffer.iter().position(|&b| b == b':')?;
    let len: usize = std::str::from_utf8(&buffer[..colon]).ok()?.parse().ok()?;
    let text = buffer.get(colon + 1..colon + 1 + len)?;
    let end = colon + 1 + len + 1;
    (buffer.len() >= end).then_some(())?;
    Some((serde_json::from_slice(text).expect("JSON from baresip"), end))
}

/// A port for a baresip: it takes the one above for TLS, whether that is wanted or not.
pub fn two_free_ports() -> u16 {
    loop {
        let port = free_port();
        let above = port.checked_add(1).map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        if above.is_some_and(|bound| bound.is_ok()) {
            return port;
        }
    }
}

fn config(modules: &Path, sip: u16, control: u16, speech: &Path, directory: &Path) -> String {
    let (speech, directory) = (speech.display(), directory.display());
    format!(
        "poll_method epoll\n\
         net_interface 127.0.0.1\n\
         sip_listen 127.0.0.1:{sip}\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n\
         audio_source aufile,{speech}\n\
         audio_player aufile,{directory}/played.wav\n\
         audio_alert aufile,{directory}/alert.wav\n\
         snd_path {directory}\n\
         module_path {}\n\
         module g711.so\nmodule g722.so\nmodule opus.so\nmodule aufile.so\nmodule auconv.so\n\
         module auresamp.so\nmodule sndfile.so\n\
         module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n",
        modules.display(),
    )
}
