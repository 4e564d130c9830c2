//! Our side of a call's session description: offers, later offers, and answers (RFC 3264).

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Media, Session as Sdp};
use vox_codecs::CodecKind;

use crate::media::{Agreed, Direction, SdpError, answer, offer};

/// What we have said about ourselves so far.
#[derive(Debug, Clone)]
pub struct Session {
    local: SocketAddr,
    /// Grows with each description that we send (RFC 3264 §8).
    version: u32,
}

impl Session {
    /// One that is heard at `local`.
    pub const fn new(local: SocketAddr) -> Self {
        Self { local, version: 0 }
    }

    /// An offer of `codecs`.
    pub fn offer(&mut self, codecs: &[CodecKind], direction: Direction) -> Vec<u8> {
        self.finish(offer(self.local, codecs), direction)
    }

    /// Reads the answer to an offer of `codecs`.
    pub fn answered(
        &self,
        body: &[u8],
        codecs: &[CodecKind],
    ) -> Result<(Agreed, Direction), SdpError> {
        let agreed = answer(body, codecs)?;
        let sdp = Sdp::parse(body).map_err(|error| SdpError::Syntax(error.to_string()))?;
        Ok((agreed, seen_from_us(&sdp)))
    }

    /// Answers the other side's offer with the first of `codecs` that is in it.
    pub fn accept(
        &mut self,
        body: &[u8],
        codecs: &[CodecKind],
    ) -> Result<(Agreed, Direction, Vec<u8>), SdpError> {
        let sdp = Sdp::parse(body).map_err(|error| SdpError::Syntax(error.to_string()))?;
        let agreed = choose(&sdp, codecs)?;
        let direction = seen_from_us(&sdp);
        let text = self.finish(answer_text(self.local, &agreed), direction);
        Ok((agreed, direction, text))
    }

    fn finish(&mut self, text: String, direction: Direction) -> Vec<u8> {
        self.version += 1;
        let origin = format!("o=- 1 {} IN", self.version);
        text.replace("o=- 1 1 IN", &origin).replace("a=sendrecv", attribute(direction)).into_bytes()
    }
}

const fn attribute(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "a=sendrecv",
        Direction::SendOnly => "a=sendonly",
        Direction::RecvOnly => "a=recvonly",
        Direction::Inactive => "a=inactive",
    }
}

/// The other side's direction, from our side.
fn seen_from_us(sdp: &Sdp) -> Direction {
    let of_media = sdp.medias.iter().filter(|media| media.media == "audio");
    let attributes = of_media.flat_map(|media| &media.attributes).chain(&sdp.attributes);
    let mut directions = attributes.filter_map(|attribute| match attribute.attribute.as_str() {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::RecvOnly),
        "recvonly" => Some(Direction::SendOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    });
    directions.next().unwrap_or(Direction::SendRecv)
}

fn choose(sdp: &Sdp, codecs: &[CodecKind]) -> Result<Agreed, SdpError> {
    let media = sdp.medias.iter().find(|media| media.media == "audio" && media.port != 0);
    let media = media.ok_or(SdpError::NoAudio)?;
    let connection = media.connections.first().or(sdp.connection.as_ref());
    let ip: IpAddr = connection
        .and_then(|connection| connection.connection_address.parse().ok())
        .ok_or(SdpError::NoAddress)?;
    let mut types = media.fmt.split_whitespace().filter_map(|pt| pt.parse::<u8>().ok());
    let offered: Vec<(u8, String)> =
        types.by_ref().map(|pt| (pt, name_of(media, pt).to_lowercase())).collect();
    let found = codecs.iter().find_map(|&codec| {
        let wanted = codec.sdp_name().to_lowercase();
        let is = |name: &str| name.split('/').next() == Some(wanted.as_str());
        offered.iter().find(|(_, name)| is(name)).map(|(pt, _)| (codec, *pt))
    });
    let (codec, payload_type) = found.ok_or_else(|| SdpError::NoCodec(media.fmt.clone()))?;
    let events = format!("telephone-event/{}", codec.clock_hz());
    let event_payload_type = offered.iter().find(|(_, name)| *name == events).map(|(pt, _)| *pt);
    let remote = SocketAddr::new(ip, media.port);
    Ok(Agreed { remote, codec, payload_type, event_payload_type })
}

/// What a payload type stands for: as mapped, or by RFC 3551 §6.
fn name_of(media: &Media, payload_type: u8) -> String {
    let maps = media.attributes.iter().filter(|attribute| attribute.attribute == "rtpmap");
    let mut maps = maps.filter_map(|map| map.value.as_deref()?.split_once(' '));
    let mapped = maps.find(|(pt, _)| pt.parse() == Ok(payload_type));
    match (mapped, payload_type) {
        (Some((_, name)), _) => name.trim().to_owned(),
        (None, 0) => "PCMU/8000".into(),
        (None, 8) => "PCMA/8000".into(),
        (None, 9) => "G722/8000".into(),
        (None, _) => String::new(),
    }
}

fn answer_text(local: SocketAddr, agreed: &Agreed) -> String {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port, pt) = (local.ip(), local.port(), agreed.payload_type);
    let (mut types, clock_hz) = (pt.to_string(), agreed.codec.clock_hz());
    let channels = if agreed.codec == CodecKind::Opus { "/2" } else { "" };
    let mut attributes =
        format!("a=rtpmap:{pt} {}/{clock_hz}{channels}\r\n", agreed.codec.sdp_name());
    if let Some(events) = agreed.event_payload_type {
        types.push_str(&format!(" {events}"));
        attributes.push_str(&format!(
            "a=rtpmap:{events} telephone-event/{clock_hz}\r\na=fmtp:{events} 0-15\r\n"
        ));
    }
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=vox\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {types}\r\n{attributes}a=ptime:20\r\na=sendrecv\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [CodecKind; 4] =
        [CodecKind::Pcmu, CodecKind::Pcma, CodecKind::G722, CodecKind::Opus];

    fn session() -> Session {
        Session::new("127.0.0.1:40000".parse().unwrap())
    }

    fn offered(lines: &str) -> Vec<u8> {
        format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{lines}")
            .into_bytes()
    }

    #[test]
    fn each_description_has_a_new_version_and_says_which_way_audio_goes() {
        let mut session = session();
        for (nth, (direction, attribute)) in [
            (Direction::SendRecv, "a=sendrecv"),
            (Direction::SendOnly, "a=sendonly"),
            (Direction::Inactive, "a=inactive"),
        ]
        .into_iter()
        .enumerate()
        {
            let text = String::from_utf8(session.offer(&ALL, direction)).unwrap();
            assert!(text.contains(&format!("o=- 1 {} IN IP4", nth + 1)), "{text}");
            assert!(text.contains(attribute), "{text}");
        }
    }

    #[test]
    fn an_offer_is_answered_with_our_best_codec_under_its_number() {
        for (lines, codec, payload_type, events) in [
            ("m=audio 4000 RTP/AVP 8 0\r\n", CodecKind::Pcmu, 0, None),
            ("m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 pcma/8000\r\n", CodecKind::Pcma, 8, None),
            (
                "m=audio 4000 RTP/AVP 96 97 98\r\na=rtpmap:96 opus/48000/2\r\n\
                 a=rtpmap:97 telephone-event/8000\r\na=rtpmap:98 telephone-event/48000\r\n",
                CodecKind::Opus,
                96,
                Some(98),
            ),
        ] {
            let (agreed, direction, text) = session().accept(&offered(lines), &ALL).unwrap();
            assert_eq!((agreed.codec, agreed.payload_type), (codec, payload_type), "{lines}");
            assert_eq!(
                (agreed.event_payload_type, direction),
                (events, Direction::SendRecv),
                "{lines}"
            );
            assert_eq!(agreed.remote, "192.0.2.7:4000".parse().unwrap());
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains(&format!("m=audio 40000 RTP/AVP {payload_type}")), "{text}");
        }
    }

    #[test]
    fn a_side_that_is_put_on_hold_knows_it() {
        for (theirs, ours, said) in [
            ("sendonly", Direction::RecvOnly, "a=recvonly"),
            ("recvonly", Direction::SendOnly, "a=sendonly"),
            ("inactive", Direction::Inactive, "a=inactive"),
            ("sendrecv", Direction::SendRecv, "a=sendrecv"),
        ] {
            let body = offered(&format!("m=audio 4000 RTP/AVP 0\r\na={theirs}\r\n"));
            let (_, direction, text) = session().accept(&body, &ALL).unwrap();
            assert_eq!(direction, ours);
            assert!(String::from_utf8(text).unwrap().contains(said));
        }
    }

    #[test]
    fn an_offer_that_cannot_be_answered_says_why() {
        for (lines, expected) in [
            ("", SdpError::NoAudio),
            ("m=audio 4000 RTP/AVP 18 101\r\n", SdpError::NoCodec("18 101".into())),
        ] {
            assert_eq!(session().accept(&offered(lines), &ALL).unwrap_err(), expected);
        }
        assert!(matches!(session().accept(b"", &ALL), Err(SdpError::Syntax(_))));
    }
}
