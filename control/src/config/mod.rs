//! What a worker is started with.

use std::net::IpAddr;

use vox_codecs::CodecKind;

/// The SIP side.
#[derive(Debug, Clone, PartialEq)]
pub struct SipConfig {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port to listen on, for UDP and TCP alike.
    pub port: u16,
    /// Listen on UDP.
    pub udp: bool,
    /// Listen on TCP.
    pub tcp: bool,
    /// Address put into Contact and SDP when it is not the one listened on (behind NAT).
    pub advertise: Option<IpAddr>,
    /// Codecs offered and accepted, in our order of preference.
    pub codecs: Vec<CodecKind>,
    /// Send and understand telephone-event (RFC 4733).
    pub telephone_event: bool,
    /// Seconds in `Retry-After` of 486 and 503.
    pub retry_after_seconds: u32,
}
