use super::{TelephoneEvent, code_of};
use crate::{ClockRate, RtpTime};

/// The packets of one key press, one [`EventSender::tick`] per packet time.
///
/// ```text
///  tick    1     2     3     4     5  │  6     7     8   │
///  packet  M ●   ●     ●     ●     ● E│  ● E   ● E   –   │ done
///          tone: duration grows       │  gap             │
/// ```
///
/// A tick that yields a packet belongs to the event, any other to audio: both share one series of
/// sequence numbers, and the timestamps of audio go on counting meanwhile (RFC 4733 §2.5.1.2).
#[derive(Debug, Clone)]
pub struct EventSender {
    code: u8,
    volume: u8,
    /// Timestamp of the press, then of its newest segment.
    segment: RtpTime,
    /// How much of the press lies behind `segment`: what the next packet reports.
    unreported_units: u32,
    /// How much of the press is still to come.
    tone_left_units: u32,
    /// Timestamp units in a tick, at least 1.
    tick_units: u32,
    /// Ticks of the gap still to come; the first ones repeat the end packet, whether there is a gap
    /// or not.
    gap_left_ticks: u32,
    ends_left: u32,
    marker: bool,
}

impl EventSender {
    /// A press of `digit` that begins at `start`, the timestamp that audio would have now. `None`
    /// when `digit` is none of `0-9 * # A-D`.
    pub fn new(digit: char, start: RtpTime, timing: EventTiming) -> Option<Self> {
        let units_in = |ms| timing.clock.units_in_ms(ms).clamp(1, u32::MAX.into()) as u32;
        let gap_ticks = timing.gap_ms.div_ceil(timing.tick_ms.max(1));
        Some(Self {
            code: code_of(digit)?,
            volume: timing.volume,
            segment: start,
            unreported_units: 0,
            tone_left_units: units_in(timing.tone_ms),
            tick_units: units_in(timing.tick_ms),
            gap_left_ticks: gap_ticks,
            ends_left: END_PACKETS,
            marker: true,
        })
    }

    /// One packet time passes. `None` leaves this tick to audio, in the gap and when all is over.
    pub fn tick(&mut self) -> Option<EventPacket> {
        let step = self.tick_units.min(self.tone_left_units);
        self.tone_left_units -= step;
        self.unreported_units = self.unreported_units.saturating_add(step);
        let over = self.tone_left_units == 0;
        if self.unreported_units > SEGMENT_UNITS
            || (self.unreported_units == SEGMENT_UNITS && !over)
        {
            return Some(self.full_segment());
        }
        if !over {
            return Some(self.packet(self.unreported_units, false));
        }
        if self.ends_left < END_PACKETS {
            // The press itself is over: this tick is one of the gap's.
            self.gap_left_ticks = self.gap_left_ticks.saturating_sub(1);
        }
        self.ends_left = self.ends_left.checked_sub(1)?;
        Some(self.packet(self.unreported_units, true))
    }

    /// Whether press and gap are over: the next digit may begin.
    pub const fn is_done(&self) -> bool {
        self.ends_left == 0 && self.gap_left_ticks == 0
    }

    /// RFC 4733 §2.5.1.3: a segment that is full says so without the end bit, and the next one
    /// begins where it ends.
    fn full_segment(&mut self) -> EventPacket {
        let packet = self.packet(SEGMENT_UNITS, false);
        self.segment = self.segment.plus(SEGMENT_UNITS as i32);
        self.unreported_units -= SEGMENT_UNITS;
        packet
    }

    /// `duration` is at most [`SEGMENT_UNITS`].
    fn packet(&mut self, duration: u32, end: bool) -> EventPacket {
        let Self { code, volume, .. } = *self;
        EventPacket {
            marker: core::mem::take(&mut self.marker),
            time: self.segment,
            event: TelephoneEvent { code, end, volume, duration: duration as u16 },
        }
    }
}

/// How digits are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTiming {
    /// Clock of the event's timestamps: that of the audio beside it.
    pub clock: ClockRate,
    /// Between two packets.
    pub tick_ms: u32,
    /// How long the key is down. Receivers must take 40 ms (ITU-T Q.24).
    pub tone_ms: u32,
    /// Pause after it; at least two packets long, for the end packets.
    pub gap_ms: u32,
    /// Power in −dBm0, 0..=63.
    pub volume: u8,
}

impl EventTiming {
    /// 100 ms of tone and 60 ms of pause at −10 dBm0, a packet every 20 ms.
    pub const fn new(clock: ClockRate) -> Self {
        Self { clock, tick_ms: 20, tone_ms: 100, gap_ms: 60, volume: 10 }
    }
}

/// One packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// The marker: the first packet of a press.
    pub marker: bool,
    /// The timestamp: when the press, or its newest segment, began.
    pub time: RtpTime,
    /// The payload.
    pub event: TelephoneEvent,
}

/// RFC 4733 §2.5.1.4: the final packet goes out three times.
const END_PACKETS: u32 = 3;
const SEGMENT_UNITS: u32 = u16::MAX as u32;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const START: RtpTime = RtpTime(0xffff_ff00);

    /// All ticks until done: marker, timestamp since the start, duration, end bit.
    fn ticks(timing: EventTiming) -> Vec<Option<(bool, i32, u16, bool)>> {
        let mut sender = EventSender::new('#', START, timing).expect("a digit");
        let mut ticks = Vec::new();
        while !sender.is_done() {
            ticks.push(sender.tick().map(|packet| {
                let EventPacket { marker, time, event } = packet;
                assert_eq!((event.code, event.volume), (11, timing.volume));
                (marker, time.since(START), event.duration, event.end)
            }));
        }
        assert_eq!(sender.tick(), None, "done is done");
        assert!(sender.is_done());
        ticks
    }

    #[test]
    fn a_press_is_marked_once_grows_and_ends_three_times() {
        let end = Some((false, 0, 800, true));
        let expected = [
            Some((true, 0, 160, false)),
            Some((false, 0, 320, false)),
            Some((false, 0, 480, false)),
            Some((false, 0, 640, false)),
            end,
            end,
            end,
            None,
        ];
        assert_eq!(ticks(EventTiming::new(ClockRate::HZ_8000)), expected);
    }

    #[test]
    fn timings_are_kept_at_every_clock_and_packet_time() {
        let base = EventTiming::new(ClockRate::HZ_48000);
        let rows = [
            // Timing, ticks in all, packets, final duration.
            (base, 8, 7, 4_800),
            (EventTiming { tick_ms: 60, ..base }, 4, 4, 4_800),
            (EventTiming { tone_ms: 50, ..base }, 6, 5, 2_400),
            (EventTiming { tone_ms: 0, gap_ms: 0, ..base }, 3, 3, 1),
            (EventTiming { gap_ms: 0, ..base }, 7, 7, 4_800),
            (EventTiming { gap_ms: 200, ..base }, 15, 7, 4_800),
            (EventTiming { tick_ms: 0, tone_ms: 0, ..base }, 61, 3, 1),
        ];
        for (timing, ticks_expected, packets, duration) in rows {
            let ticks = ticks(timing);
            assert_eq!(ticks.len(), ticks_expected, "{timing:?}");
            assert_eq!(ticks.iter().flatten().count(), packets, "{timing:?}");
            let ends: Vec<_> = ticks.iter().flatten().filter(|(_, _, _, end)| *end).collect();
            assert_eq!(ends.len(), 3, "{timing:?}");
            assert!(ends.iter().all(|(_, _, d, _)| *d == duration), "{timing:?}");
        }
    }

    #[test]
    fn a_press_longer_than_the_field_goes_on_in_segments() {
        let timing = EventTiming { tone_ms: 20_000, ..EventTiming::new(ClockRate::HZ_8000) };
        let packets: Vec<_> = ticks(timing).into_iter().flatten().collect();
        let full: Vec<_> = packets.iter().filter(|(_, _, d, _)| *d == u16::MAX).collect();
        assert_eq!(full, [&(false, 0, u16::MAX, false), &(false, 65_535, u16::MAX, false)]);
        let last = *packets.last().expect("packets");
        assert_eq!(last, (false, 131_070, (160_000 - 131_070) as u16, true));
        assert_eq!(packets.iter().filter(|(marker, ..)| *marker).count(), 1);
        assert_eq!(packets.len(), 1_002);
    }

    #[test]
    fn a_press_of_exactly_a_full_segment_ends_in_it() {
        let clock = ClockRate::new(65_535).expect("not zero");
        let timing = EventTiming { tone_ms: 1_000, ..EventTiming::new(clock) };
        let last = ticks(timing).into_iter().flatten().last();
        assert_eq!(last, Some((false, 0, u16::MAX, true)));
        let timing = EventTiming { tone_ms: 3_000, tick_ms: 1_000, gap_ms: 0, ..timing };
        let starts: Vec<_> = ticks(timing).into_iter().flatten().map(|(_, at, ..)| at).collect();
        assert_eq!(starts, [0, 65_535, 131_070, 131_070, 131_070], "each segment is said once");
    }

    #[test]
    fn only_digits_are_sent() {
        let timing = EventTiming::new(ClockRate::HZ_8000);
        for digit in ['E', ' ', '\0', 'é', '٣'] {
            assert!(EventSender::new(digit, START, timing).is_none(), "{digit:?}");
        }
        for digit in "0123456789*#ABCDabcd".chars() {
            assert!(EventSender::new(digit, START, timing).is_some(), "{digit}");
        }
    }
}
