//! A headless Chromium with LiveKit's JavaScript SDK, and the server of the page that it opens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::livekit::{Server, token};
use crate::peers::{self, Process};
use crate::wait_for;

/// A browser whose page (`livekit/widget.html`) joins a room.
#[derive(Debug)]
pub struct Browser {
    page: Arc<Page>,
    _process: Process,
    directory: TempDir,
}

/// What the page is given, and what it tells.
#[derive(Debug)]
struct Page {
    sdk: Vec<u8>,
    join: String,
    events: Mutex<Vec<Value>>,
    heard: Mutex<Option<Vec<u8>>>,
}

impl Browser {
    /// Opens the page: it joins `room` as `identity`, speaks `speech` (48 kHz) once somebody
    /// publishes a track, and leaves after `seconds`. `None` when Chromium or the SDK is missing.
    pub fn open(
        server: &Server,
        room: &str,
        identity: &str,
        speech: &Path,
        seconds: u32,
    ) -> Option<Self> {
        let chromium = peers::find("chromium")?;
        let sdk =
            peers::directory().join("node/node_modules/livekit-client/dist/livekit-client.umd.js");
        let Ok(sdk) = std::fs::read(sdk) else {
            peers::missing("livekit-client (npm)");
            return None;
        };
        let token = token(json!({"sub": identity, "video": {"roomJoin": true, "room": room}}));
        let join = json!({ "url": server.url, "token": token, "seconds": seconds }).to_string();
        let (events, heard) = (Mutex::default(), Mutex::default());
        let page = Arc::new(Page { sdk, join, events, heard });
        let address = serve(page.clone());
        let directory = TempDir::new().expect("a temporary directory");
        let mut command = Command::new(chromium);
        command
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"])
            .arg(format!("--use-file-for-fake-audio-capture={}%noloop", speech.display()))
            .arg("--autoplay-policy=no-user-gesture-required")
            .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
            .arg(format!("http://{address}/"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It complains of a desktop's services that are not here.
            .stderr(Stdio::null());
        let process = Process::start(&mut command);
        Some(Self { page, _process: process, directory })
    }

    /// Waits until the page says `event`.
    ///
    /// # Panics
    /// When it does not within `limit`, or fails.
    pub fn wait_for(&self, event: &str, limit: Duration) -> Value {
        wait_for(&format!("the page to say {event}"), limit, || {
            let events = locked(&self.page.events).clone();
            events.into_iter().find(|said| {
                assert!(said["event"] != "failed", "{said}");
                said["event"] == event
            })
        })
    }

    /// What the page heard, as a WAV file of 48 kHz; `None` when `ffmpeg` is missing.
    ///
    /// # Panics
    /// When it has not said so yet.
    pub fn heard(&self) -> Option<PathBuf> {
        let ffmpeg = peers::find("ffmpeg")?;
        let [webm, wav] = ["heard.webm", "heard.wav"].map(|name| self.directory.path().join(name));
        let bytes = locked(&self.page.heard).take().expect("the page has left");
        std::fs::write(&webm, bytes).expect("heard.webm");
        let status = Command::new(ffmpeg)
            .args(["-nostdin", "-loglevel", "error", "-i"])
            .arg(&webm)
            .args(["-ar", "48000", "-ac", "1"])
            .arg(&wav)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "ffmpeg made no WAV");
        Some(wav)
    }
}

/// Serves the page on loopback for as long as this process lives.
fn serve(page: Arc<Page>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let page = page.clone();
            // A browser opens connections that it never uses.
            thread::spawn(move || page.answer(stream));
        }
    });
    address
}

impl Page {
    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut first = String::new();
        reader.read_line(&mut first).ok()?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut words = first.split(' ');
        let (kind, answer): (&str, &[u8]) = match (words.next()?, words.next()?) {
            ("GET", "/") => ("text/html", include_bytes!("../livekit/widget.html")),
            ("GET", "/livekit-client.js") => ("text/javascript", &self.sdk),
            ("GET", "/join") => ("application/json", self.join.as_bytes()),
            ("POST", "/event") => {
                locked(&self.events).extend(serde_json::from_slice::<Value>(&body).ok());
                ("text/plain", b"")
            }
            ("POST", "/heard") => {
                *locked(&self.heard) = Some(body);
                ("text/plain", b"")
            }
            _ => ("text/plain", b"not here"),
        };
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(answer).ok()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
