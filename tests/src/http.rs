//! A small HTTP server for tests: answers by hand, or stands before another server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::Value;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// With its query.
    pub path: String,
    /// All lines up to the empty one, as they came.
    head: Vec<String>,
    /// All of it.
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// JSON.
    Json(u16, Value),
    /// Bytes of this type.
    Bytes(u16, &'static str, Vec<u8>),
    /// Whatever this server answers, WebSockets among them.
    By(SocketAddr),
}

/// A server on loopback for as long as the process lives. One request a connection.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Where.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it; each request is answered on a thread of its own.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.clone();
                // Whoever goes away before the answer does not want it.
                thread::spawn(move || serve(stream, &*answer).ok());
            }
        });
        Self { address }
    }
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Self> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let mut first = head.first().map_or("", String::as_str).split(' ').map(str::to_owned);
        let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let mut request = Self { method, path, head, body: Vec::new() };
        let length = request.header("content-length").and_then(|length| length.parse().ok());
        request.body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut request.body)?;
        Ok(request)
    }
}

fn serve(stream: TcpStream, answer: &impl Fn(&Request) -> Reply) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let request = Request::read(&mut stream)?;
    let mut stream = stream.into_inner();
    let (status, kind, body) = match answer(&request) {
        Reply::Json(status, body) => (status, "application/json", body.to_string().into_bytes()),
        Reply::Bytes(status, kind, body) => (status, kind, body),
        Reply::By(server) => return pass_on(&request, stream, server),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

/// Both ways, until either side ends it. Only an upgrade keeps its connection for more.
fn pass_on(request: &Request, mut from: TcpStream, server: SocketAddr) -> io::Result<()> {
    let mut to = TcpStream::connect(server)?;
    to.set_nodelay(true)?;
    let mut head = request.head.join("\r\n");
    if request.header("upgrade").is_none() {
        head += "\r\nConnection: close";
    }
    write!(to, "{head}\r\n\r\n")?;
    to.write_all(&request.body)?;
    let (mut there, mut back) = (to.try_clone()?, from.try_clone()?);
    thread::spawn(move || {
        // The other side's end is told when this one has ended.
        let _ = io::copy(&mut back, &mut there);
        there.shutdown(Shutdown::Write)
    });
    let copied = io::copy(&mut to, &mut from);
    from.shutdown(Shutdown::Both)?;
    copied.map(|_| ())
}
