use std::net::SocketAddr;

use sdp_types::Direction as SdpDirection;
use vox_call::Direction;
use vox_codecs::CodecKind;

use super::read::{Described, Format};
use super::{LocalMedia, MediaAgreement, MediaPolicy, Prefer, SdpRefusal, write};

/// Answers an offer: what is agreed, and the text of the answer.
pub fn negotiate(
    offer: &[u8],
    policy: &MediaPolicy,
    local: &LocalMedia,
) -> Result<(MediaAgreement, String), SdpRefusal> {
    let described = Described::parse(offer)?;
    let (agreement, event_clock_hz) = agree(&described, policy, local)?;
    let answer = write::answer(&described, &agreement, event_clock_hz, local);
    Ok((agreement, answer))
}

/// Reads the answer to an [`offer`](super::offer) of ours.
pub fn accept(
    answer: &[u8],
    policy: &MediaPolicy,
    local: &LocalMedia,
) -> Result<MediaAgreement, SdpRefusal> {
    let described = Described::parse(answer)?;
    // RFC 3264 §6: as many streams as offered, and we offer one.
    if described.session.medias.len() != 1 {
        return Err(SdpRefusal::Malformed("expected one stream, as offered".into()));
    }
    agree(&described, policy, local).map(|(agreement, _)| agreement)
}

fn agree(
    described: &Described,
    policy: &MediaPolicy,
    local: &LocalMedia,
) -> Result<(MediaAgreement, u32), SdpRefusal> {
    let (codec, format) = choose(&described.formats, policy)
        .ok_or_else(|| SdpRefusal::NoCommonCodec(described.media().fmt.clone()))?;
    let (remote, held) = match described.address {
        Some(ip) if ip.is_ipv4() != local.rtp.is_ipv4() => {
            return Err(SdpRefusal::Address(ip.to_string()));
        }
        Some(ip) => (SocketAddr::new(ip, described.port), false),
        None => (SocketAddr::new(unspecified_like(local.rtp), described.port), true),
    };
    let event = event(&described.formats, codec);
    let agreement = MediaAgreement {
        remote,
        remote_rtcp: if held { None } else { remote_rtcp(described, remote) },
        rtcp_mux: described.rtcp_mux,
        codec,
        payload_type: format.payload_type,
        event_payload_type: event.map(|event| event.payload_type),
        noise_payload_type: noise(&described.formats, codec),
        direction: if held { Direction::Inactive } else { mirrored(described.direction) },
        ptime_ms: ptime_ms(described, codec),
    };
    Ok((agreement, event.map_or(0, |event| event.clock_hz)))
}

fn choose<'a>(formats: &'a [Format], policy: &MediaPolicy) -> Option<(CodecKind, &'a Format)> {
    let of = |format: &Format| policy.codecs.iter().copied().find(|codec| speaks(format, *codec));
    match policy.prefer {
        Prefer::Theirs => formats.iter().find_map(|format| Some((of(format)?, format))),
        Prefer::Ours => policy.codecs.iter().find_map(|&codec| {
            let format = formats.iter().find(|format| speaks(format, codec))?;
            Some((codec, format))
        }),
    }
}

fn speaks(format: &Format, codec: CodecKind) -> bool {
    // RFC 7587 §4.1: Opus is always written as two channels, whatever is coded.
    let channels = if codec == CodecKind::Opus { 2 } else { 1 };
    format.name.eq_ignore_ascii_case(codec.sdp_name())
        && format.clock_hz == codec.clock_hz()
        && format.channels == channels
}

/// RFC 4733 §2.1 wants the clock of the audio it accompanies. Phones that offer only 8,000 Hz
/// beside Opus (baresip) send it all the same: better that one than none.
fn event(formats: &[Format], codec: CodecKind) -> Option<&Format> {
    let mut events = formats.iter().filter(|f| f.name.eq_ignore_ascii_case("telephone-event"));
    let matching = events.clone().find(|event| event.clock_hz == codec.clock_hz());
    matching.or_else(|| events.next())
}

fn noise(formats: &[Format], codec: CodecKind) -> Option<u8> {
    let narrow = matches!(codec, CodecKind::Pcmu | CodecKind::Pcma);
    let noise = |f: &&Format| f.name.eq_ignore_ascii_case("CN") && f.clock_hz == 8_000;
    formats.iter().find(noise).filter(|_| narrow).map(|format| format.payload_type)
}

fn remote_rtcp(described: &Described, remote: SocketAddr) -> Option<SocketAddr> {
    if described.rtcp_mux {
        return Some(remote);
    }
    let next = || Some(SocketAddr::new(remote.ip(), remote.port().checked_add(1)?));
    described.rtcp.filter(|rtcp| rtcp.is_ipv4() == remote.is_ipv4()).or_else(next)
}

/// RFC 3264 §6.1: what they send we receive.
fn mirrored(theirs: SdpDirection) -> Direction {
    match theirs {
        SdpDirection::SendRecv => Direction::SendRecv,
        SdpDirection::SendOnly => Direction::RecvOnly,
        SdpDirection::RecvOnly => Direction::SendOnly,
        SdpDirection::Inactive => Direction::Inactive,
    }
}

/// The longest packet we can send that is no longer than they like. Below 20 ms we cannot go.
fn ptime_ms(described: &Described, codec: CodecKind) -> u8 {
    if codec == CodecKind::Opus {
        return 20;
    }
    let wished = described.ptime_ms.unwrap_or(20);
    match wished.min(described.maxptime_ms.unwrap_or(u32::MAX)) {
        60.. => 60,
        40.. => 40,
        _ => 20,
    }
}

fn unspecified_like(address: SocketAddr) -> std::net::IpAddr {
    if address.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    }
}
