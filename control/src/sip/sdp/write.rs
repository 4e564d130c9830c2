use sdp_types::{Attribute, Connection, Media, Origin, Session};
use vox_call::Direction;
use vox_codecs::CodecKind;

use super::read::Described;
use super::{LocalMedia, MediaAgreement, MediaPolicy};

/// Our own offer, for an INVITE that brought none: all our codecs, best first.
pub fn offer(policy: &MediaPolicy, local: &LocalMedia) -> String {
    let codecs = policy.codecs.iter().map(|&codec| (payload_type(codec), codec));
    let mut lines: Vec<Attribute> =
        codecs.clone().flat_map(|(pt, codec)| codec_lines(pt, codec)).collect();
    let mut payload_types: Vec<u8> = codecs.map(|(pt, _)| pt).collect();
    let mut add = |pt: u8, rtpmap: &str| {
        payload_types.push(pt);
        lines.push(Attribute::with_value("rtpmap", format!("{pt} {rtpmap}")));
        if rtpmap.starts_with("telephone-event") {
            lines.push(Attribute::with_value("fmtp", format!("{pt} 0-15")));
        }
    };
    let has = |narrow| policy.codecs.iter().any(|codec| (codec.clock_hz() == 8_000) == narrow);
    if has(true) {
        add(13, "CN/8000");
        add(101, "telephone-event/8000");
    }
    if has(false) {
        add(102, "telephone-event/48000");
    }
    lines.extend(timing_lines(20));
    lines.push(Attribute::new("sendrecv"));
    lines.push(Attribute::new("rtcp-mux"));
    let fmt = payload_types.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    let mut session = described(local);
    session.medias.push(audio(local, "RTP/AVP", fmt, lines));
    session.to_string()
}

/// The answer to `offer`: the agreed stream, and port 0 for every other one (RFC 3264 §6).
pub(super) fn answer(
    offer: &Described,
    agreement: &MediaAgreement,
    event_clock_hz: u32,
    local: &LocalMedia,
) -> String {
    let mut session = described(local);
    session.times = offer.session.times.clone();
    for (index, media) in offer.session.medias.iter().enumerate() {
        session.medias.push(if index == offer.taken {
            taken(media, agreement, event_clock_hz, local)
        } else {
            rejected(media)
        });
    }
    session.to_string()
}

fn taken(
    offered: &Media,
    agreement: &MediaAgreement,
    event_clock_hz: u32,
    local: &LocalMedia,
) -> Media {
    let mut payload_types = vec![agreement.payload_type];
    let mut lines = codec_lines(agreement.payload_type, agreement.codec);
    if let Some(pt) = agreement.event_payload_type {
        payload_types.push(pt);
        lines.push(Attribute::with_value(
            "rtpmap",
            format!("{pt} telephone-event/{event_clock_hz}"),
        ));
        lines.push(Attribute::with_value("fmtp", format!("{pt} 0-15")));
    }
    if let Some(pt) = agreement.noise_payload_type {
        payload_types.push(pt);
        lines.push(Attribute::with_value("rtpmap", format!("{pt} CN/8000")));
    }
    lines.extend(timing_lines(agreement.ptime_ms));
    lines.push(Attribute::new(direction(agreement.direction)));
    if agreement.rtcp_mux {
        lines.push(Attribute::new("rtcp-mux"));
    }
    let fmt = payload_types.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    audio(local, &offered.proto, fmt, lines)
}

fn rejected(offered: &Media) -> Media {
    Media {
        port: 0,
        num_ports: None,
        media: offered.media.clone(),
        proto: offered.proto.clone(),
        // At least one format has to be listed, and its choice has no meaning.
        fmt: offered.fmt.split_ascii_whitespace().next().unwrap_or("0").to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

fn described(local: &LocalMedia) -> Session {
    let origin = Origin::with_ip_addr(local.session_id, local.version, local.rtp.ip());
    let mut session = Session::new(origin, "Vox");
    session.connection = Some(Connection::from_ip_addr(local.rtp.ip()));
    session
}

fn audio(local: &LocalMedia, proto: &str, fmt: String, attributes: Vec<Attribute>) -> Media {
    Media {
        media: "audio".into(),
        port: local.rtp.port(),
        num_ports: None,
        proto: proto.into(),
        fmt,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes,
    }
}

fn codec_lines(pt: u8, codec: CodecKind) -> Vec<Attribute> {
    let (name, clock_hz) = (codec.sdp_name(), codec.clock_hz());
    match codec {
        // RFC 7587 §6.1: we code 16 kHz mono; the name still says 48000/2.
        CodecKind::Opus => vec![
            Attribute::with_value("rtpmap", format!("{pt} {name}/{clock_hz}/2")),
            Attribute::with_value(
                "fmtp",
                format!("{pt} useinbandfec=1;maxplaybackrate=16000;sprop-maxcapturerate=16000"),
            ),
        ],
        _ => vec![Attribute::with_value("rtpmap", format!("{pt} {name}/{clock_hz}"))],
    }
}

fn timing_lines(ptime_ms: u8) -> [Attribute; 2] {
    [Attribute::with_value("ptime", ptime_ms), Attribute::with_value("maxptime", 60)]
}

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    }
}

/// The payload type we offer a codec with: RFC 3551's where there is one.
const fn payload_type(codec: CodecKind) -> u8 {
    match codec {
        CodecKind::Pcmu => 0,
        CodecKind::Pcma => 8,
        CodecKind::G722 => 9,
        CodecKind::Opus => 96,
        CodecKind::L16 => 97,
    }
}
