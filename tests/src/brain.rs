//! Brains for bots: real WebSocket servers, as well or as badly behaved as a test wants.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::{Message, WebSocket};

use crate::voices::mu_law;

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
        Self::at(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"), talk)
    }

    /// [`start`](Self::start) on a network that holds little: what the brain does not read is the
    /// worker's affair within a second or two.
    pub fn narrow(talk: impl Fn(&mut Socket, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        // Connections have these from their listener; what Linux keeps for a sender goes by the
        // size of its segments.
        setsockopt(&listener, sockopt::RcvBuf, &4_096).expect("SO_RCVBUF");
        setsockopt(&listener, sockopt::TcpMaxSeg, &536).expect("TCP_MAXSEG");
        Self::at(listener, talk)
    }

    fn at(
        listener: TcpListener,
        talk: impl Fn(&mut Socket, usize) + Send + Sync + 'static,
    ) -> Self {
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

    /// As the `agent` of a Backend's config.
    pub fn agent(&self, protocol: &str) -> Value {
        let url = format!("ws://{}/", self.address);
        json!({"kind": "websocket", "url": url, "protocol": protocol})
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

/// The kinds of messages that are left to read, and the code that the worker closes with, if it
/// does.
pub fn last_words(socket: &mut Socket) -> (Vec<String>, Option<u16>) {
    let (mut kinds, mut code) = (vec![], None);
    while let Ok(message) = socket.read() {
        match message {
            Message::Text(text) => {
                let said: Value = serde_json::from_str(&text).expect("JSON of the worker");
                let kind = said["type"].as_str().or(said["event"].as_str());
                kinds.push(kind.unwrap_or_default().to_owned());
            }
            Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
            _ => {}
        }
    }
    (kinds, code)
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
                    (_, Some("input_audio_buffer.append")) => {
                        Message::text(delta(1, &said["audio"]))
                    }
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

/// A mouth that speaks one of the three languages, 8 kHz.
#[derive(Debug)]
pub enum Mouth {
    /// Pieces of any length.
    Vox,
    /// Pieces of 20 ms.
    Twilio {
        /// The stream's SID.
        stream: Value,
    },
    /// Pieces of 100 ms.
    OpenAi {
        /// Of items so far, each an utterance.
        items: u32,
    },
}

impl Mouth {
    /// For the protocol that a bot's config names.
    pub fn new(protocol: &str) -> Self {
        match protocol {
            "vox" => Self::Vox,
            "twilio" => Self::Twilio { stream: Value::Null },
            _ => Self::OpenAi { items: 0 },
        }
    }

    /// Whether a message of the worker's holds 20 ms of the caller. It is to see all of them.
    pub fn hears(&mut self, message: &Message) -> bool {
        let Message::Text(text) = message else { return matches!(message, Message::Binary(_)) };
        let said: Value = serde_json::from_str(text).expect("JSON of the worker");
        if let (Self::Twilio { stream }, "start") =
            (&mut *self, said["event"].as_str().unwrap_or(""))
        {
            *stream = said["streamSid"].clone();
        }
        said["event"] == "media" || said["type"] == "input_audio_buffer.append"
    }

    /// What follows is another utterance.
    pub fn begin(&mut self) {
        if let Self::OpenAi { items } = self {
            *items += 1;
        }
    }

    /// Says this in as many messages as such a brain would.
    ///
    /// # Errors
    /// When the worker is gone.
    pub fn say(&self, socket: &mut Socket, pcm: &[i16]) -> tungstenite::Result<()> {
        let base64 = |pcm: &[i16]| Value::from(BASE64.encode(mu_law(pcm)));
        let mut send = |text: String| socket.send(Message::text(text));
        match self {
            Self::Vox => {
                let header = [1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0].into_iter();
                let samples = pcm.iter().flat_map(|sample| sample.to_le_bytes());
                socket.send(Message::binary(header.chain(samples).collect::<Vec<u8>>()))
            }
            Self::Twilio { stream } => {
                pcm.chunks(160).try_for_each(|piece| send(media(stream, &base64(piece))))
            }
            Self::OpenAi { items } => {
                let response = json!({"id": format!("resp_{items}")});
                let about = |kind: &str| json!({"type": kind, "response": response});
                send(about("response.created").to_string())?;
                for piece in pcm.chunks(800) {
                    send(delta(*items, &base64(piece)))?;
                }
                send(about("response.done").to_string())
            }
        }
    }
}

/// A media message of a Twilio app.
pub fn media(stream: &Value, payload: &Value) -> String {
    json!({"event": "media", "streamSid": stream, "media": {"payload": payload}}).to_string()
}

/// A piece of speech of OpenAI's.
fn delta(item: u32, audio: &Value) -> String {
    json!({
        "type": "response.output_audio.delta",
        "response_id": format!("resp_{item}"),
        "item_id": format!("item_{item}"),
        "content_index": 0,
        "delta": audio,
    })
    .to_string()
}
