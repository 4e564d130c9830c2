use vox_call::Event;

/// Events on their way to control. A full ring loses events, counted, but never an `Ended`:
/// `reserve` places are for those alone, and admission keeps the calls whose `Ended` is still to
/// be read within that number.
#[derive(Debug)]
pub(crate) struct Outbox {
    events: rtrb::Producer<Event>,
    reserve: usize,
    lost: u64,
    /// Something was put in since control was last told.
    fresh: bool,
}

impl Outbox {
    /// Over a ring that is longer than `reserve`.
    pub(crate) fn new(events: rtrb::Producer<Event>, reserve: usize) -> Self {
        Self { events, reserve, lost: 0, fresh: false }
    }

    /// Puts an event in, or counts it as lost.
    pub(crate) fn put(&mut self, event: Event) {
        let needed = if matches!(event, Event::Ended { .. }) { 0 } else { self.reserve };
        if self.events.slots() > needed && self.events.push(event).is_ok() {
            self.fresh = true;
        } else {
            self.lost += 1;
        }
    }

    /// Whether control must be told; says so once.
    pub(crate) fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// Events that found no room.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use vox_call::CallId;

    use super::*;

    #[test]
    fn ordinary_events_leave_the_reserve_alone_and_are_counted_when_lost() {
        let (producer, mut consumer) = rtrb::RingBuffer::new(5);
        let mut outbox = Outbox::new(producer, 3);
        for _ in 0..4 {
            outbox.put(Event::Opened { call: CallId(1) });
        }
        assert_eq!((consumer.slots(), outbox.lost()), (2, 2));
        assert!(outbox.take_fresh());
        assert!(!outbox.take_fresh(), "told already");
        let _ = consumer.pop();
        outbox.put(Event::Opened { call: CallId(1) });
        assert_eq!((consumer.slots(), outbox.lost()), (2, 2), "room again");
    }
}
