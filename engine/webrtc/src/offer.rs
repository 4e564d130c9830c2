//! What we say of ourselves: one track that we send, lines for those that we hear, data channels.

use str0m::channel::{ChannelConfig, Reliability};

/// A data channel of ours, opened in-band (RFC 8832).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// In order, nothing lost: digits.
    Reliable,
    /// Neither: each message is sent once.
    Lossy,
}

impl Channel {
    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reliable => "_reliable",
            Self::Lossy => "_lossy",
        }
    }

    pub(crate) fn config(self) -> ChannelConfig {
        let (ordered, reliability) = match self {
            Self::Reliable => (true, Reliability::Reliable),
            Self::Lossy => (false, Reliability::MaxRetransmits { retransmits: 0 }),
        };
        let label = self.label().to_owned();
        ChannelConfig { label, ordered, reliability, ..ChannelConfig::default() }
    }
}

/// Every channel there is.
pub const CHANNELS: [Channel; 2] = [Channel::Reliable, Channel::Lossy];

/// Payload type of Opus, 48 kHz, as we offer it.
pub const OPUS_PAYLOAD_TYPE: u8 = 111;

/// A session description that we offer (RFC 8829).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its text.
    pub sdp: String,
}

impl Offer {
    pub(crate) fn new(sdp: &str) -> Self {
        Self { sdp: without_idle_tracks(sdp) }
    }
}

/// Without `a=msid` and `a=ssrc` on lines that we do not send on: a server would take them for
/// tracks of ours.
fn without_idle_tracks(sdp: &str) -> String {
    let mut text = String::with_capacity(sdp.len());
    for section in sections(sdp) {
        let idle = section.lines().any(|line| line == "a=recvonly");
        let tells =
            |line: &&str| idle && (line.starts_with("a=msid:") || line.starts_with("a=ssrc"));
        for line in section.lines().filter(|line| !tells(line)) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text
}

/// The session's own lines, then those of each media description.
fn sections(sdp: &str) -> impl Iterator<Item = &str> {
    let mut rest = sdp;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find("\nm=").map_or(rest.len(), |at| at + 1);
        let (section, behind) = rest.split_at(end);
        rest = behind;
        Some(section)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_send_name_a_track() {
        let sdp = "v=0\r\na=msid-semantic: WMS a\r\nm=audio 9 UDP 111\r\na=sendonly\r\n\
                   a=msid:a b\r\na=ssrc:1 cname:b\r\nm=audio 9 UDP 111\r\na=recvonly\r\n\
                   a=msid:c d\r\na=ssrc:2 cname:d\r\na=mid:1\r\nm=application 9 UDP x\r\n";
        let expected = "v=0\r\na=msid-semantic: WMS a\r\nm=audio 9 UDP 111\r\na=sendonly\r\n\
                        a=msid:a b\r\na=ssrc:1 cname:b\r\nm=audio 9 UDP 111\r\na=recvonly\r\n\
                        a=mid:1\r\nm=application 9 UDP x\r\n";
        assert_eq!(without_idle_tracks(sdp), expected);
    }
}
