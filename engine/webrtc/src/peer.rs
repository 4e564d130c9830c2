use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{DatagramSend, Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Rtc, RtcConfig};

use crate::offer::{CHANNELS, Channel, OPUS_PAYLOAD_TYPE, Offer};

/// The certificate that a process shows in its DTLS handshakes. Costly to make: once.
#[derive(Debug, Clone)]
pub struct Identity(DtlsCert);

impl Identity {
    /// A new self-signed certificate (ECDSA P-256).
    pub fn new() -> Result<Self, PeerError> {
        let made = crypto().dtls_provider.generate_certificate();
        made.map(Self).ok_or_else(|| PeerError("no certificate can be made".into()))
    }
}

/// One peer connection. Built away from the packets' way: it costs about a millisecond.
pub struct Peer {
    rtc: Rtc,
    local: SocketAddr,
    clock: Clock,
    /// The line that our track is on.
    sending: Mid,
    /// Lines that we can hear somebody on.
    hearing: Vec<Mid>,
    pending: Option<SdpPendingOffer>,
    channels: [ChannelId; CHANNELS.len()],
    /// Said to be connected.
    connected: bool,
    /// Nothing more will come.
    over: bool,
    /// Messages for channels that are not open yet.
    unsent: Vec<(ChannelId, Vec<u8>)>,
    /// Rollovers of the sequence number that we send.
    sent: Option<u64>,
}

/// What a peer gives when it is polled.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is looked at once and gone")]
pub enum Output {
    /// A datagram to be sent.
    Send {
        /// Where to.
        to: SocketAddr,
        /// Its bytes.
        datagram: DatagramSend,
    },
    /// A packet of audio came, authenticated and decrypted.
    Audio(Audio),
    /// Something else happened.
    Event(PeerEvent),
    /// Nothing left, until a datagram comes or time has passed.
    Idle,
}

/// A decrypted RTP packet.
#[derive(Debug)]
pub struct Audio(RtpPacket);

/// What happens to a peer besides packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// ICE and DTLS are done: audio can flow. Again after an interruption.
    Connected,
    /// Nothing is heard from the other side any more (RFC 7675). It may come back.
    Interrupted,
    /// A message on a data channel of ours.
    Data(Vec<u8>),
    /// What was signalled is of no use: a candidate or an answer.
    Refused(String),
    /// It is over.
    Closed(String),
}

/// Why a peer cannot do what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerError(String);

impl Peer {
    /// A peer on a socket that is bound to `local`, with an [`Offer`] of `lines` lines to hear on.
    pub fn offer(
        identity: &Identity,
        local: SocketAddr,
        track: &str,
        lines: usize,
    ) -> Result<(Self, Offer), PeerError> {
        let now = Instant::now();
        let mut rtc = config(identity).build(now);
        rtc.add_local_candidate(Candidate::host(local, "udp").map_err(PeerError::new)?);
        let mut changes = rtc.sdp_api();
        let track = track.to_owned();
        let sending = changes.add_media(
            MediaKind::Audio,
            Direction::SendOnly,
            Some(track.clone()),
            Some(track),
            None,
        );
        let mut hear =
            || changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let hearing = (0..lines).map(|_| hear()).collect();
        let channels = CHANNELS.map(|channel| changes.add_channel_with_config(channel.config()));
        let (offer, pending) =
            changes.apply().ok_or_else(|| PeerError("nothing to offer".into()))?;
        let peer = Self {
            rtc,
            local,
            clock: Clock::new(now),
            sending,
            hearing,
            pending: Some(pending),
            channels,
            connected: false,
            over: false,
            unsent: Vec::new(),
            sent: None,
        };
        Ok((peer, Offer::new(&offer.to_sdp_string())))
    }

    /// Another offer, with so many more lines to hear on; with new credentials when the path is to
    /// be found anew (RFC 8445 §2.4).
    pub fn offer_again(&mut self, more: usize, restart: bool) -> Option<Offer> {
        let mut changes = self.rtc.sdp_api();
        for _ in 0..more {
            let mid = changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
            self.hearing.push(mid);
        }
        if restart {
            changes.ice_restart(true);
        }
        // Lines that nobody was put on were answered as inactive, and there is an offer only where
        // something changes.
        for &mid in &self.hearing {
            changes.set_direction(mid, Direction::Inactive);
            changes.set_direction(mid, Direction::RecvOnly);
        }
        let (offer, pending) = changes.apply()?;
        self.pending = Some(pending);
        Some(Offer::new(&offer.to_sdp_string()))
    }

    /// Reads the answer to the last offer.
    pub fn answer(&mut self, sdp: &str) -> Result<(), PeerError> {
        let pending =
            self.pending.take().ok_or_else(|| PeerError("an answer, but to no offer".into()))?;
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(PeerError::unusable)?;
        self.rtc.sdp_api().accept_answer(pending, answer).map_err(PeerError::unusable)
    }

    /// A candidate of the other side's: `candidate:…` (RFC 8839 §5.1).
    pub fn candidate(&mut self, text: &str) -> Result<(), PeerError> {
        let candidate = Candidate::from_sdp_string(text).map_err(PeerError::new)?;
        self.rtc.add_remote_candidate(candidate);
        Ok(())
    }

    /// A datagram arrived; `since` is the owner's clock. What is not understood is dropped: `false`.
    pub fn receive(&mut self, since: Duration, source: SocketAddr, datagram: &[u8]) -> bool {
        let Ok(contents) = datagram.try_into() else { return false };
        let (proto, destination) = (Protocol::Udp, self.local);
        let receive = Receive { proto, source, destination, contents };
        let input = Input::Receive(self.clock.at(since), receive);
        self.rtc.accepts(&input) && self.rtc.handle_input(input).is_ok()
    }

    /// Time has passed.
    pub fn tick(&mut self, since: Duration) {
        // What fails here shows in the next poll.
        let _ = self.rtc.handle_input(Input::Timeout(self.clock.at(since)));
    }

    /// Queues a packet of our track, given as plain RTP without extensions: [`poll`](Self::poll)
    /// gives it sealed.
    pub fn send(&mut self, since: Duration, rtp: &[u8]) {
        let Some((header, payload)) = rtp.split_first_chunk::<RTP_HEADER>() else { return };
        let seq = u16::from_be_bytes([header[2], header[3]]);
        let time = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let now = self.clock.at(since);
        let seq = self.extended(seq);
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(self.sending, None) else { return };
        let write = RtpWrite::new(Pt::from(OPUS_PAYLOAD_TYPE), seq.into(), time, now, payload);
        stream.write_rtp(write.marker(header[1] & MARKER != 0));
        self.tick(since);
    }

    /// Queues a message on a data channel, which waits when that is not open yet. `false` when there
    /// is no more room.
    pub fn send_data(&mut self, channel: Channel, bytes: &[u8]) -> bool {
        let id = self.channels[channel as usize];
        if let Some(mut channel) = self.rtc.channel(id) {
            return channel.write(true, bytes).unwrap_or(false);
        }
        let waits = self.unsent.len() < UNSENT;
        if waits {
            self.unsent.push((id, bytes.to_vec()));
        }
        waits
    }

    /// Says goodbye; the rest is polled.
    pub fn close(&mut self) {
        let _ = self.rtc.close();
    }

    /// What is to be done or was learnt, until [`Output::Idle`].
    pub fn poll(&mut self) -> Output {
        loop {
            match self.rtc.poll_output() {
                Ok(str0m::Output::Transmit(transmit)) => {
                    let (to, datagram) = (transmit.destination, transmit.contents);
                    return Output::Send { to, datagram };
                }
                Ok(str0m::Output::Event(Event::RtpPacket(packet))) => {
                    return Output::Audio(Audio(packet));
                }
                Ok(str0m::Output::Event(event)) => {
                    if let Some(event) = self.learn(event) {
                        return Output::Event(event);
                    }
                }
                Ok(str0m::Output::Timeout(_)) => return Output::Idle,
                Err(error) => return self.closed(error.to_string()),
            }
        }
    }

    /// Whether ICE and DTLS are done.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    fn learn(&mut self, event: Event) -> Option<PeerEvent> {
        match event {
            Event::Connected => {
                self.connected = true;
                Some(PeerEvent::Connected)
            }
            Event::IceConnectionStateChange(state) => match state {
                IceConnectionState::Disconnected if self.connected => {
                    self.connected = false;
                    Some(PeerEvent::Interrupted)
                }
                IceConnectionState::Connected | IceConnectionState::Completed
                    if self.rtc.is_connected() && !self.connected =>
                {
                    self.connected = true;
                    Some(PeerEvent::Connected)
                }
                _ => None,
            },
            Event::ChannelOpen(opened, _) => {
                for (id, bytes) in std::mem::take(&mut self.unsent) {
                    match self.rtc.channel(id).filter(|_| id == opened) {
                        Some(mut channel) => drop(channel.write(true, &bytes)),
                        None => self.unsent.push((id, bytes)),
                    }
                }
                None
            }
            Event::ChannelData(data) => Some(PeerEvent::Data(data.data)),
            Event::Closed => {
                self.over = true;
                Some(PeerEvent::Closed("the other side closed the connection".into()))
            }
            _ => None,
        }
    }

    fn closed(&mut self, why: String) -> Output {
        // Said once: a broken peer gives the same error again and again.
        match std::mem::replace(&mut self.over, true) {
            true => Output::Idle,
            false => Output::Event(PeerEvent::Closed(why)),
        }
    }

    /// The sequence number with its rollovers (RFC 3711 §3.3.1): ours goes up by one, or skips.
    fn extended(&mut self, seq: u16) -> u64 {
        let extended = match self.sent {
            None => u64::from(seq),
            Some(before) => {
                let step = seq.wrapping_sub(before as u16);
                before + u64::from(step)
            }
        };
        *self.sent.insert(extended)
    }
}

impl Audio {
    /// Writes it as plain RTP, without extensions and CSRCs, into `datagram`, which held it sealed and
    /// is thus long enough. Bytes written; none when it does not fit.
    pub fn write(&self, datagram: &mut [u8]) -> usize {
        let (header, payload) = (&self.0.header, &self.0.payload);
        let len = RTP_HEADER + payload.len();
        let Some(out) = datagram.get_mut(..len) else { return 0 };
        out[0] = VERSION;
        out[1] = *header.payload_type & !MARKER | if header.marker { MARKER } else { 0 };
        out[2..4].copy_from_slice(&header.sequence_number.to_be_bytes());
        out[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&(*header.ssrc).to_be_bytes());
        out[RTP_HEADER..].copy_from_slice(payload);
        len
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { local, connected, over, .. } = self;
        f.debug_struct("Peer")
            .field("local", local)
            .field("connected", connected)
            .field("over", over)
            .finish_non_exhaustive()
    }
}

impl PeerError {
    fn new(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }

    /// In one line, and without the addresses in memory that the parser talks of.
    fn unusable(error: impl fmt::Display) -> Self {
        let text = error.to_string();
        let words: Vec<_> =
            text.lines().map(str::trim).filter(|line| !line.contains("PointerOffset")).collect();
        Self(format!("an answer that is of no use: {}", words.join(", ")))
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for PeerError {}

impl From<PeerError> for PeerEvent {
    fn from(PeerError(why): PeerError) -> Self {
        Self::Refused(why)
    }
}

/// The owner's clock, which counts from a moment of its own, as `str0m` wants to see it.
#[derive(Debug)]
struct Clock {
    built: Instant,
    /// What the owner's clock said when it was seen first.
    began: Option<Duration>,
}

impl Clock {
    fn new(built: Instant) -> Self {
        Self { built, began: None }
    }

    fn at(&mut self, since: Duration) -> Instant {
        let began = *self.began.get_or_insert(since);
        self.built + since.saturating_sub(began)
    }
}

fn config(identity: &Identity) -> RtcConfig {
    let mut extensions = ExtensionMap::empty();
    extensions.set(1, Extension::RtpMid);
    let mut config = RtcConfig::new();
    config.set_max_stun_rto(STUN_RTO_MAX);
    config.set_max_stun_retransmits(STUN_RETRANSMITS);
    config
        .set_crypto_provider(crypto().clone())
        .set_dtls_cert(identity.0.clone())
        .set_rtp_mode(true)
        .clear_codecs()
        .enable_opus(true, false)
        .set_extension_map(extensions)
        // Packets we send are not asked for again: audio is late then.
        .set_send_buffer_audio(10)
}

fn crypto() -> &'static Arc<CryptoProvider> {
    static CRYPTO: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    CRYPTO.get_or_init(|| Arc::new(str0m::crypto::from_feature_flags()))
}

/// A path is looked at so often, and lost after some 5 s without an answer (RFC 7675 allows 30: for
/// as long as that a caller would hear nothing).
const STUN_RTO_MAX: Duration = Duration::from_secs(1);
const STUN_RETRANSMITS: usize = 6;
/// Messages that wait for their channel.
const UNSENT: usize = 64;
const RTP_HEADER: usize = 12;
/// RFC 3550 §5.1: version 2, nothing else.
const VERSION: u8 = 0x80;
const MARKER: u8 = 0x80;

#[cfg(test)]
mod tests;
