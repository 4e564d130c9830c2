//! Real sockets, real calls on a real engine; transcripts of the dialects.

mod dialects;
mod inlet;
mod misuse;
mod sockets;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tungstenite::Message;

use super::*;
use crate::calls::tests::calls;
use crate::config::{BotsConfig, HttpConfig, WorkerConfig};
use crate::http::{Desk, HttpServer};
use crate::metrics::Metrics;

/// A worker without SIP, with everything below a directory.
struct Rig {
    calls: Calls,
    server: HttpServer,
    dir: TempDir,
}

impl Rig {
    async fn start(bots: &str, max_calls: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bots.toml");
        std::fs::write(&file, bots).unwrap();
        let bots = BotsConfig::File(file);
        let (calls, counters) = calls(dir.path(), &bots, max_calls, 32_000..=33_999);
        let metrics = metrics(&calls, &counters);
        let worker = WorkerConfig {
            id: "1".into(),
            max_calls,
            workers: 1,
            secret: None,
            data_dir: dir.path().to_owned(),
            neighbour_dirs: Vec::new(),
            log: "info".into(),
        };
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let socket = dir.path().join("voxcore_1.sock");
        let http = HttpConfig { socket, neighbours: Vec::new(), listen };
        let desk = Desk::new(&worker, &http, calls.slots().clone(), metrics)
            .with_telephony(Telephony::new(calls.clone(), counters));
        let server = HttpServer::start(&http, desk).await.unwrap();
        Self { calls, server, dir }
    }

    async fn connect(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.server.local_addr().unwrap());
        Client { socket: connect_async(url).await.unwrap().0 }
    }

    /// A dialler's call that is answered.
    async fn answered(&self, bot: &str) -> Client {
        let mut client = self.connect(&format!("/ws/{bot}")).await;
        for message in [connected(), start(), json!({"event": "answer"})] {
            client.say(message).await;
        }
        client
    }

    /// A call of Exotel's to the bot `echo`.
    async fn exotel(&self) -> Client {
        let mut client = self.connect("/exotel/echo").await;
        client.say(json!({"event": "connected"})).await;
        client.say(exotel_start()).await;
        client
    }

    /// The one result, once every call is over.
    async fn result(&self) -> Value {
        let mut results = self.results().await;
        assert_eq!(results.len(), 1, "{results:?}");
        results.remove(0)
    }

    async fn results(&self) -> Vec<Value> {
        within(self.calls.idle()).await;
        let files = std::fs::read_dir(self.dir.path().join("results")).unwrap();
        let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file.unwrap().path());
        files.map(|file| serde_json::from_slice(&read(file).unwrap()).unwrap()).collect()
    }

    /// Sends the first call's caller somewhere else.
    fn transfer(&self, to: &str) {
        use crate::calls::TransferRequest;

        let request = TransferRequest { target: Some(to.to_owned()), ..TransferRequest::default() };
        self.calls.transfer(vox_call::CallId(1), request).unwrap();
    }

    /// Waits until one series of the metrics has this value.
    async fn metric(&self, series: &str, expected: u64) {
        let wanted = format!("vox_{series} {expected}");
        let read = async {
            loop {
                let text = get(self.server.local_addr().unwrap()).await;
                if text.lines().any(|line| line == wanted) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), read).await;
        assert!(waited.is_ok(), "{wanted}\n{}", get(self.server.local_addr().unwrap()).await);
    }
}

async fn get(address: SocketAddr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: vox\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

fn metrics(calls: &Calls, counters: &Counters) -> Metrics {
    use crate::delivery::QueueCounts;
    use crate::metrics::Readings;

    let (slots, engine) = (calls.slots().clone(), calls.engine().clone());
    let nothing = QueueCounts { pending: 0, delivered: 0, failures: 0, poisoned: 0 };
    Metrics::reading(counters, move || Readings {
        agents: Default::default(),
        sip: crate::sip::SipCounts::default(),
        engine: engine.stats(),
        slots_taken: slots.taken(),
        slots: slots.capacity(),
        draining: slots.is_draining(),
        results: nothing,
        recordings: nothing,
    })
}

/// The other end of a socket.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// What is written to a socket that the other side has closed goes nowhere.
    async fn send(&mut self, message: Message) {
        use futures_sink::Sink;
        use std::future::poll_fn;

        let mut socket = Pin::new(&mut self.socket);
        if poll_fn(|cx| socket.as_mut().poll_ready(cx)).await.is_ok() {
            let _ = socket.as_mut().start_send(message);
            let _ = poll_fn(|cx| socket.as_mut().poll_flush(cx)).await;
        }
    }

    /// The next message; `None` when there is none any more.
    async fn next(&mut self) -> Option<Message> {
        use futures_core::Stream;

        let mut socket = Pin::new(&mut self.socket);
        let next = std::future::poll_fn(|cx| socket.as_mut().poll_next(cx));
        within(next).await.and_then(Result::ok)
    }

    /// The next JSON of this event; others are passed over.
    async fn event(&mut self, event: &str) -> Value {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["event"] == event {
                        return message;
                    }
                }
                Some(Message::Close(frame)) => panic!("closed before {event}: {frame:?}"),
                None => panic!("gone before {event}"),
                _ => {}
            }
        }
    }

    /// The close frame and the events before it, without audio.
    async fn closed(&mut self) -> (u16, String, Vec<String>) {
        let mut events = Vec::new();
        loop {
            match self.next().await {
                Some(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    let event = message["event"].as_str().unwrap();
                    if !event.contains("media") || event == "reverse-media-stop" {
                        events.push(event.to_owned());
                    }
                }
                Some(Message::Close(Some(frame))) => {
                    return (frame.code.into(), frame.reason.to_string(), events);
                }
                Some(_) => {}
                None => return (1006, String::new(), events),
            }
        }
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("in time")
}

fn connected() -> Value {
    json!({
        "event": "connected", "callerId": "+919876543210", "did": "+918000000000",
        "callDirection": "incoming", "crm": {"lead": 7},
    })
}

fn start() -> Value {
    json!({
        "event": "start", "streamId": "st-1",
        "mediaFormat": {"encoding": "LINEAR", "sampleRate": 8000, "channels": 1},
    })
}

fn exotel_start() -> Value {
    json!({
        "event": "start", "sequence_number": "1", "stream_sid": "MZ1",
        "start": {
            "stream_sid": "MZ1", "call_sid": "CA1", "account_sid": "AC1",
            "from": "+919876543210", "to": "+918047491899",
            "custom_parameters": {"key1": "value1"},
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        },
    })
}

/// `samples` of a sound that says which sample it is.
fn pcm(from: usize, samples: usize) -> Vec<u8> {
    let sample = |n: usize| ((n * 37 % 8_000) as i16 - 4_000).to_le_bytes();
    (from..from + samples).flat_map(sample).collect()
}

fn media(pcm: &[u8]) -> Value {
    json!({"event": "media", "payload": STANDARD.encode(pcm)})
}

fn events(result: &Value) -> Vec<&str> {
    result["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect()
}

/// A limit that a busy machine does not reach.
const ECHO: &str = "[bots.echo]\nagent = { kind = \"echo\" }\nno_audio_seconds = 60\n";
