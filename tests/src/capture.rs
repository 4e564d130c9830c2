//! What a caller's packet capture holds: the RTP of both directions, on one clock.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use vox_codecs::{CodecKind, Decoder};

/// The call as its caller saw it.
#[derive(Debug)]
pub struct Capture {
    /// What the caller sent, in order; times are those of sending.
    pub sent: Vec<Packet>,
    /// What came, in order; times are those at which the kernel had it.
    pub heard: Vec<Packet>,
}

/// One RTP packet of µ-law.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Since 1970.
    pub at: Duration,
    /// Sequence number.
    pub seq: u16,
    /// Timestamp, in samples.
    pub time: u32,
    /// What it says, 8 kHz.
    pub pcm: Vec<i16>,
}

impl Packet {
    /// Whether anything can be heard: 20 ms of digital silence is exactly that.
    pub fn is_audible(&self) -> bool {
        self.pcm.iter().any(|sample| sample.unsigned_abs() > SILENCE_MAX)
    }
}

impl Capture {
    /// Reads what `vox call --capture` wrote, of a call over IPv4 that agreed on PCMU.
    ///
    /// # Panics
    /// When that is something else.
    pub fn read(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four"));
        assert_eq!((word(0), word(20)), (0xa1b2_3c4d, 101), "nanoseconds, from the IP header on");
        let (mut capture, mut local) = (Self { sent: vec![], heard: vec![] }, None);
        let mut at = 24;
        while at < file.len() {
            let (since, len) =
                (Duration::new(word(at).into(), word(at + 4)), word(at + 8) as usize);
            let datagram = &file[at + 16..at + 16 + len];
            at += 16 + len;
            let (from, rtp) = udp(datagram);
            let Some(packet) = packet(since, rtp) else { continue };
            // The caller speaks first: nobody knows its port before.
            match *local.get_or_insert(from) == from {
                true => capture.sent.push(packet),
                false => capture.heard.push(packet),
            }
        }
        capture
    }

    /// Sequence numbers that are missing, or come twice or late.
    pub fn out_of_order(&self) -> usize {
        let follows = |pair: &&[Packet]| pair[1].seq == pair[0].seq.wrapping_add(1);
        self.heard.windows(2).filter(|pair| !follows(pair)).count()
    }
}

/// Source and payload of a datagram over IPv4 without options.
fn udp(datagram: &[u8]) -> ((Ipv4Addr, u16), &[u8]) {
    assert_eq!(datagram[0], 0x45, "IPv4");
    let from = Ipv4Addr::new(datagram[12], datagram[13], datagram[14], datagram[15]);
    ((from, u16::from_be_bytes([datagram[20], datagram[21]])), &datagram[28..])
}

/// RTP by the figure of RFC 3550 §5.1, without extensions; `None` for what is not PCMU, RTCP too.
fn packet(at: Duration, rtp: &[u8]) -> Option<Packet> {
    (rtp.len() > 12 && rtp[0] == 0x80 && rtp[1] & 0x7f == 0).then(|| {
        let mut pcm = vec![0; rtp.len() - 12];
        let decoded = Decoder::new(CodecKind::Pcmu).decode(&rtp[12..], &mut pcm);
        assert_eq!(decoded.ok(), Some(pcm.len()), "µ-law has a sample a byte");
        Packet {
            at,
            seq: u16::from_be_bytes([rtp[2], rtp[3]]),
            time: u32::from_be_bytes([rtp[4], rtp[5], rtp[6], rtp[7]]),
            pcm,
        }
    })
}

/// The step of µ-law next to zero.
const SILENCE_MAX: u16 = 8;
