//! The brains: a WebSocket server that sends back what it hears, in the language of the path it is
//! reached by: `/bare` (whatever comes), `/vox` and `/twilio`. One thread a connection: nobody
//! measures it, it has to be right and in time.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};
use vox_benches::process;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Bare,
    Vox,
    Twilio,
}

/// Prints its port, runs until its input closes.
pub(crate) fn run() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                if let Err(error) = serve(stream) {
                    eprintln!("brain: {error:#}");
                }
            });
        }
    });
    process::wait_for_parent()
}

#[allow(clippy::result_large_err, reason = "the upgrade callback's type")]
fn serve(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut language = Language::Bare;
    let mut socket = tungstenite::accept_hdr(stream, |request: &Request, response| {
        language = match request.uri().path() {
            "/vox" => Language::Vox,
            "/twilio" => Language::Twilio,
            _ => Language::Bare,
        };
        agree(request, response)
    })
    .map_err(|refused| anyhow!("the upgrade: {refused}"))?;
    let mut stream_sid = Value::Null;
    loop {
        let answer = match socket.read() {
            Ok(Message::Binary(bytes)) => Some(Message::Binary(bytes)),
            Ok(Message::Text(text)) if language == Language::Twilio => {
                let said: Value = serde_json::from_str(&text)?;
                if said["event"] == "start" {
                    stream_sid = said["streamSid"].clone();
                }
                (said["event"] == "media").then(|| twilio(&stream_sid, &said))
            }
            Ok(_) => None,
            Err(_) => return Ok(()),
        };
        if let Some(answer) = answer {
            send(&mut socket, answer);
        }
    }
}

/// Agrees to the subprotocol that was asked for.
#[allow(clippy::result_large_err, reason = "the upgrade callback's type")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let asked = request.headers().get("sec-websocket-protocol").and_then(|it| it.to_str().ok());
    let first = asked.and_then(|asked| asked.split(',').next()).map(str::trim);
    if let Some(first) = first.and_then(|first| HeaderValue::from_str(first).ok()) {
        response.headers_mut().insert("sec-websocket-protocol", first);
    }
    Ok(response)
}

fn twilio(stream_sid: &Value, said: &Value) -> Message {
    let payload = &said["media"]["payload"];
    let back = json!({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}});
    Message::text(back.to_string())
}

/// Whoever hangs up in between is read as gone next.
fn send(socket: &mut WebSocket<TcpStream>, message: Message) {
    let _ = socket.send(message);
}
