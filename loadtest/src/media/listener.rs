//! What we hear: packets put in order, counted, decoded, and laid on the talker's clock.

use std::collections::BTreeMap;
use std::time::Duration;

use vox_codecs::Decoder;
use vox_rtp::event::{EventReceiver, TelephoneEvent};
use vox_rtp::{Datagram, RtpPacket, RtpTime, classify};

use super::Agreed;
use super::tally::{Place, Tally};

/// Packets that may be awaited before a missing one counts as lost: 200 ms.
const REORDER_PACKETS: usize = 10;
/// A hole up to this long is concealed as a receiver would; a longer one is a pause.
const CONCEAL_MAX: Duration = Duration::from_millis(200);
/// Longest recording that is kept, so that a call left running cannot eat the machine: 4 hours.
const RECORDING_SECONDS_MAX: usize = 4 * 3_600;

/// What was heard, in numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// Packets, duplicates not counted.
    pub packets: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Datagrams that were no packets of this call.
    pub strangers: u64,
    /// Interarrival jitter at the end (RFC 3550 §A.8).
    pub jitter: Duration,
    /// From the start of talking to the first packet.
    pub first_packet: Option<Duration>,
    /// Digits pressed by the other side.
    pub digits: String,
}

/// Listens to one stream.
#[derive(Debug)]
pub struct Listener {
    agreed: Agreed,
    decoder: Decoder,
    heard: Heard,
    tally: Tally,
    stream: Option<Playing>,
    waiting: BTreeMap<i64, (RtpTime, Vec<u8>)>,
    events: EventReceiver,
    recording: Vec<i16>,
    scratch: Vec<i16>,
}

/// What decoding knows of the stream.
#[derive(Debug)]
struct Playing {
    /// The next to be decoded.
    next: i64,
    /// RTP time and place in the recording of the first packet.
    origin: (RtpTime, usize),
}

impl Listener {
    /// For what was agreed.
    pub fn new(agreed: Agreed) -> Self {
        let decoder = Decoder::new(agreed.codec);
        let scratch = vec![0; agreed.codec.rate_hz() as usize * 120 / 1_000];
        Self {
            agreed,
            decoder,
            heard: Heard::default(),
            tally: Tally::new(agreed.clock()),
            stream: None,
            waiting: BTreeMap::new(),
            events: EventReceiver::new(agreed.clock()),
            recording: Vec::new(),
            scratch,
        }
    }

    /// Takes a datagram that arrived `at` after the start of talking.
    pub fn receive(&mut self, at: Duration, datagram: &[u8]) {
        if classify(datagram) == Datagram::Rtcp {
            return;
        }
        let Ok(packet) = RtpPacket::parse(datagram) else {
            self.heard.strangers += 1;
            return;
        };
        let audio = packet.header.payload_type == self.agreed.payload_type;
        if !audio && Some(packet.header.payload_type) != self.agreed.event_payload_type {
            self.heard.strangers += 1;
            return;
        }
        let Some(index) = self.place(at, &packet, audio) else { return };
        if audio {
            self.waiting.insert(index, (packet.header.time, packet.payload.to_vec()));
        } else {
            self.digit(&packet);
            self.waiting.insert(index, (packet.header.time, Vec::new()));
        }
        self.play(REORDER_PACKETS);
    }

    /// Everything that was heard: numbers, and the recording from the start of talking on, at the
    /// codec's rate.
    pub fn finish(mut self) -> (Heard, Vec<i16>) {
        self.play(0);
        let counts = self.tally.counts();
        self.heard = Heard {
            packets: counts.received,
            lost: counts.lost(),
            reordered: counts.reordered,
            duplicates: counts.duplicates,
            jitter: self.tally.jitter(),
            ..self.heard
        };
        (self.heard, self.recording)
    }

    /// Counts the packet and gives its unwrapped sequence number; `None` for one that is not wanted.
    fn place(&mut self, at: Duration, packet: &RtpPacket<'_>, audio: bool) -> Option<i64> {
        let header = &packet.header;
        let arrival_us = at.as_micros() as u64;
        match self.tally.receive(header.ssrc, header.seq, header.time, arrival_us, audio) {
            Place::First(position) => {
                self.play(0);
                let place = (at.as_secs_f64() * f64::from(self.agreed.codec.rate_hz())) as usize;
                self.heard.first_packet.get_or_insert(at);
                self.stream = Some(Playing { next: position.index, origin: (header.time, place) });
                Some(position.index)
            }
            // What comes later than our patience is counted, and cannot be heard any more.
            Place::Counted(position) => {
                let next = self.stream.as_ref()?.next;
                (position.index >= next).then_some(position.index)
            }
            Place::Duplicate => None,
            Place::Suspect => {
                self.heard.strangers += 1;
                None
            }
        }
    }

    /// Decodes what is in order, and what is not once more than `patience` packets wait.
    fn play(&mut self, patience: usize) {
        while let Some((&index, _)) = self.waiting.first_key_value() {
            let Some(stream) = self.stream.as_mut() else { return };
            if index > stream.next && self.waiting.len() <= patience {
                return;
            }
            stream.next = index + 1;
            let origin = stream.origin;
            let Some((_, (time, payload))) = self.waiting.pop_first() else { return };
            if !payload.is_empty() {
                self.record(origin, time, &payload);
            }
        }
    }

    fn record(&mut self, origin: (RtpTime, usize), time: RtpTime, payload: &[u8]) {
        let (rate_hz, clock_hz) = (self.agreed.codec.rate_hz(), self.agreed.codec.clock_hz());
        let offset = i64::from(time.since(origin.0)) * i64::from(rate_hz) / i64::from(clock_hz);
        let place = origin.1 as i64 + offset;
        if !(0..RECORDING_SECONDS_MAX as i64 * i64::from(rate_hz)).contains(&place) {
            return;
        }
        self.fill_to(place as usize);
        if let Ok(samples) = self.decoder.decode(payload, &mut self.scratch) {
            self.recording.truncate(place as usize);
            self.recording.extend_from_slice(&self.scratch[..samples]);
        }
    }

    /// Bridges the hole up to `place`: concealed when short, silence when long.
    fn fill_to(&mut self, place: usize) {
        let hole = place.saturating_sub(self.recording.len());
        let rate_hz = self.agreed.codec.rate_hz() as usize;
        let concealable = CONCEAL_MAX.as_millis() as usize * rate_hz / 1_000;
        if hole == 0 {
            return;
        }
        if !self.recording.is_empty() && hole <= concealable {
            // libopus conceals whole multiples of 2.5 ms only; a hole is made of packets, so it is.
            let frame = rate_hz / 100;
            while self.recording.len() + frame <= place {
                self.decoder.conceal(&mut self.scratch[..frame]);
                self.recording.extend_from_slice(&self.scratch[..frame]);
            }
        }
        self.recording.resize(place, 0);
    }

    fn digit(&mut self, packet: &RtpPacket<'_>) {
        for (time, event) in TelephoneEvent::parse_all(packet.payload, packet.header.time) {
            let update = self.events.receive(time, event).filter(|update| update.pressed);
            self.heard.digits.extend(update.and_then(|update| update.digit()));
        }
    }
}

#[cfg(test)]
mod tests {
    use vox_codecs::{CodecKind, Encoder};
    use vox_rtp::{RtpHeader, SeqNo, Ssrc};

    use super::*;

    const AGREED: Agreed = Agreed {
        remote: std::net::SocketAddr::V4(std::net::SocketAddrV4::new(
            std::net::Ipv4Addr::LOCALHOST,
            4_000,
        )),
        codec: CodecKind::Pcmu,
        payload_type: 0,
        event_payload_type: Some(101),
    };

    fn packet(n: u16) -> Vec<u8> {
        let header = RtpHeader {
            marker: false,
            payload_type: 0,
            seq: SeqNo(65_530u16.wrapping_add(n)),
            time: RtpTime(u32::MAX - 500).plus(i32::from(n) * 160),
            ssrc: Ssrc(1),
        };
        let mut out = vec![0; 172];
        header.write(&mut out);
        Encoder::new(CodecKind::Pcmu).encode(&[1_000 + n as i16 * 8; 160], &mut out[12..]);
        out
    }

    fn hear(order: &[u16]) -> (Heard, Vec<i16>) {
        let mut listener = Listener::new(AGREED);
        for (slot, &n) in order.iter().enumerate() {
            listener.receive(Duration::from_millis(20 * slot as u64 + 100), &packet(n));
        }
        listener.finish()
    }

    #[test]
    fn a_clean_stream_is_whole_and_starts_where_it_arrived() {
        let (heard, recording) = hear(&(0..50).collect::<Vec<_>>());
        assert_eq!((heard.packets, heard.lost, heard.reordered, heard.duplicates), (50, 0, 0, 0));
        assert_eq!(recording.len(), 800 + 50 * 160);
        assert!(
            recording[..800].iter().all(|&s| s == 0) && recording[800..].iter().all(|&s| s > 900)
        );
        assert_eq!(heard.jitter, Duration::ZERO);
    }

    #[test]
    fn loss_reordering_and_duplicates_are_told_apart() {
        let (heard, recording) = hear(&[0, 1, 3, 2, 4, 4, 5, 7, 8, 9, 9, 10]);
        assert_eq!((heard.packets, heard.lost, heard.reordered, heard.duplicates), (10, 1, 1, 2));
        assert_eq!(recording.len(), 800 + 11 * 160);
    }

    #[test]
    fn strangers_are_counted_and_never_heard() {
        let mut listener = Listener::new(AGREED);
        for bytes in [&b""[..], b"hello, world", &[0x80, 77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9][..]] {
            listener.receive(Duration::ZERO, bytes);
        }
        let (heard, recording) = listener.finish();
        assert_eq!((heard.packets, heard.strangers, recording.len()), (0, 3, 0));
    }
}
