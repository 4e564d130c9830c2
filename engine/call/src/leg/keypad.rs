//! Digits that we send: a queue, and the press that is going on.

use vox_codecs::CodecKind;
use vox_codecs::tones::ToneGenerator;
use vox_rtp::event::{EventPacket, EventSender, EventTiming};
use vox_rtp::{ClockRate, RtpTime};

use crate::Digits;

/// Presses digits one after another, as telephone-events or as tones.
#[derive(Debug)]
pub(crate) struct Keypad {
    queue: Box<[u8; QUEUE]>,
    /// In `0..=QUEUE`.
    len: usize,
    press: Option<Press>,
}

#[derive(Debug)]
enum Press {
    Event(EventSender),
    Tone {
        generator: ToneGenerator,
        rate_hz: u32,
        /// Ticks still to come, pause included.
        ticks: u32,
    },
}

/// What a tick belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// To the agent.
    Agent,
    /// To this packet, and no audio.
    Event(EventPacket),
    /// To a tone, or the pause after it, which is in the frame already.
    Tone,
}

impl Keypad {
    pub(crate) fn new() -> Self {
        Self { queue: Box::new([0; QUEUE]), len: 0, press: None }
    }

    /// Queues digits; all of them, or none (`false`) when they do not fit.
    pub(crate) fn press(&mut self, digits: &Digits) -> bool {
        let count = digits.iter().count();
        let Some(room) = self.queue.get_mut(self.len..self.len + count) else { return false };
        for (place, digit) in room.iter_mut().zip(digits.iter()) {
            *place = digit as u8;
        }
        self.len += count;
        true
    }

    /// The next 20 ms, at whose beginning our timestamp is `time`. With `events` a digit is a
    /// telephone-event, else a tone in `pcm`.
    pub(crate) fn tick(
        &mut self,
        codec: CodecKind,
        events: bool,
        time: RtpTime,
        pcm: &mut [i16],
    ) -> Turn {
        if !self.press.as_ref().is_some_and(|press| press.goes_on(codec, events)) {
            self.press = self.next().and_then(|digit| Press::new(digit, codec, events, time));
        }
        match &mut self.press {
            None => Turn::Agent,
            Some(Press::Event(event)) => event.tick().map_or(Turn::Agent, Turn::Event),
            Some(Press::Tone { generator, ticks, .. }) => {
                *ticks -= 1;
                if *ticks >= PAUSE_TICKS {
                    generator.fill(pcm)
                } else {
                    pcm.fill(0)
                }
                Turn::Tone
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let digit = *self.queue[..self.len].first()?;
        self.queue.copy_within(1..self.len, 0);
        self.len -= 1;
        Some(char::from(digit))
    }
}

impl Press {
    fn new(digit: char, codec: CodecKind, events: bool, time: RtpTime) -> Option<Self> {
        if events {
            let clock = ClockRate::new(codec.clock_hz())?;
            return EventSender::new(digit, time, EventTiming::new(clock)).map(Self::Event);
        }
        let rate_hz = codec.rate_hz();
        let generator = ToneGenerator::dtmf(rate_hz, digit)?;
        Some(Self::Tone { generator, rate_hz, ticks: TONE_TICKS + PAUSE_TICKS })
    }

    /// Not when it is over, nor when what was agreed has changed under it: then the digit is cut
    /// short rather than sent twice.
    fn goes_on(&self, codec: CodecKind, events: bool) -> bool {
        match self {
            Self::Event(event) => events && !event.is_done(),
            Self::Tone { rate_hz, ticks, .. } => *rate_hz == codec.rate_hz() && *ticks > 0,
        }
    }
}

/// Two `Digits` commands' worth.
const QUEUE: usize = 64;
/// 100 ms of tone and 60 ms of pause, as [`EventTiming`] has it.
const TONE_TICKS: u32 = 5;
const PAUSE_TICKS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_queued_whole_or_not_at_all() {
        let mut keypad = Keypad::new();
        let digits = |text| Digits::new(text).unwrap();
        let full = digits("01234567890123456789012345678901");
        assert!(keypad.press(&full));
        assert!(keypad.press(&digits("012345678901234567890123456789")));
        assert!(!keypad.press(&digits("123")));
        assert!(keypad.press(&digits("12")));
        assert!(!keypad.press(&digits("1")));
    }

    #[test]
    fn events_follow_each_other_and_leave_their_pauses_to_the_agent() {
        let mut keypad = Keypad::new();
        keypad.press(&Digits::new("7#").unwrap());
        let mut turns = String::new();
        for tick in 0..20 {
            let turn = keypad.tick(CodecKind::Pcmu, true, RtpTime(160 * tick), &mut [0; 160]);
            turns.push(match turn {
                Turn::Event(EventPacket { event, .. }) => event.digit().unwrap(),
                Turn::Agent => '.',
                Turn::Tone => '~',
            });
        }
        assert_eq!(turns, "7777777.#######.....");
    }
}
