use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sdp_types::{Direction as SdpDirection, Media, RtpMap, Session};

use super::SdpRefusal;

/// A peer's description, reduced to the one audio stream we may take.
#[derive(Debug)]
pub(super) struct Described {
    /// All of it, for the other streams.
    pub(super) session: Session,
    /// Index of the audio stream in `session.medias`.
    pub(super) taken: usize,
    /// Payload types in the peer's order.
    pub(super) formats: Vec<Format>,
    /// The connection address; `None` is the old way to hold (`0.0.0.0`, RFC 3264 §8.4).
    pub(super) address: Option<IpAddr>,
    /// The RTP port. Not 0.
    pub(super) port: u16,
    /// Where RTCP goes when not to the next port.
    pub(super) rtcp: Option<SocketAddr>,
    pub(super) rtcp_mux: bool,
    /// Which way media flows, seen from the peer.
    pub(super) direction: SdpDirection,
    pub(super) ptime_ms: Option<u32>,
    pub(super) maxptime_ms: Option<u32>,
}

/// One payload type of an `m=` line with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    pub(super) name: String,
    pub(super) clock_hz: u32,
    pub(super) channels: u32,
}

impl Described {
    /// Reads `text` and picks the first audio stream that we could take.
    pub(super) fn parse(text: &[u8]) -> Result<Self, SdpRefusal> {
        let session =
            Session::parse(text).map_err(|error| SdpRefusal::Malformed(error.to_string()))?;
        if session.medias.len() > STREAMS_MAX {
            return Err(SdpRefusal::Malformed(format!("more than {STREAMS_MAX} streams")));
        }
        let taken = first_usable(&session.medias)?;
        let media = &session.medias[taken];
        let address = connection(&session, media)?;
        Ok(Self {
            taken,
            formats: formats(media),
            address,
            port: media.port,
            rtcp: rtcp(media, address),
            rtcp_mux: media.has_attribute("rtcp-mux"),
            direction: direction(&session, media),
            ptime_ms: milliseconds(media, "ptime"),
            maxptime_ms: milliseconds(media, "maxptime"),
            session,
        })
    }

    /// The taken stream as described.
    pub(super) fn media(&self) -> &Media {
        &self.session.medias[self.taken]
    }
}

fn first_usable(medias: &[Media]) -> Result<usize, SdpRefusal> {
    let offered = |media: &&Media| media.media == "audio" && media.port != 0;
    if let Some(index) = medias.iter().position(|m| offered(&m) && is_plain_rtp(m)) {
        return Ok(index);
    }
    let profile = medias.iter().find(offered).map(|media| media.proto.clone());
    Err(profile.map_or(SdpRefusal::NoAudio, SdpRefusal::Profile))
}

fn is_plain_rtp(media: &Media) -> bool {
    media.proto.eq_ignore_ascii_case("RTP/AVP") || media.proto.eq_ignore_ascii_case("RTP/AVPF")
}

/// RFC 8866 §5.7: the stream's own `c=` line wins over the session's.
fn connection(session: &Session, media: &Media) -> Result<Option<IpAddr>, SdpRefusal> {
    let connection = media.connections.first().or(session.connection.as_ref());
    let connection =
        connection.ok_or_else(|| SdpRefusal::Malformed("no connection address".into()))?;
    let written = &connection.connection_address;
    match connection.try_address() {
        Ok(address) if address.ip.is_unspecified() => Ok(None),
        Ok(address) if !address.ip.is_multicast() => Ok(Some(address.ip)),
        _ => Err(SdpRefusal::Address(written.clone())),
    }
}

/// RFC 3551 §6 gives payload types below 35 a meaning without an `a=rtpmap`.
fn formats(media: &Media) -> Vec<Format> {
    let maps: BTreeMap<u8, RtpMap> =
        media.attributes_typed::<RtpMap>().flatten().map(|map| (map.payload_type, map)).collect();
    let payload_types = media.fmt.split_ascii_whitespace().take(FORMATS_MAX);
    payload_types.filter_map(|text| format(text.parse().ok()?, &maps)).collect()
}

fn format(payload_type: u8, maps: &BTreeMap<u8, RtpMap>) -> Option<Format> {
    let (name, clock_hz, channels) = match maps.get(&payload_type) {
        Some(map) => {
            let channels =
                map.encoding_params.as_deref().map_or(Some(1), |c| c.trim().parse().ok());
            (map.encoding_name.as_str(), map.clock_rate, channels?)
        }
        None => match payload_type {
            0 => ("PCMU", 8_000, 1),
            8 => ("PCMA", 8_000, 1),
            9 => ("G722", 8_000, 1),
            13 => ("CN", 8_000, 1),
            _ => return None,
        },
    };
    Some(Format { payload_type, name: name.to_owned(), clock_hz, channels })
}

/// RFC 3605: `a=rtcp:port [IN IP4 address]`.
fn rtcp(media: &Media, address: Option<IpAddr>) -> Option<SocketAddr> {
    let rtcp = media.get_first_attribute_typed::<sdp_types::Rtcp>()?.ok()?;
    let own = rtcp.connection_address.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    let address = own.or(address).filter(|ip| !ip.is_unspecified() && !ip.is_multicast())?;
    (rtcp.port != 0).then(|| SocketAddr::new(address, rtcp.port))
}

fn direction(session: &Session, media: &Media) -> SdpDirection {
    let named = |attribute: &sdp_types::Attribute| attribute.attribute.parse().ok();
    let own = media.attributes.iter().find_map(named);
    own.or_else(|| session.attributes.iter().find_map(named)).unwrap_or_default()
}

fn milliseconds(media: &Media, name: &str) -> Option<u32> {
    // Some write "20.0": the fraction does not matter.
    let text = media.get_first_attribute_value(name)??.trim();
    text.split('.').next()?.parse().ok()
}

/// `m=` lines in a description: an offer has a handful; each costs a line of the answer.
const STREAMS_MAX: usize = 16;
/// Payload types looked at in a stream: there are 128 in all, phones offer up to about 20.
const FORMATS_MAX: usize = 128;
