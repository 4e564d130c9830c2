//! The offer we make and the answer we get (RFC 3264, RFC 8866).

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Media, Session};
use vox_codecs::CodecKind;
use vox_rtp::ClockRate;

/// Dynamic payload types of our offers.
const OPUS: u8 = 111;
const L16: u8 = 97;
const EVENT_8K: u8 = 101;
const EVENT_48K: u8 = 110;

/// What the answer chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// Where the peer listens for RTP.
    pub remote: SocketAddr,
    /// The codec.
    pub codec: CodecKind,
    /// Its payload type.
    pub payload_type: u8,
    /// Payload type of telephone-event at the codec's clock.
    pub event_payload_type: Option<u8>,
}

impl Agreed {
    /// The clock that timestamps of audio and events count in.
    pub const fn clock(&self) -> ClockRate {
        match self.codec {
            CodecKind::Pcmu | CodecKind::Pcma | CodecKind::G722 | CodecKind::L16 => {
                ClockRate::HZ_8000
            }
            CodecKind::Opus => ClockRate::HZ_48000,
        }
    }
}

/// Which way audio goes, seen from us (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// We talk and listen.
    #[default]
    SendRecv,
    /// We talk only.
    SendOnly,
    /// We listen only.
    RecvOnly,
    /// Neither: on hold.
    Inactive,
}

impl Direction {
    /// Whether we talk.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether we listen.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Not SDP.
    #[error("the answer is no SDP: {0}")]
    Syntax(String),
    /// No accepted audio in it.
    #[error("the answer accepts no audio stream")]
    NoAudio,
    /// It names no address.
    #[error("the answer names no usable address")]
    NoAddress,
    /// It chose nothing we offered.
    #[error("the answer chose payload types {0}, none of which was offered")]
    NoCodec(String),
}

const fn payload_type(codec: CodecKind) -> u8 {
    match codec {
        CodecKind::Pcmu => 0,
        CodecKind::Pcma => 8,
        CodecKind::G722 => 9,
        CodecKind::Opus => OPUS,
        CodecKind::L16 => L16,
    }
}

/// An offer of `codecs`, in this order, to be heard at `local`.
pub fn offer(local: SocketAddr, codecs: &[CodecKind]) -> String {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (local.ip(), local.port());
    let mut types: Vec<String> = codecs.iter().map(|&c| payload_type(c).to_string()).collect();
    let mut attributes = String::new();
    for &codec in codecs {
        let pt = payload_type(codec);
        match codec {
            CodecKind::Opus => attributes.push_str(&format!(
                "a=rtpmap:{pt} opus/48000/2\r\na=fmtp:{pt} useinbandfec=1;maxplaybackrate=16000\r\n"
            )),
            _ => attributes.push_str(&format!("a=rtpmap:{pt} {}/8000\r\n", codec.sdp_name())),
        }
    }
    for (pt, clock_hz) in [(EVENT_8K, 8_000), (EVENT_48K, 48_000)] {
        if codecs.iter().any(|codec| codec.clock_hz() == clock_hz) {
            types.push(pt.to_string());
            attributes.push_str(&format!(
                "a=rtpmap:{pt} telephone-event/{clock_hz}\r\na=fmtp:{pt} 0-15\r\n"
            ));
        }
    }
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=vox\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {}\r\n{attributes}a=ptime:20\r\na=sendrecv\r\n",
        types.join(" ")
    )
}

/// Reads the answer to an [`offer`] of `codecs`.
pub fn answer(body: &[u8], codecs: &[CodecKind]) -> Result<Agreed, SdpError> {
    let session = Session::parse(body).map_err(|error| SdpError::Syntax(error.to_string()))?;
    let media = session
        .medias
        .iter()
        .find(|m| m.media == "audio" && m.port != 0)
        .ok_or(SdpError::NoAudio)?;
    let connection = media.connections.first().or(session.connection.as_ref());
    let ip: IpAddr =
        connection.and_then(|c| c.connection_address.parse().ok()).ok_or(SdpError::NoAddress)?;
    let types: Vec<u8> = media.fmt.split_whitespace().filter_map(|pt| pt.parse().ok()).collect();
    let codec =
        types.iter().find_map(|&pt| codecs.iter().copied().find(|&c| payload_type(c) == pt));
    let codec = codec.ok_or_else(|| SdpError::NoCodec(media.fmt.clone()))?;
    Ok(Agreed {
        remote: SocketAddr::new(ip, media.port),
        codec,
        payload_type: payload_type(codec),
        event_payload_type: event_type(media, codec.clock_hz()),
    })
}

fn event_type(media: &Media, clock_hz: u32) -> Option<u8> {
    let wanted = format!("telephone-event/{clock_hz}");
    let maps = media
        .attributes
        .iter()
        .filter(|a| a.attribute == "rtpmap")
        .filter_map(|a| a.value.as_deref());
    maps.filter_map(|map| map.split_once(' '))
        .find(|(_, name)| name.trim().eq_ignore_ascii_case(&wanted))
        .and_then(|(pt, _)| pt.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [CodecKind; 4] =
        [CodecKind::Opus, CodecKind::G722, CodecKind::Pcmu, CodecKind::Pcma];

    fn read(lines: &str) -> Result<Agreed, SdpError> {
        let text = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{lines}");
        answer(text.as_bytes(), &ALL)
    }

    #[test]
    fn our_own_offer_reads_as_an_answer_that_takes_the_first_codec() {
        for &codec in &ALL {
            let local: SocketAddr = "127.0.0.1:40000".parse().unwrap();
            let agreed = answer(offer(local, &[codec]).as_bytes(), &ALL).unwrap();
            assert_eq!((agreed.remote, agreed.codec), (local, codec));
            let event = if codec == CodecKind::Opus { EVENT_48K } else { EVENT_8K };
            assert_eq!(agreed.event_payload_type, Some(event));
        }
    }

    #[test]
    fn an_answer_that_cannot_be_used_says_why() {
        assert!(matches!(answer(b"hello", &ALL), Err(SdpError::Syntax(_))));
        for (lines, expected) in [
            ("c=IN IP4 127.0.0.1\r\n", SdpError::NoAudio),
            ("c=IN IP4 127.0.0.1\r\nm=audio 0 RTP/AVP 0\r\n", SdpError::NoAudio),
            ("m=audio 4000 RTP/AVP 0\r\n", SdpError::NoAddress),
            (
                "c=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 3 18\r\n",
                SdpError::NoCodec("3 18".into()),
            ),
        ] {
            assert_eq!(read(lines), Err(expected), "{lines}");
        }
    }
}
