//! Brains for bots: real WebSocket servers, as well or as badly behaved as a test wants.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::{Message, WebSocket};

/// A worker's socket, seen by its brain.
pub type Socket = WebSocket<TcpStream>;

/// A server that gives every connection to the same conversation, each on a thread of its own. It
/// listens for as long as the process lives.
#[derive(Debug)]
pub struct Brain {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Brain {
    /// Starts one. `talk` gets each socket, and how many came before it.
    pub fn start(talk: impl Fn(&mut Socket, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, talk) = (connections.clone(), Arc::new(talk));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (before, talk) = (count.fetch_add(1, Ordering::SeqCst), talk.clone());
                thread::spawn(move || {
                    stream.set_nodelay(true).expect("TCP");
                    if let Ok(mut socket) = accept(stream) {
                        talk(&mut socket, before);
                    }
                });
            }
        });
        Self { address, connections }
    }

    /// As a bot in a `bots.toml`, with more fields of its `agent`.
    pub fn bot(&self, name: &str, protocol: &str, fields: &str) -> String {
        format!(
            "[bots.{name}]\nagent = {{ kind = \"websocket\", url = \"ws://{}/{name}\", \
             protocol = \"{protocol}\"{fields} }}\n",
            self.address
        )
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[allow(clippy::result_large_err, reason = "the upgrade callback's type")]
fn accept(stream: TcpStream) -> Result<Socket, String> {
    let agree = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        if let Some(asked) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", asked.clone());
        }
        Ok(response)
    };
    tungstenite::accept_hdr(stream, agree).map_err(|error| error.to_string())
}

/// The next message that is JSON; `None` when the socket is closed.
pub fn event(socket: &mut Socket) -> Option<Value> {
    loop {
        if let Message::Text(text) = socket.read().ok()? {
            return Some(serde_json::from_str(&text).expect("JSON of the worker"));
        }
    }
}

/// Sends back what it hears, in any of the three languages, until the socket is closed.
pub fn echo(socket: &mut Socket) {
    let mut stream = Value::Null;
    while let Ok(message) = socket.read() {
        let back = match message {
            Message::Binary(audio) => Message::Binary(audio),
            Message::Text(text) => {
                let said: Value = serde_json::from_str(&text).expect("JSON of the worker");
                if said["event"] == "start" {
                    stream = said["streamSid"].clone();
                }
                match (said["event"].as_str(), said["type"].as_str()) {
                    (Some("media"), _) => Message::text(media(&stream, &said["media"]["payload"])),
                    (_, Some("input_audio_buffer.append")) => Message::text(delta(&said["audio"])),
                    _ => continue,
                }
            }
            _ => continue,
        };
        if socket.send(back).is_err() {
            return;
        }
    }
}

/// A media message of a Twilio app.
pub fn media(stream: &Value, payload: &Value) -> String {
    json!({"event": "media", "streamSid": stream, "media": {"payload": payload}}).to_string()
}

/// A piece of speech of OpenAI's.
fn delta(audio: &Value) -> String {
    json!({"type": "response.output_audio.delta", "item_id": "item_1", "content_index": 0, "delta": audio})
        .to_string()
}
