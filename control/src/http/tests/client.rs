//! A client that sends what a browser never would.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }
}

/// `GET target` on a Unix socket.
pub(super) async fn get_unix(socket: &Path, target: &str) -> Answer {
    ask(UnixStream::connect(socket).await.unwrap(), &request("GET", target, "")).await
}

/// `GET target` on TCP.
pub(super) async fn get_tcp(address: SocketAddr, target: &str) -> Answer {
    send(address, &request("GET", target, "")).await
}

/// A request with more `headers`, each with its line end.
pub(super) fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: vox\r\nconnection: close\r\n{headers}\r\n")
}

/// Sends `text` as it is.
pub(super) async fn send(address: SocketAddr, text: &str) -> Answer {
    ask(TcpStream::connect(address).await.unwrap(), text).await
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> Answer {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    Answer::parse(&bytes)
}
