//! Which events were seen already.

use std::collections::{HashSet, VecDeque};

/// An event, whatever its id's length.
pub(crate) type Mark = [u8; 16];

/// The events seen lately. An entry is kept until its token has expired, since nobody is believed
/// with that token afterwards; the oldest gives way when there are too many.
#[derive(Debug)]
pub(crate) struct Seen {
    marks: HashSet<Mark>,
    /// In order of arrival, with the time (s) from which on nobody will ask.
    order: VecDeque<(u64, Mark)>,
    capacity: usize,
}

impl Seen {
    /// Remembers up to `capacity` events (at least one), some 60 bytes each.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { marks: HashSet::new(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Whether `mark` is new. It is not any more from now on, until `until`.
    pub(crate) fn admit(&mut self, mark: Mark, now: u64, until: u64) -> bool {
        while self.order.front().is_some_and(|(until, _)| *until < now) {
            self.drop_oldest();
        }
        if self.marks.contains(&mark) {
            return false;
        }
        while self.order.len() >= self.capacity {
            self.drop_oldest();
        }
        self.marks.insert(mark);
        self.order.push_back((until, mark));
        true
    }

    /// Lets `mark` be new again.
    pub(crate) fn forget(&mut self, mark: &Mark) {
        // Its entry in the queue goes too: left there it would later drop a newer one of its kind.
        if self.marks.remove(mark)
            && let Some(at) = self.order.iter().rposition(|(_, seen)| seen == mark)
        {
            self.order.remove(at);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, mark)) = self.order.pop_front() {
            self.marks.remove(&mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u8) -> Mark {
        [number; 16]
    }

    #[test]
    fn an_event_is_new_once_until_its_token_has_expired() {
        let mut seen = Seen::new(8);
        let rows = [
            (1, 100, true),
            (1, 100, false),
            (2, 101, true),
            (1, 399, false),
            (1, 400, false),
            (1, 401, true),
        ];
        for (number, now, expected) in rows {
            assert_eq!(seen.admit(mark(number), now, now.min(101) + 300), expected, "at {now}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_gives_way() {
        let mut seen = Seen::new(3);
        for number in 0..100 {
            assert!(seen.admit(mark(number), 1, u64::MAX));
            assert!(seen.order.len() <= 3 && seen.marks.len() == seen.order.len());
        }
        assert!(!seen.admit(mark(97), 1, u64::MAX) && seen.admit(mark(96), 1, u64::MAX));
    }

    #[test]
    fn what_is_forgotten_is_new_again_and_leaves_nothing_behind() {
        let mut seen = Seen::new(3);
        assert!(seen.admit(mark(1), 1, 10));
        seen.forget(&mark(1));
        seen.forget(&mark(2));
        assert!(seen.order.is_empty() && seen.marks.is_empty());
        assert!(seen.admit(mark(1), 1, 10) && !seen.admit(mark(1), 1, 10));
    }
}
