use std::collections::VecDeque;

use vox_rtp::event::{EventPacket, EventSender, EventTiming};
use vox_rtp::{ClockRate, RtpTime};

/// Digits to be pressed, one after another, as telephone-events (RFC 4733).
#[derive(Debug)]
pub(crate) struct Presses {
    waiting: VecDeque<char>,
    /// The digit being pressed, and the pause after it.
    now: Option<EventSender>,
    timing: EventTiming,
}

impl Presses {
    /// None yet; events are timed by `clock`.
    pub(crate) fn new(clock: ClockRate) -> Self {
        Self {
            waiting: VecDeque::with_capacity(DIGITS_MAX),
            now: None,
            timing: EventTiming::new(clock),
        }
    }

    /// Appends `digits`; what is beyond [`DIGITS_MAX`] waiting ones or no digit is left out.
    pub(crate) fn press(&mut self, digits: &str) {
        let room = DIGITS_MAX - self.waiting.len();
        self.waiting.extend(digits.chars().take(room));
    }

    /// Whether every digit was pressed.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.now.is_none()
    }

    /// A packet time passes, at `time` of the audio's timestamps. The packet to send in place of
    /// audio (RFC 4733 §2.5.1.1), if there is one.
    pub(crate) fn tick(&mut self, time: RtpTime) -> Option<EventPacket> {
        while self.now.is_none() {
            self.now = EventSender::new(self.waiting.pop_front()?, time, self.timing);
        }
        let press = self.now.as_mut()?;
        let packet = press.tick();
        if press.is_done() {
            self.now = None;
        }
        packet
    }
}

/// Digits that can wait: far beyond what an IVR asks for at once.
pub(crate) const DIGITS_MAX: usize = 64;
