use super::{TelephoneEvent, digit_of};
use crate::{ClockRate, RtpTime};

/// Turns event packets into key presses: one per press, whatever is lost, duplicated or reordered.
///
/// A press is known by its code and the timestamp of its beginning, which all its packets share
/// (RFC 4733 §2.2.1); sequence numbers and markers are not needed. It is reported at the first packet
/// that arrives, be it the last one sent: a prompt stops at once when a key is pressed, and no digit
/// hangs on an end packet that may be lost. How long it was held is reported when an end packet
/// arrives.
///
/// ```text
///            first packet            packet with the end bit
///  unknown ───────────────► pressed ─────────────────────────► released
///     │                       │ ▲                                │ ▲
///     │ first packet          └─┘ longer duration, next segment  └─┘ anything
///     └────────────────────────────── (it has the end bit) ────────►
/// ```
///
/// A press that is overtaken whole by a later one is still reported, after it: see
/// [`PressUpdate::start`]. The last eight presses are remembered: an older one that was never heard
/// of is not told from one that was, and stays unreported.
#[derive(Debug, Clone)]
pub struct EventReceiver {
    late_units: i64,
    /// Presses known, in no order.
    recent: [Option<Press>; RECENT],
}

impl EventReceiver {
    /// `clock` is that of the event's timestamps.
    pub const fn new(clock: ClockRate) -> Self {
        Self { late_units: clock.units_in_ms(LATE_MS) as i64, recent: [None; RECENT] }
    }

    /// Takes one event in; `time` is when it began, the packet's timestamp for the first event of a
    /// packet ([`TelephoneEvent::parse_all`] knows the others). `None` when it tells nothing new.
    pub fn receive(&mut self, time: RtpTime, event: TelephoneEvent) -> Option<PressUpdate> {
        if let Some(press) = self.known(time, event.code) {
            return press.extend(time, event).then(|| press.update(false));
        }
        self.forget_restarted(time);
        let slot = self.slot_for(time)?;
        let press = slot.insert(Press::new(time, event));
        Some(press.update(true))
    }

    /// Forgets all presses: the source changed.
    pub const fn reset(&mut self) {
        self.recent = [None; RECENT];
    }

    /// The press that a packet belongs to.
    fn known(&mut self, time: RtpTime, code: u8) -> Option<&mut Press> {
        let mut presses = self.recent.iter_mut().flatten();
        presses.find(|press| press.code == code && press.covers(time))
    }

    /// A sender that jumps back by more than any packet is delayed counts its time anew.
    fn forget_restarted(&mut self, time: RtpTime) {
        let newest = self.newest().map_or(0, |newest| i64::from(newest.since(time)));
        if newest > self.late_units {
            self.reset();
        }
    }

    /// Where to remember a new press: a free slot, or that of the oldest press. `None` when it is
    /// older than all of those, because then it may be one that was known and forgotten.
    fn slot_for(&mut self, time: RtpTime) -> Option<&mut Option<Press>> {
        let age = |slot: &Option<Press>| slot.map_or(i32::MAX, |press| time.since(press.start));
        let slot = self.recent.iter_mut().max_by_key(|slot| age(slot))?;
        (age(slot) >= 0).then_some(slot)
    }

    fn newest(&self) -> Option<RtpTime> {
        let starts = self.recent.iter().flatten().map(|press| press.start);
        starts.reduce(|newest, start| if start.since(newest) > 0 { start } else { newest })
    }
}

/// Something new about a press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PressUpdate {
    /// Event code, 0..=15 for DTMF.
    pub code: u8,
    /// When the key went down, by the sender's timestamps.
    pub start: RtpTime,
    /// How long it has been down as far as known, in timestamp units.
    pub duration: u32,
    /// The first that is heard of it: count the digit. True exactly once per press.
    pub pressed: bool,
    /// The key is up and `duration` is final. True at most once per press.
    pub released: bool,
}

impl PressUpdate {
    /// The digit, `0-9 * # A-D`.
    pub const fn digit(&self) -> Option<char> {
        digit_of(self.code)
    }
}

#[derive(Debug, Clone, Copy)]
struct Press {
    code: u8,
    start: RtpTime,
    /// When its newest segment began: `start` unless it lasts longer than a packet can say.
    segment: RtpTime,
    /// Since `start`.
    duration: u32,
    released: bool,
}

impl Press {
    fn new(time: RtpTime, event: TelephoneEvent) -> Self {
        Self {
            code: event.code,
            start: time,
            segment: time,
            duration: event.duration.into(),
            released: event.end,
        }
    }

    /// Whether a packet of the same code that says it began at `time` belongs to this press.
    fn covers(&self, time: RtpTime) -> bool {
        let in_segments = time.since(self.start) >= 0 && time.since(self.segment) <= 0;
        in_segments || (!self.released && self.is_continued_at(time))
    }

    /// RFC 4733 §2.5.1.3: an event that outlasts the duration field goes on in a new segment, which
    /// begins where the full one ends. The packet that said so may be lost, so the full length counts
    /// whatever was heard; and some senders split a little earlier, at a whole packet.
    fn is_continued_at(&self, time: RtpTime) -> bool {
        let ahead = time.since(self.segment);
        let segment_len = self.start.plus(self.duration as i32).since(self.segment);
        ahead == SEGMENT_UNITS || (ahead > 0 && ahead == segment_len)
    }

    /// Takes in a packet that belongs to this press. True when it releases the key.
    fn extend(&mut self, time: RtpTime, event: TelephoneEvent) -> bool {
        if self.released {
            return false;
        }
        if time.since(self.segment) > 0 {
            self.segment = time;
        }
        let before_segment = time.0.wrapping_sub(self.start.0);
        self.duration = self.duration.max(before_segment.saturating_add(event.duration.into()));
        self.released = event.end;
        self.released
    }

    const fn update(&self, pressed: bool) -> PressUpdate {
        let Self { code, start, duration, released, .. } = *self;
        PressUpdate { code, start, duration, pressed, released }
    }
}

/// Presses remembered. The fastest diallers take 80 ms a digit: 640 ms of reordering.
const RECENT: usize = 8;
/// Older packets do not come; what looks older is a sender that counts anew.
const LATE_MS: u32 = 5_000;
const SEGMENT_UNITS: i32 = u16::MAX as i32;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Start, code, duration, end bit.
    type Packet = (u32, u8, u16, bool);
    /// Code, duration, pressed, released.
    type Update = (u8, u32, bool, bool);

    fn receive(
        receiver: &mut EventReceiver,
        (time, code, duration, end): Packet,
    ) -> Option<Update> {
        let event = TelephoneEvent { code, end, volume: 10, duration };
        let update = receiver.receive(RtpTime(time), event)?;
        Some((update.code, update.duration, update.pressed, update.released))
    }

    fn check(name: &str, packets: &[Packet], expected: &[Update]) {
        // Anywhere in the number space, wraps included.
        for origin in [0, 0xffff_fff0, 0x7fff_ff00] {
            let mut receiver = EventReceiver::new(ClockRate::HZ_8000);
            let moved = packets.iter().map(|&(time, c, d, e)| (time.wrapping_add(origin), c, d, e));
            let updates: Vec<_> = moved.filter_map(|p| receive(&mut receiver, p)).collect();
            assert_eq!(updates, expected, "{name}");
        }
    }

    const PRESSED: (bool, bool) = (true, false);
    const RELEASED: (bool, bool) = (false, true);
    const BOTH: (bool, bool) = (true, true);

    const fn update(code: u8, duration: u32, (pressed, released): (bool, bool)) -> Update {
        (code, duration, pressed, released)
    }

    #[test]
    fn a_press_counts_once() {
        let whole = [(0, 5, 160, false), (0, 5, 320, false), (0, 5, 480, true)];
        let end = (0, 5, 480, true);
        let once = [update(5, 160, PRESSED), update(5, 480, RELEASED)];
        check("nothing lost", &whole, &once);
        check("ends repeated", &[&whole[..], &[end, end]].concat(), &once);
        check("only an end came", &[end], &[update(5, 480, BOTH)]);
        check("end first", &[end, whole[0], whole[1]], &[update(5, 480, BOTH)]);
        check("duplicates", &[whole[0], whole[0], whole[2], whole[1]], &once);
        check("no end came", &whole[..2], &once[..1]);
        let swapped = [whole[1], whole[0], end];
        check("reordered", &swapped, &[update(5, 320, PRESSED), update(5, 480, RELEASED)]);
    }

    #[test]
    fn the_same_key_again_is_another_press() {
        let press = |start| [(start, 1, 160, false), (start, 1, 320, true)];
        let once = [update(1, 160, PRESSED), update(1, 320, RELEASED)];
        let twice = [once, once].concat();
        check("two presses", &[press(0), press(800)].concat(), &twice);
        let ends_lost = [press(0)[0], press(800)[0], press(800)[1]];
        check("the first one's end lost", &ends_lost, &[once[0], once[0], once[1]]);
        let overtaken = [press(800)[0], press(0)[0], press(800)[1], press(0)[1]];
        check("overtaken whole", &overtaken, &[once[0], once[0], once[1], once[1]]);
        let same_time = [(0, 1, 160, true), (0, 2, 160, true)];
        check("another key, same time", &same_time, &[update(1, 160, BOTH), update(2, 160, BOTH)]);
    }

    #[test]
    fn a_press_longer_than_the_field_is_one_press() {
        let full = u32::from(u16::MAX);
        let first = (0, 3, 160, false);
        check(
            "segments by the book",
            &[first, (0, 3, 65_535, false), (full, 3, 65, false), (full, 3, 225, true)],
            &[update(3, 160, PRESSED), update(3, full + 225, RELEASED)],
        );
        check(
            "the full packet lost",
            &[first, (full, 3, 65, false), (full, 3, 225, true)],
            &[update(3, 160, PRESSED), update(3, full + 225, RELEASED)],
        );
        check(
            "three segments, late packets of the first two",
            &[
                first,
                (full, 3, 65, false),
                (2 * full, 3, 30, false),
                (0, 3, 640, false),
                (full, 3, 65_535, false),
                (2 * full, 3, 190, true),
            ],
            &[update(3, 160, PRESSED), update(3, 2 * full + 190, RELEASED)],
        );
        check(
            "split at a whole packet",
            &[(0, 3, 65_440, false), (65_440, 3, 160, false), (65_440, 3, 320, true)],
            &[update(3, 65_440, PRESSED), update(3, 65_760, RELEASED)],
        );
        check(
            "split at a whole packet, the first one's late packet",
            &[
                (0, 3, 65_440, false),
                (65_440, 3, 160, false),
                (0, 3, 320, false),
                (65_440, 3, 320, true),
            ],
            &[update(3, 65_440, PRESSED), update(3, 65_760, RELEASED)],
        );
        check(
            "released before: a new press",
            &[(0, 3, 65_535, true), (full, 3, 160, true)],
            &[update(3, full, BOTH), update(3, 160, BOTH)],
        );
    }

    #[test]
    fn a_sender_that_counts_anew_is_heard() {
        let newest = 1_000_000;
        for (behind, expected) in [(40_000, None), (40_001, Some(update(7, 160, BOTH)))] {
            let mut receiver = EventReceiver::new(ClockRate::HZ_8000);
            for i in (0..RECENT as u32).rev() {
                assert!(receive(&mut receiver, (newest - i * 640, 7, 160, true)).is_some());
            }
            let press = (newest - behind, 7, 160, true);
            assert_eq!(receive(&mut receiver, press), expected, "{behind} behind");
            assert_eq!(receive(&mut receiver, press), None, "once");
            receiver.reset();
            assert!(receive(&mut receiver, press).is_some(), "after a change of source");
        }
    }

    #[test]
    fn a_forgotten_press_does_not_count_again() {
        let mut receiver = EventReceiver::new(ClockRate::HZ_8000);
        let press = |i: usize| (i as u32 * 640, 9, 320, true);
        for i in 0..=RECENT {
            assert!(receive(&mut receiver, press(i)).is_some());
        }
        for i in 0..=RECENT {
            assert_eq!(receive(&mut receiver, press(i)), None, "{i}");
        }
    }
}
