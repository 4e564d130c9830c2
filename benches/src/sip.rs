//! As little SIP as it takes to hold many calls from one socket: INVITE, ACK, BYE.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The calls' signalling.
#[derive(Debug)]
pub struct Sip {
    socket: UdpSocket,
    local: SocketAddr,
    server: SocketAddr,
}

/// An answered call.
#[derive(Debug)]
pub struct Dialog {
    index: usize,
    user: String,
    /// The `To` header of the 200, tag and all.
    to: String,
    /// Where its media goes.
    pub media: u16,
}

impl Sip {
    /// A socket that calls this server.
    pub fn new(server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, server })
    }

    /// Calls `user` with G.711 at our port `media` until it is answered.
    pub fn call(&self, index: usize, user: &str, media: u16) -> Result<Dialog> {
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {media} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
        );
        let uri = self.uri(user);
        let invite = self.request("INVITE", index, &format!("<{uri}>"), user, &sdp);
        let limit = Instant::now() + ANSWER_MAX;
        let mut again = Duration::from_millis(500);
        'send: loop {
            self.socket.send(invite.as_bytes())?;
            let resend = Instant::now() + again;
            again *= 2;
            loop {
                if Instant::now() > limit {
                    bail!("{uri} does not answer");
                }
                let Some(message) = self.receive()? else {
                    if Instant::now() > resend {
                        continue 'send;
                    }
                    continue;
                };
                if !is_of(&message, index, "INVITE") {
                    continue;
                }
                match status(&message) {
                    100..=199 => {}
                    200 => {
                        let to = header(&message, "To").context("no To")?.to_owned();
                        let media = port(&message).context("no m=audio")?;
                        let dialog = Dialog { index, user: user.into(), to, media };
                        self.socket.send(self.in_dialog("ACK", &dialog).as_bytes())?;
                        return Ok(dialog);
                    }
                    status => bail!("{uri} refuses with {status}"),
                }
            }
        }
    }

    /// Hangs up.
    pub fn bye(&self, dialog: &Dialog) -> Result<()> {
        let bye = self.in_dialog("BYE", dialog);
        for _ in 0..8 {
            self.socket.send(bye.as_bytes())?;
            while let Some(message) = self.receive()? {
                if is_of(&message, dialog.index, "BYE") {
                    return Ok(());
                }
            }
        }
        bail!("call {}: BYE is not answered", dialog.index)
    }

    fn in_dialog(&self, method: &str, dialog: &Dialog) -> String {
        self.request(method, dialog.index, &dialog.to, &dialog.user, "")
    }

    fn request(&self, method: &str, index: usize, to: &str, user: &str, sdp: &str) -> String {
        let (local, uri, cseq) = (self.local, self.uri(user), if method == "BYE" { 2 } else { 1 });
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let length = sdp.len();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK-{method}-{index}\r\n\
             From: <sip:bench@{local}>;tag=f{index}\r\nTo: {to}\r\nCall-ID: bench-{index}@{local}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:bench@{local}>\r\nMax-Forwards: 70\r\n{kind}\
             Content-Length: {length}\r\n\r\n{sdp}"
        )
    }

    fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.server)
    }

    /// The next message, if one comes in time.
    fn receive(&self) -> Result<Option<String>> {
        let mut bytes = [0; 4_096];
        match self.socket.recv(&mut bytes) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&bytes[..length]).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_of(message: &str, index: usize, method: &str) -> bool {
    let ours = |id: &str| id.starts_with(&format!("bench-{index}@"));
    let same = |cseq: &str| cseq.ends_with(method);
    header(message, "Call-ID").is_some_and(ours) && header(message, "CSeq").is_some_and(same)
}

fn status(message: &str) -> u16 {
    message.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn port(message: &str) -> Option<u16> {
    message.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok())
}

const ANSWER_MAX: Duration = Duration::from_secs(20);
