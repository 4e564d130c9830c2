/// What is to be done, by the millisecond: inserting and taking out cost the same however much waits.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    spokes: Box<[Spoke]>,
    entries: Vec<Entry<T>>,
    /// First of the entries that are not used.
    free: u32,
    /// The first tick that is not yet done.
    now: u64,
    /// Items that wait.
    waiting: usize,
    /// What was reserved.
    reserved: usize,
}

/// A tick's entries, first in, first out.
#[derive(Debug, Clone, Copy)]
struct Spoke {
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    next: u32,
}

impl<T: Copy> Wheel<T> {
    /// How far ahead an item can be, in ticks.
    pub(super) const REACH: u64 = 8_192;

    pub(super) fn new() -> Self {
        let spokes = vec![Spoke { first: NONE, last: NONE }; Self::REACH as usize].into();
        Self { spokes, entries: Vec::new(), free: NONE, now: 0, waiting: 0, reserved: 0 }
    }

    /// Makes sure that this many more items find room: the only method that allocates.
    pub(super) fn reserve(&mut self, items: usize) {
        self.reserved += items;
        self.entries.reserve(self.reserved.saturating_sub(self.entries.len()));
    }

    /// Gives back what was reserved.
    pub(super) fn unreserve(&mut self, items: usize) {
        self.reserved -= items;
    }

    /// Has `item` taken out at `tick`; what is past is due at once, what is out of reach at its end.
    pub(super) fn insert(&mut self, tick: u64, item: T) {
        let tick = tick.clamp(self.now, self.now + Self::REACH - 1);
        let entry = Entry { item, next: NONE };
        let at = match self.free {
            NONE => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
            free => {
                self.free = self.entries[free as usize].next;
                self.entries[free as usize] = entry;
                free
            }
        };
        let spoke = &mut self.spokes[(tick % Self::REACH) as usize];
        match spoke.last {
            NONE => spoke.first = at,
            last => self.entries[last as usize].next = at,
        }
        self.spokes[(tick % Self::REACH) as usize].last = at;
        self.waiting += 1;
    }

    /// The tick whose items are taken out now.
    pub(super) const fn tick(&self) -> u64 {
        self.now
    }

    /// Takes out the next item of [`tick`](Self::tick); `None` when it has none (any more).
    pub(super) fn take(&mut self) -> Option<T> {
        let spoke = &mut self.spokes[(self.now % Self::REACH) as usize];
        let at = spoke.first;
        let entry = self.entries.get_mut(at as usize)?;
        spoke.first = entry.next;
        if entry.next == NONE {
            spoke.last = NONE;
        }
        entry.next = self.free;
        self.free = at;
        self.waiting -= 1;
        Some(entry.item)
    }

    /// Goes on to `tick` when nothing waits.
    pub(super) fn jump(&mut self, tick: u64) {
        if self.waiting == 0 {
            self.now = self.now.max(tick);
        }
    }

    /// Goes on to the next tick. To be called when this one has no item left.
    pub(super) fn advance(&mut self) {
        debug_assert_eq!(self.spokes[(self.now % Self::REACH) as usize].first, NONE);
        self.now += 1;
    }
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// All items with the ticks they came out at, up to `until`.
    fn turn(wheel: &mut Wheel<u32>, until: u64) -> Vec<(u64, u32)> {
        let mut out = vec![];
        while wheel.tick() <= until {
            match wheel.take() {
                Some(item) => out.push((wheel.tick(), item)),
                None => wheel.advance(),
            }
        }
        out
    }

    #[test]
    fn items_come_out_at_their_tick_in_the_order_they_went_in() {
        let mut wheel = Wheel::new();
        wheel.reserve(10);
        for (tick, item) in [(5, 1), (3, 2), (5, 3), (0, 4), (20_000, 5), (8_191, 6)] {
            wheel.insert(tick, item);
        }
        assert_eq!(turn(&mut wheel, 4), [(0, 4), (3, 2)]);
        wheel.insert(1, 7);
        let expected = [(5, 1), (5, 3), (5, 7)];
        assert_eq!(turn(&mut wheel, 100), expected, "what is past comes at once");
        assert_eq!(
            turn(&mut wheel, 9_000),
            [(8_191, 5), (8_191, 6)],
            "beyond its reach: at its end"
        );
    }

    #[test]
    fn places_are_used_again() {
        let mut wheel = Wheel::new();
        wheel.reserve(6);
        let room = wheel.entries.capacity();
        for round in 0..1_000u64 {
            (0..3).for_each(|item| wheel.insert(round + u64::from(item), item));
            while wheel.take().is_some() {}
            wheel.advance();
        }
        turn(&mut wheel, 2_000);
        assert_eq!(wheel.entries.capacity(), room);
        assert!(wheel.entries.len() <= 6);
    }
}
