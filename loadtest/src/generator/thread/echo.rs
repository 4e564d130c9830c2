/// What a leg that echoes has heard and not yet given back: a few payloads, oldest first.
#[derive(Debug)]
pub(super) struct Echo {
    payloads: Box<[[u8; PAYLOAD_BYTES]; PAYLOADS]>,
    lens: [u16; PAYLOADS],
    first: usize,
    count: usize,
}

impl Echo {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            payloads: Box::new([[0; PAYLOAD_BYTES]; PAYLOADS]),
            lens: [0; PAYLOADS],
            first: 0,
            count: 0,
        })
    }

    /// Takes what was heard; the oldest is forgotten when there is too much. A payload that does not
    /// fit is left out.
    pub(super) fn hear(&mut self, payload: &[u8]) {
        if payload.len() > PAYLOAD_BYTES {
            return;
        }
        if self.count == PAYLOADS {
            self.next();
        }
        let at = (self.first + self.count) % PAYLOADS;
        self.payloads[at][..payload.len()].copy_from_slice(payload);
        self.lens[at] = payload.len() as u16;
        self.count += 1;
    }

    /// The next to be given back.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        self.count = self.count.checked_sub(1)?;
        let at = self.first;
        self.first = (self.first + 1) % PAYLOADS;
        Some(&self.payloads[at][..usize::from(self.lens[at])])
    }
}

/// A fifth of a second of delay is as much as an echo may have of its own.
const PAYLOADS: usize = 10;
/// Opus of 20 ms at its highest rate.
const PAYLOAD_BYTES: usize = 1_276;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_comes_back_in_order_and_the_oldest_is_forgotten() {
        let mut echo = Echo::new();
        assert_eq!(echo.next(), None);
        echo.hear(&[0; PAYLOAD_BYTES + 1]);
        (1..=12).for_each(|n| echo.hear(&vec![n; usize::from(n)]));
        for n in 3..=12 {
            assert_eq!(echo.next(), Some(&vec![n; usize::from(n)][..]));
        }
        assert_eq!(echo.next(), None);
    }
}
