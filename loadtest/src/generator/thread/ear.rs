use std::time::Duration;

use vox_rtp::event::{EventReceiver, TelephoneEvent};
use vox_rtp::{ClockRate, Datagram, RtpPacket, classify};

use super::echo::Echo;
use super::late::Lateness;
use super::listen::Listening;
use crate::generator::interval::Totals;
use crate::generator::report::{LateBuckets, RoundTrips, Sound};
use crate::media::{Agreed, Counts, Direction, Place, Tally};

/// What a leg hears, counted.
#[derive(Debug)]
pub(super) struct Ear {
    clock: ClockRate,
    payload_type: u8,
    event_payload_type: Option<u8>,
    /// Whether the direction lets us listen.
    listens: bool,
    /// When we began to wait for the next packet.
    waiting_since_us: u64,
    pub(super) longest_gap_us: u64,
    /// How long nothing came at the end, if that was seconds.
    pub(super) muted_us: u64,
    tally: Tally,
    lateness: Lateness,
    pub(super) strangers: u64,
    /// Times on the thread's clock.
    pub(super) first_packet_us: Option<u64>,
    pub(super) first_audio_us: Option<u64>,
    pub(super) listening: Listening,
    pub(super) round_trips: RoundTrips,
    pub(super) late: LateBuckets,
    events: EventReceiver,
    /// With room for [`DIGITS_MAX`] from the start.
    pub(super) digits: String,
}

impl Ear {
    pub(super) fn new(agreed: &Agreed, listening: Listening) -> Self {
        Self {
            clock: agreed.clock(),
            payload_type: agreed.payload_type,
            event_payload_type: agreed.event_payload_type,
            listens: false,
            waiting_since_us: 0,
            longest_gap_us: 0,
            muted_us: 0,
            tally: Tally::new(agreed.clock()),
            lateness: Lateness::default(),
            strangers: 0,
            first_packet_us: None,
            first_audio_us: None,
            listening,
            round_trips: RoundTrips::default(),
            late: LateBuckets::default(),
            events: EventReceiver::new(agreed.clock()),
            digits: String::with_capacity(DIGITS_MAX),
        }
    }

    /// Goes on as agreed now; `listening` is for its codec.
    pub(super) fn agree(&mut self, agreed: &Agreed, listening: Listening) {
        self.payload_type = agreed.payload_type;
        self.event_payload_type = agreed.event_payload_type;
        if self.listening.codec() != listening.codec() {
            self.listening.replace(listening);
        }
        if self.clock != agreed.clock() {
            self.clock = agreed.clock();
            self.tally.change_clock(agreed.clock());
            self.lateness.restart();
            self.events = EventReceiver::new(agreed.clock());
        }
    }

    /// From `now_us` on packets are expected, or not.
    pub(super) fn direct(&mut self, direction: Direction, now_us: u64) {
        if self.listens {
            self.close_gap(now_us);
        }
        self.listens = direction.receives();
        self.waiting_since_us = now_us;
    }

    /// Takes a datagram. `pcm` is room for the audio of a packet.
    pub(super) fn hear(
        &mut self,
        arrival_us: u64,
        datagram: &[u8],
        echo: Option<&mut Echo>,
        totals: &mut Totals,
        pcm: &mut [i16],
    ) {
        let Ok(packet) = RtpPacket::parse(datagram) else {
            return self.stranger(totals);
        };
        if classify(datagram) == Datagram::Rtcp {
            return;
        }
        let payload_type = packet.header.payload_type;
        let audio = payload_type == self.payload_type;
        let event = Some(payload_type) == self.event_payload_type;
        if !audio && !event && payload_type != COMFORT_NOISE {
            return self.stranger(totals);
        }
        let Some(ahead) = self.place(arrival_us, &packet, audio, totals) else { return };
        if event {
            self.press(&packet);
        }
        if !audio || ahead <= 0 {
            return;
        }
        if let Some(echo) = echo {
            echo.hear(packet.payload);
        }
        let found = self.listening.packet(arrival_us, ahead > 1, packet.payload, pcm);
        if found.sound {
            self.first_audio_us = Some(arrival_us);
        }
        if let Some(us) = found.round_trip_us {
            self.round_trips.record(Duration::from_micros(us));
            totals.round_trip.saturating_record(us);
        }
    }

    /// The leg ends, or is deaf from now on. What has not come for the last seconds never will.
    pub(super) fn end(&mut self, now_us: u64, totals: &mut Totals) {
        let missing_us = now_us.saturating_sub(self.waiting_since_us);
        if self.listens && missing_us >= MUTED_US {
            self.muted_us = missing_us;
            totals.expected += missing_us / FRAME_US;
        }
        self.direct(Direction::Inactive, now_us);
    }

    /// What was heard, with what should have come while nothing did at the end.
    pub(super) fn counts(&self) -> Counts {
        let heard = self.tally.counts();
        Counts { expected: heard.expected + self.muted_us / FRAME_US, ..heard }
    }

    pub(super) fn jitter(&self) -> Duration {
        self.tally.jitter()
    }

    pub(super) fn sound(&self) -> Sound {
        match (self.first_packet_us, self.listening.is_audible()) {
            (None, _) => Sound::Nothing,
            (Some(_), false) => Sound::Silence,
            (Some(_), true) => Sound::Audible,
        }
    }

    /// Counts a packet; how far it moves the stream's end, if it belongs to it.
    fn place(
        &mut self,
        arrival_us: u64,
        packet: &RtpPacket<'_>,
        audio: bool,
        totals: &mut Totals,
    ) -> Option<i64> {
        let header = &packet.header;
        let before = self.tally.counts().expected;
        let place = self.tally.receive(header.ssrc, header.seq, header.time, arrival_us, audio);
        let position = match place {
            Place::First(position) => {
                self.lateness.restart();
                position
            }
            Place::Counted(position) => position,
            Place::Duplicate => {
                totals.duplicates += 1;
                return None;
            }
            Place::Suspect => {
                self.stranger(totals);
                return None;
            }
        };
        self.close_gap(arrival_us);
        self.first_packet_us.get_or_insert(arrival_us);
        totals.received += 1;
        totals.expected += self.tally.counts().expected - before;
        totals.reordered += u64::from(position.ahead < 0);
        if audio {
            let time_us = position.time * 1_000_000 / i64::from(self.clock.hz());
            if let Some(late) = self.lateness.of(arrival_us, time_us, header.marker) {
                self.late.record(late);
                totals.late.saturating_record(late);
            }
        }
        Some(position.ahead)
    }

    fn close_gap(&mut self, now_us: u64) {
        if self.listens {
            let gap = now_us.saturating_sub(self.waiting_since_us);
            self.longest_gap_us = self.longest_gap_us.max(gap);
        }
        self.waiting_since_us = self.waiting_since_us.max(now_us);
    }

    fn press(&mut self, packet: &RtpPacket<'_>) {
        for (time, event) in TelephoneEvent::parse_all(packet.payload, packet.header.time) {
            let update = self.events.receive(time, event).filter(|update| update.pressed);
            let digit = update.and_then(|update| update.digit());
            self.digits.extend(digit.filter(|_| self.digits.len() < DIGITS_MAX));
        }
    }

    fn stranger(&mut self, totals: &mut Totals) {
        self.strangers += 1;
        totals.strangers += 1;
    }
}

const DIGITS_MAX: usize = 32;
const FRAME_US: u64 = 20_000;
/// Silence of a peer that is none of its pauses any more.
const MUTED_US: u64 = 2_000_000;
/// RFC 3389; silence, whatever was agreed.
const COMFORT_NOISE: u8 = 13;
