use std::net::Ipv4Addr;

use str0m::change::SdpOffer;

use super::*;

/// A peer of ours and a bare `str0m` that answers it, with a network of memory between them.
struct Pair {
    ours: Peer,
    theirs: Rtc,
    since: Duration,
    base: Instant,
    audio: Vec<Audio>,
    events: Vec<PeerEvent>,
    heard: Vec<(u16, Vec<u8>)>,
    data: Vec<Vec<u8>>,
}

const OURS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);
const THEIRS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5000);

impl Pair {
    fn new() -> Self {
        let identity = Identity::new().unwrap();
        let (mut ours, offer) = Peer::offer(&identity, OURS, "track", 2).unwrap();
        let base = Instant::now();
        let mut theirs = config(&identity).build(base);
        theirs.add_local_candidate(Candidate::host(THEIRS, "udp").unwrap());
        let offer = SdpOffer::from_sdp_string(&offer.sdp).unwrap();
        let answer = theirs.sdp_api().accept_offer(offer).unwrap();
        ours.answer(&answer.to_sdp_string()).unwrap();
        Self {
            ours,
            theirs,
            since: Duration::ZERO,
            base,
            audio: vec![],
            events: vec![],
            heard: vec![],
            data: vec![],
        }
    }

    /// 20 ms pass, as a shard sees them.
    fn pass(&mut self) {
        self.since += Duration::from_millis(20);
        self.ours.tick(self.since);
        self.theirs.handle_input(Input::Timeout(self.base + self.since)).unwrap();
        while self.carry() {}
    }

    /// Carries what both have to say; whether there was anything.
    fn carry(&mut self) -> bool {
        let mut moved = false;
        loop {
            match self.ours.poll() {
                Output::Send { to, datagram } => {
                    assert_eq!(to, THEIRS);
                    let receive = Receive::new(Protocol::Udp, OURS, THEIRS, &datagram).unwrap();
                    let input = Input::Receive(self.base + self.since, receive);
                    self.theirs.handle_input(input).unwrap();
                    moved = true;
                }
                Output::Audio(audio) => self.audio.push(audio),
                Output::Event(event) => self.events.push(event),
                Output::Idle => break,
            }
        }
        loop {
            match self.theirs.poll_output().unwrap() {
                str0m::Output::Transmit(transmit) => {
                    assert!(self.ours.receive(self.since, THEIRS, &transmit.contents));
                    moved = true;
                }
                str0m::Output::Event(Event::RtpPacket(packet)) => {
                    self.heard.push((packet.header.sequence_number, packet.payload.to_vec()));
                }
                str0m::Output::Event(Event::ChannelData(data)) => self.data.push(data.data),
                str0m::Output::Event(_) => {}
                str0m::Output::Timeout(_) => return moved,
            }
        }
    }

    fn connect(&mut self) {
        for _ in 0..100 {
            self.pass();
            if self.events.contains(&PeerEvent::Connected) && self.theirs.is_connected() {
                return;
            }
        }
        panic!("not connected after two seconds: {:?}", self.events);
    }
}

fn rtp(seq: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, OPUS_PAYLOAD_TYPE];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 960).to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend(payload);
    packet
}

#[test]
fn our_packets_arrive_sealed_and_in_order_around_the_end_of_the_sequence() {
    let mut pair = Pair::new();
    pair.connect();
    let seqs = [65_533, 65_534, 65_535, 0, 1, 4];
    for seq in seqs {
        pair.ours.send(pair.since, &rtp(seq, &[seq as u8, 2, 3]));
        pair.pass();
    }
    let expected: Vec<_> = seqs.iter().map(|&seq| (seq, vec![seq as u8, 2, 3])).collect();
    assert_eq!(pair.heard, expected);
}

#[test]
fn their_packets_are_opened_in_the_place_they_came_in() {
    let mut pair = Pair::new();
    pair.connect();
    let line = pair.ours.hearing[0];
    let mut sent = None;
    for seq in 10_u64..13 {
        let now = pair.base + pair.since;
        let mut direct = pair.theirs.direct_api();
        let stream = direct.stream_tx_by_mid(line, None).expect("the line is theirs to send on");
        sent = Some(stream.ssrc());
        let payload = [seq as u8; 40];
        stream.write_rtp(RtpWrite::new(Pt::from(OPUS_PAYLOAD_TYPE), seq.into(), 960, now, payload));
        pair.pass();
    }
    let ssrc = sent.unwrap();
    assert_eq!(pair.audio.len(), 3, "{:?}", pair.events);
    let mut datagram = [0; 100];
    let len = pair.audio[2].write(&mut datagram);
    assert_eq!(len, 52);
    assert_eq!(datagram[..4], [0x80, OPUS_PAYLOAD_TYPE, 0, 12]);
    assert_eq!(datagram[8..12], (*ssrc).to_be_bytes());
    assert_eq!(datagram[12..52], [12; 40]);
    assert_eq!(pair.audio[2].write(&mut [0; 51]), 0, "no room");
}

#[test]
fn messages_cross_and_what_is_no_datagram_of_ours_is_dropped() {
    let mut pair = Pair::new();
    assert!((0..64).all(|_| pair.ours.send_data(Channel::Reliable, b"early")));
    assert!(!pair.ours.send_data(Channel::Reliable, b"one too many"));
    pair.connect();
    (0..20).for_each(|_| pair.pass());
    assert!(pair.ours.send_data(Channel::Reliable, b"later"));
    (0..5).for_each(|_| pair.pass());
    assert_eq!(pair.data.len(), 65);
    assert_eq!((&pair.data[63][..], &pair.data[64][..]), (&b"early"[..], &b"later"[..]));
    for junk in [&b""[..], b"x", &[0x80; 12], &[0; 2_000], &[22; 60], &[0x16, 0xfe, 0xfd, 0, 0]] {
        pair.ours.receive(pair.since, THEIRS, junk);
        pair.pass();
    }
    assert!(pair.ours.is_connected());
}

#[test]
fn silence_on_the_path_is_told_and_so_is_its_end() {
    let mut pair = Pair::new();
    pair.connect();
    pair.events.clear();
    for _ in 0..3_000 {
        pair.since += Duration::from_millis(20);
        pair.ours.tick(pair.since);
        loop {
            match pair.ours.poll() {
                Output::Event(event) => pair.events.push(event),
                Output::Idle => break,
                _ => {}
            }
        }
        if !pair.events.is_empty() {
            break;
        }
    }
    assert_eq!(pair.events, [PeerEvent::Interrupted], "after {:?}", pair.since);
}

#[test]
fn answers_that_are_none_are_refused() {
    let identity = Identity::new().unwrap();
    let (mut peer, _) = Peer::offer(&identity, OURS, "track", 1).unwrap();
    assert!(peer.candidate("candidate:junk").is_err());
    assert!(peer.answer("v=0\r\nnonsense").is_err());
    assert!(peer.answer("v=0\r\n").is_err(), "the offer is used up");
}
