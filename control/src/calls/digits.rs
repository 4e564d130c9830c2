use std::time::Duration;

/// Where a digit was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// In the media, as event or tone; the engine has already made one of these two.
    Media,
    /// By SIP INFO or a message of a telephony socket.
    Signalling,
}

/// The digits a caller pressed. Some phones report a press in the media and by signalling: it
/// counts once.
#[derive(Debug, Default)]
pub(super) struct DigitLog {
    pressed: String,
    /// Presses that one side has reported and the other may still report.
    single: Vec<(char, Heard, Duration)>,
}

impl DigitLog {
    /// A report at `now` (since the call began). Whether it is a press of its own.
    pub(super) fn report(&mut self, digit: char, heard: Heard, now: Duration) -> bool {
        self.single.retain(|&(.., at)| now.saturating_sub(at) < SAME_PRESS);
        let other = |&(d, by, _): &(char, Heard, Duration)| d == digit && by != heard;
        if let Some(position) = self.single.iter().position(other) {
            self.single.remove(position);
            return false;
        }
        if self.pressed.len() >= DIGITS_MAX {
            return false;
        }
        self.single.push((digit, heard, now));
        self.pressed.push(digit);
        true
    }

    /// All presses in order.
    pub(super) fn pressed(&self) -> &str {
        &self.pressed
    }
}

/// An INFO waits for a round trip and a retransmission at most.
const SAME_PRESS: Duration = Duration::from_millis(1_500);

/// Nobody presses more in ten minutes; a flood of INFO would.
const DIGITS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::Heard::{Media, Signalling};
    use super::*;

    #[test]
    fn a_press_counts_once_however_it_came() {
        let check = |reports: &[(char, Heard, u64)], expected: &str| {
            let mut log = DigitLog::default();
            for &(digit, heard, ms) in reports {
                log.report(digit, heard, Duration::from_millis(ms));
            }
            assert_eq!(log.pressed(), expected, "{reports:?}");
        };
        check(&[], "");
        check(&[('1', Media, 0), ('1', Signalling, 40)], "1");
        check(&[('1', Signalling, 0), ('1', Media, 40)], "1");
        check(&[('1', Media, 0), ('1', Media, 200)], "11");
        check(&[('1', Signalling, 0), ('1', Signalling, 200)], "11");
        check(
            &[('1', Media, 0), ('1', Media, 200), ('1', Signalling, 250), ('1', Signalling, 300)],
            "11",
        );
        check(
            &[('1', Media, 0), ('2', Signalling, 10), ('1', Signalling, 20), ('2', Media, 30)],
            "12",
        );
        check(&[('1', Media, 0), ('1', Signalling, 1_500)], "11");
        check(&[('1', Media, 0), ('1', Signalling, 1_499)], "1");
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut log = DigitLog::default();
        for ms in 0..5_000 {
            log.report('1', Signalling, Duration::from_millis(ms));
        }
        assert_eq!(log.pressed().len(), DIGITS_MAX);
    }
}
