use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// A hand-driven SIP peer with one call in mind, and the transcript of what was said.
pub(super) struct Peer {
    link: Link,
    pub(super) local: SocketAddr,
    pub(super) server: SocketAddr,
    /// To with the server's tag, once there is one.
    to: Option<String>,
    /// The server's Contact, once there is one.
    target: Option<String>,
    branch: u32,
    seen: Vec<String>,
    transcript: String,
}

enum Link {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, buffer: Vec<u8> },
}

impl Peer {
    pub(super) async fn udp(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        Self::new(Link::Udp(socket), local, server)
    }

    pub(super) async fn tcp(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.unwrap();
        let local = stream.local_addr().unwrap();
        Self::new(Link::Tcp { stream, buffer: Vec::new() }, local, server)
    }

    fn new(link: Link, local: SocketAddr, server: SocketAddr) -> Self {
        let (to, target, transcript) = (None, None, String::new());
        Self { link, local, server, to, target, branch: 0, seen: Vec::new(), transcript }
    }

    /// A request to `user` with the standard header fields, then `fields`, then `body` as SDP
    /// unless `fields` names another type. A new branch each time, but for ACK to a non-2xx.
    pub(super) fn request(
        &mut self,
        method: &str,
        user: &str,
        cseq: u32,
        fields: &str,
        body: &str,
    ) -> String {
        self.branch += 1;
        self.request_in_branch(self.branch, method, user, cseq, fields, body)
    }

    pub(super) fn request_in_branch(
        &self,
        branch: u32,
        method: &str,
        user: &str,
        cseq: u32,
        fields: &str,
        body: &str,
    ) -> String {
        let (local, server) = (self.local, self.server);
        let transport = if matches!(self.link, Link::Udp(_)) { "UDP" } else { "TCP" };
        let uri = self.target.clone().unwrap_or_else(|| format!("sip:{user}@{server}"));
        let to = self.to.clone().unwrap_or_else(|| format!("<sip:{user}@{server}>"));
        let kind = if body.is_empty() || fields.contains("Content-Type") {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {local};rport;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\n\
             From: \"Al\" <sip:al@example.net>;tag=from-tag\r\n\
             To: {to}\r\n\
             Call-ID: call-{}@example.net\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:al@{local}>\r\n\
             {fields}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            local.port(),
            body.len(),
        )
    }

    /// Branch of the last request.
    pub(super) fn branch(&self) -> u32 {
        self.branch
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.write_down(">>>", text);
        self.send_raw(text.as_bytes()).await;
    }

    /// Sends bytes that go into no transcript.
    pub(super) async fn send_raw(&mut self, bytes: &[u8]) {
        match &mut self.link {
            Link::Udp(socket) => {
                socket.send_to(bytes, self.server).await.unwrap();
            }
            Link::Tcp { stream, .. } => stream.write_all(bytes).await.unwrap(),
        }
    }

    /// The next message that was not seen before: on a slow machine answers come twice.
    pub(super) async fn receive(&mut self) -> String {
        loop {
            let text = self.receive_any().await;
            if !self.seen.contains(&text) {
                self.seen.push(text.clone());
                self.write_down("<<<", &text);
                self.remember(&text);
                return text;
            }
        }
    }

    /// The next message, seen before or not.
    pub(super) async fn receive_any(&mut self) -> String {
        let limit = Duration::from_secs(20);
        timeout(limit, self.read()).await.expect("nothing comes").expect("the connection closed")
    }

    /// Sends a request again, as after a timeout, and reads what comes soon.
    pub(super) async fn repeat(&mut self, request: &str) -> Option<String> {
        self.send_raw(request.as_bytes()).await;
        timeout(Duration::from_millis(100), self.read()).await.ok().flatten()
    }

    /// The next response; checks its status.
    pub(super) async fn expect(&mut self, status: u16) -> String {
        let text = self.receive().await;
        let found = text.split(' ').nth(1).unwrap_or_default();
        assert_eq!(found, status.to_string(), "{text}");
        text
    }

    /// Nothing is there to be read by the time a fresh OPTIONS is answered.
    pub(super) async fn expect_silence(&mut self) {
        let target = (self.target.take(), self.to.take());
        let options = self.request("OPTIONS", "anybody", 1_000 + self.branch, "", "");
        (self.target, self.to) = target;
        self.send_raw(options.as_bytes()).await;
        let number = format!("CSeq: {} OPTIONS", 1_000 + self.branch - 1);
        let text = self.receive_any().await;
        assert!(text.contains(&number), "not silent: {text}");
    }

    /// Waits for the connection to be closed by the server.
    pub(super) async fn expect_close(&mut self) {
        let read = timeout(Duration::from_secs(600), self.read()).await.expect("nothing comes");
        assert_eq!(read, None, "expected the connection to close");
    }

    /// Answers a request of the server's with 200.
    pub(super) async fn answer(&mut self, request: &str) {
        self.respond(request, "200 OK", "").await;
    }

    /// Answers a request of the server's with header fields of the test's own.
    pub(super) async fn respond(&mut self, request: &str, status: &str, fields: &str) {
        self.respond_with(request, status, fields, "").await;
    }

    /// The same with a session description. A To without a tag gets one.
    pub(super) async fn respond_with(
        &mut self,
        request: &str,
        status: &str,
        fields: &str,
        sdp: &str,
    ) {
        let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let lines = request.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
        let tagged = |line: &str| match line.starts_with("To:") && !line.contains("tag=") {
            true => format!("{line};tag=target-tag\r\n"),
            false => format!("{line}\r\n"),
        };
        let head: String = lines.map(tagged).collect();
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let length = sdp.len();
        let response = format!(
            "SIP/2.0 {status}\r\n{head}{fields}{kind}Content-Length: {length}\r\n\r\n{sdp}"
        );
        self.send(&response).await;
    }

    /// INVITE, 100, 200, ACK.
    pub(super) async fn call(&mut self, user: &str, body: &str) -> String {
        let invite = self.request("INVITE", user, 1, "", body);
        self.send(&invite).await;
        self.expect(100).await;
        let ok = self.expect(200).await;
        let ack = self.request("ACK", user, 1, "", "");
        self.send(&ack).await;
        ok
    }

    /// The transcript with everything volatile masked.
    pub(super) fn transcript(&self) -> String {
        mask(&self.transcript, self.local, self.server)
    }

    async fn read(&mut self) -> Option<String> {
        match &mut self.link {
            Link::Udp(socket) => {
                let mut buffer = vec![0; 65_535];
                let (len, _) = socket.recv_from(&mut buffer).await.unwrap();
                Some(String::from_utf8(buffer[..len].to_vec()).unwrap())
            }
            Link::Tcp { stream, buffer } => loop {
                if let Some(text) = cut(buffer) {
                    return Some(text);
                }
                let mut piece = [0; 4096];
                match stream.read(&mut piece).await {
                    Ok(len) if len > 0 => buffer.extend_from_slice(&piece[..len]),
                    _ => return None,
                }
            },
        }
    }

    fn remember(&mut self, text: &str) {
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line[name.len()..].trim().to_owned())
        };
        if text.starts_with("SIP/2.0 2") && text.contains(" INVITE\r\n") {
            self.to = value("To:");
            self.target = value("Contact:").map(|c| c.trim_matches(['<', '>']).to_owned());
        }
    }

    fn write_down(&mut self, mark: &str, text: &str) {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        self.transcript += &format!("{mark} {}\n", head.replace("\r\n", "\n    "));
        for line in body.lines() {
            self.transcript += &format!("      {line}\n");
        }
        self.transcript += "\n";
    }
}

/// One message off the front of a stream. All of ours carry Content-Length.
fn cut(buffer: &mut Vec<u8>) -> Option<String> {
    if buffer.starts_with(b"\r\n") {
        return Some(String::from_utf8(buffer.drain(..2).collect()).unwrap());
    }
    let text = String::from_utf8(buffer.clone()).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
    let length: usize = length.trim().parse().unwrap();
    (body.len() >= length).then(|| {
        let whole = head.len() + 4 + length;
        String::from_utf8(buffer.drain(..whole).collect()).unwrap()
    })
}

fn mask(text: &str, local: SocketAddr, server: SocketAddr) -> String {
    let text = text
        .replace(&local.to_string(), "PEER")
        .replace(&server.to_string(), "VOX")
        .replace(&format!("rport={}", local.port()), "rport=PEER-PORT")
        .replace(&format!("call-{}@", local.port()), "call@")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let mut masked = String::new();
    for line in text.lines() {
        let line = mask_after(line, "tag=", |tag| tag != "from-tag", "TAG");
        // Our session id is a random number, of one length or another.
        let line = mask_after(&line, "Content-Length: ", |length| length != "0", "LENGTH");
        let own = |branch: &str| branch.len() > 12;
        let line = mask_after(&line, "branch=", own, "BRANCH");
        masked += &mask_origin(&line);
        masked.push('\n');
    }
    masked
}

fn mask_after(line: &str, name: &str, volatile: impl Fn(&str) -> bool, mask: &str) -> String {
    let Some(at) = line.find(name) else { return line.to_owned() };
    let start = at + name.len();
    let end = line[start..].find([';', '>', ' ']).map_or(line.len(), |len| start + len);
    if volatile(&line[start..end]) {
        format!("{}{mask}{}", &line[..start], &line[end..])
    } else {
        line.to_owned()
    }
}

/// Our session id is random; theirs is 1.
fn mask_origin(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    let origin = words.iter().position(|word| word.starts_with("o="));
    match origin {
        Some(at) if words.get(at + 1).is_some_and(|id| id.len() > 3) => {
            words[at + 1] = "SESSION";
            words.join(" ")
        }
        _ => line.to_owned(),
    }
}
