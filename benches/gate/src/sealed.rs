use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::{Mid, Pt};
use str0m::net::{DatagramSend, Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Rtc, RtcConfig};
use vox_rtp::{RtpHeader, RtpTime, SeqNo, Ssrc};
use vox_webrtc::{Identity, OPUS_PAYLOAD_TYPE, Output, Peer};

/// A peer of ours and a bare `str0m` that answered it, connected: what sealing (SRTP protect) and
/// opening (unprotect) a packet of Opus costs as a call's shard has it done.
pub struct Sealed {
    ours: Peer,
    theirs: Rtc,
    /// Lines that they send to us on.
    lines: Vec<Mid>,
    base: Instant,
    since: Duration,
    /// Packets of ours that were to be sealed, and of theirs to be opened; what goes out is numbered so.
    plain: u64,
    sealed: u64,
    connected: bool,
}

impl Sealed {
    /// Offers, answers, and goes through ICE and DTLS.
    ///
    /// # Panics
    /// When they do not connect.
    pub fn new() -> Self {
        let identity = Identity::new().expect("a certificate");
        let (mut ours, offer) = Peer::offer(&identity, OURS, "bench", 1).expect("an offer");
        let base = Instant::now();
        let mut theirs = RtcConfig::new().set_rtp_mode(true).build(base);
        theirs.add_local_candidate(Candidate::host(THEIRS, "udp").expect("a host candidate"));
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).expect("our own offer");
        let answer = theirs.sdp_api().accept_offer(parsed).expect("it can be answered");
        ours.answer(&answer.to_sdp_string()).expect("their answer");
        let lines = offer.sdp.lines().filter_map(|line| line.strip_prefix("a=mid:"));
        let lines = lines.map(Mid::from).collect();
        let since = Duration::ZERO;
        let (plain, sealed, connected) = (0, 0, false);
        let mut pair = Self { ours, theirs, lines, base, since, plain, sealed, connected };
        pair.connect();
        pair
    }

    /// Seals a packet, as a shard does it, and counts the bytes of what is to be sent.
    pub fn seal(&mut self, rtp: &[u8]) -> usize {
        self.ours.send(self.since, rtp);
        let mut bytes = 0;
        loop {
            match self.ours.poll() {
                Output::Send { datagram, .. } => bytes += datagram.len(),
                Output::Idle => return bytes,
                Output::Audio(_) | Output::Event(_) => {}
            }
        }
    }

    /// Opens a sealed packet in place, as a shard does it; bytes of plain RTP.
    pub fn open(&mut self, datagram: &mut [u8]) -> usize {
        let mut bytes = 0;
        if !self.ours.receive(self.since, THEIRS, datagram) {
            return bytes;
        }
        loop {
            match self.ours.poll() {
                Output::Audio(audio) => bytes = audio.write(datagram),
                Output::Idle => return bytes,
                Output::Send { .. } | Output::Event(_) => {}
            }
        }
    }

    /// The next packet of plain RTP to [`seal`](Self::seal), with this payload; 20 ms pass.
    pub fn plain(&mut self, payload: &[u8]) -> Vec<u8> {
        self.pass();
        self.plain += 1;
        let header = RtpHeader {
            marker: false,
            payload_type: OPUS_PAYLOAD_TYPE,
            seq: SeqNo(self.plain as u16),
            time: RtpTime((self.plain as u32).wrapping_mul(960)),
            ssrc: Ssrc(7),
        };
        let mut packet = vec![0; RtpHeader::LEN + payload.len()];
        header.write(&mut packet).copy_from_slice(payload);
        packet
    }

    /// The next sealed packet to [`open`](Self::open), with this payload; 20 ms pass.
    ///
    /// # Panics
    /// When they cannot send.
    pub fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
        self.pass();
        self.sealed += 1;
        let (seq, now) = (self.sealed, self.base + self.since);
        let lines = self.lines.clone();
        let mut direct = self.theirs.direct_api();
        let line = lines.into_iter().find(|line| direct.stream_tx_by_mid(*line, None).is_some());
        let stream = direct.stream_tx_by_mid(line.expect("a line to send on"), None);
        let stream = stream.expect("it was there just now");
        let time = (seq as u32).wrapping_mul(960);
        let payload = payload.to_vec();
        stream.write_rtp(RtpWrite::new(
            Pt::from(OPUS_PAYLOAD_TYPE),
            seq.into(),
            time,
            now,
            payload,
        ));
        self.theirs.handle_input(Input::Timeout(now)).expect("time passes");
        // RTP, not what else they have to say (RFC 7983 §7, RFC 5761 §4).
        let is_rtp = |datagram: &DatagramSend| {
            (128..192).contains(&datagram[0]) && datagram[1] & 0x7f == OPUS_PAYLOAD_TYPE
        };
        let packet = self.they_say().into_iter().find(is_rtp).expect("their packet");
        packet.to_vec()
    }

    fn connect(&mut self) {
        for _ in 0..100 {
            self.pass();
            if self.connected && self.ours.is_connected() {
                return;
            }
        }
        panic!("not connected after two seconds");
    }

    /// 20 ms pass, and both hear what the other says.
    fn pass(&mut self) {
        self.since += Duration::from_millis(20);
        let now = self.base + self.since;
        self.ours.tick(self.since);
        self.theirs.handle_input(Input::Timeout(now)).expect("time passes");
        loop {
            let mut quiet = true;
            while let Some(datagram) = self.we_say() {
                let receive = Receive::new(Protocol::Udp, OURS, THEIRS, &datagram);
                let input = Input::Receive(now, receive.expect("a datagram of ours"));
                self.theirs.handle_input(input).expect("it is understood");
                quiet = false;
            }
            for datagram in self.they_say() {
                self.ours.receive(self.since, THEIRS, &datagram);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    fn we_say(&mut self) -> Option<DatagramSend> {
        loop {
            match self.ours.poll() {
                Output::Send { datagram, .. } => return Some(datagram),
                Output::Idle => return None,
                Output::Audio(_) | Output::Event(_) => {}
            }
        }
    }

    fn they_say(&mut self) -> Vec<DatagramSend> {
        let mut said = vec![];
        loop {
            match self.theirs.poll_output().expect("they are well") {
                str0m::Output::Transmit(transmit) => said.push(transmit.contents),
                str0m::Output::Event(Event::Connected) => self.connected = true,
                str0m::Output::Event(_) => {}
                str0m::Output::Timeout(_) => return said,
            }
        }
    }
}

impl Default for Sealed {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("since", &self.since).finish_non_exhaustive()
    }
}

const OURS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4_000);
const THEIRS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5_000);
