//! The tick grid: 20 ms in ten slices of 2 ms, calls spread over them.
//!
//! Slice number `n` (counted since the shard started) is due at `n * 2 ms`; a call in slice `s`
//! plays whenever `n % 10 == s`. Times are absolute, so a late host does not shift the grid.
//!
//! A call is opened where there are fewest. Once its peer is heard it moves to where that peer's
//! packets wait least: in a random slice they would wait 10 ms longer on average.

use std::time::Duration;

use crate::MediaTime;

#[cfg(test)]
const FRAME: Duration = Duration::from_millis(20);
/// 2 ms.
const SLICE: Duration = Duration::from_millis(2);
/// How long a caller's packets wait for their tick: the jitter buffer's least delay, and room for the
/// hiccups of a caller's machine. A packet later than this would be concealed, and a frame of delay
/// would stay for it.
const WAIT: Duration = Duration::from_millis(10);
/// Slices of a frame.
pub(crate) const SLICES: usize = 10;

/// Which calls play when.
#[derive(Debug)]
pub(crate) struct Grid {
    /// Table slots by slice.
    slices: [Vec<u16>; SLICES],
    /// Number of the next slice to be played.
    next: u64,
}

/// A slice that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// In `0..SLICES`.
    pub(crate) slice: usize,
    /// Which 20 ms of the shard's life this is.
    pub(crate) frame: u64,
    /// How long ago it was due.
    pub(crate) late: Duration,
}

/// Where a call has moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// In `0..SLICES`.
    pub(crate) slice: usize,
    /// The [`Due::frame`] of its next turn there, if the host misses none.
    pub(crate) frame: u64,
    /// How many slices later that turn is than it would have been; less than a frame either way.
    pub(crate) later: i64,
}

impl Grid {
    /// For up to `capacity` calls.
    pub(crate) fn new(capacity: usize) -> Self {
        let room = Self::slice_capacity(capacity);
        Self { slices: std::array::from_fn(|_| Vec::with_capacity(room)), next: 0 }
    }

    /// The most calls a slice takes of so many in all: half as many again as the mean, and one. A
    /// call that is opened does not exceed it either, for it goes where there are fewest.
    pub(crate) const fn slice_capacity(calls: usize) -> usize {
        calls * 3 / (2 * SLICES) + 1
    }

    /// Puts a call where there are fewest; returns its slice.
    pub(crate) fn place(&mut self, now: MediaTime, slot: u16) -> usize {
        self.pass_unused(now);
        let slice = (0..SLICES).min_by_key(|&s| self.slices[s].len()).unwrap_or(0);
        self.slices[slice].push(slot);
        slice
    }

    /// Moves a call from slice `from` to the first one that is due at least [`WAIT`] after `arrival`,
    /// which is now, and has room, if that comes before its own does.
    ///
    /// Callers can be in phase, all of them: slices in demand fill up to
    /// [`slice_capacity`](Self::slice_capacity), and who comes later gets the next one.
    ///
    /// Nothing is played twice or lost: the call's next turn is its new slice's next turn. From its
    /// last turn to that one it is less than two frames instead of just one.
    pub(crate) fn follow(&mut self, arrival: MediaTime, from: usize, slot: u16) -> Option<Moved> {
        let first = (arrival + WAIT).micros().div_ceil(SLICE.as_micros() as u64);
        let most = Self::slice_capacity(self.len());
        let slice = (first..first + SLICES as u64)
            .map(slice_of)
            .find(|&slice| slice == from || self.slices[slice].len() < most)?;
        if slice == from {
            return None;
        }
        self.pass_unused(arrival);
        self.remove(from, slot);
        self.slices[slice].push(slot);
        let turn = self.turn_of(slice);
        let later = turn as i64 - self.turn_of(from) as i64;
        Some(Moved { slice, frame: frame_of(turn), later })
    }

    /// Takes a call out.
    pub(crate) fn remove(&mut self, slice: usize, slot: u16) {
        if let Some(place) = self.slices[slice].iter().position(|&s| s == slot) {
            self.slices[slice].swap_remove(place);
        }
    }

    /// The calls of a slice.
    pub(crate) fn slice(&self, slice: usize) -> &[u16] {
        &self.slices[slice]
    }

    /// The next slice that has calls.
    pub(crate) fn next_slice(&self) -> Option<usize> {
        self.next_used().map(slice_of)
    }

    /// When the next slice that has calls is due.
    pub(crate) fn next_due(&self) -> Option<MediaTime> {
        self.next_used().map(due_at)
    }

    /// The earliest slice that has calls and is due at `now`, which is thereby done with.
    ///
    /// A host that was away for longer than a frame gets every slice once, for the present: what it
    /// missed before is skipped (each call sees it in the frame numbers), not played in a burst.
    pub(crate) fn take_due(&mut self, now: MediaTime) -> Option<Due> {
        self.next = self.next.max((number(now) + 1).saturating_sub(SLICES as u64));
        let next = self.next_used().filter(|&n| due_at(n) <= now)?;
        self.next = next + 1;
        Some(Due { slice: slice_of(next), frame: frame_of(next), late: now.since(due_at(next)) })
    }

    /// The number of this slice's next turn.
    fn turn_of(&self, slice: usize) -> u64 {
        let ahead = (slice + SLICES - slice_of(self.next)) % SLICES;
        self.next + ahead as u64
    }

    fn next_used(&self) -> Option<u64> {
        let used = |n: &u64| !self.slices[slice_of(*n)].is_empty();
        (self.next..self.next + SLICES as u64).find(used)
    }

    fn len(&self) -> usize {
        self.slices.iter().map(Vec::len).sum()
    }

    /// Slices that had no call when they were due are over: nobody who comes in now is late there.
    fn pass_unused(&mut self, now: MediaTime) {
        let coming = number(now) + 1;
        let next = self.next_used().map_or(coming, |used| used.min(coming));
        self.next = self.next.max(next);
    }
}

/// The slice that `time` falls into.
const fn number(time: MediaTime) -> u64 {
    time.micros() / SLICE.as_micros() as u64
}

/// The slice's place in its frame.
const fn slice_of(number: u64) -> usize {
    (number % SLICES as u64) as usize
}

/// The frame that it is a part of.
const fn frame_of(number: u64) -> u64 {
    number / SLICES as u64
}

const fn due_at(number: u64) -> MediaTime {
    MediaTime::from_micros(number * SLICE.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_micros(ms * 1_000)
    }

    #[test]
    fn calls_are_spread_evenly_and_never_beyond_a_slice_even_after_an_uneven_end() {
        for capacity in [1, 9, 10, 11, 100, 105] {
            let mut grid = Grid::new(capacity);
            let mut placed: Vec<usize> =
                (0..capacity).map(|slot| grid.place(ms(0), slot as u16)).collect();
            // Everything but slice 0 ends, then the table fills again.
            for round in 0..3 {
                for (slot, slice) in placed.iter_mut().enumerate() {
                    if *slice != round {
                        grid.remove(*slice, slot as u16);
                        *slice = grid.place(ms(0), slot as u16);
                    }
                }
                let longest = (0..SLICES).map(|s| grid.slice(s).len()).max().unwrap();
                assert!(longest <= Grid::slice_capacity(capacity), "{capacity}: {longest}");
            }
        }
    }

    #[test]
    fn a_call_moves_to_the_first_slice_that_its_packets_can_wait_for() {
        // Arrival, slice before, slice after; the grid starts at 100 ms.
        let rows = [
            (ms(100), 0, 5),
            (ms(101), 0, 6),
            (ms(101), 9, 6),
            (ms(115), 5, 3),
            (ms(118), 4, 4),
            (ms(119), 5, 5),
        ];
        for (arrival, before, after) in rows {
            let mut grid = Grid::new(10);
            let placed: Vec<_> = (0..=before).map(|slot| grid.place(ms(100), slot)).collect();
            assert_eq!(placed.last(), Some(&usize::from(before)));
            for slot in 0..before {
                grid.remove(usize::from(slot), slot);
            }
            let moved = grid.follow(arrival, before.into(), before).map(|moved| moved.slice);
            assert_eq!(moved, (after != before.into()).then_some(after), "{arrival:?}");
            assert_eq!(grid.slice(after), [before]);
        }
    }

    /// Something that happens to a grid; numbers choose among what is there.
    #[derive(Debug, Clone)]
    enum Step {
        Open,
        Close(usize),
        Follow(usize),
        Wait(u64),
    }

    /// By slot: the slice, and the frame of its next turn once it has had one.
    type Model = BTreeMap<u16, (usize, Option<u64>)>;

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Open),
            2 => any::<usize>().prop_map(Step::Close),
            5 => any::<usize>().prop_map(Step::Follow),
            5 => (0..30_000_u64).prop_map(Step::Wait),
        ]
    }

    /// Plays what is due until `end`, with a host that is never late: every call's frames follow
    /// one another, whichever slice it was in before.
    fn wait_until(end: MediaTime, grid: &mut Grid, model: &mut Model) {
        while let Some(now) = grid.next_due().filter(|&due| due <= end) {
            let due = grid.take_due(now).unwrap();
            for slot in grid.slice(due.slice) {
                let (slice, next) = model.get_mut(slot).unwrap();
                assert_eq!(*slice, due.slice);
                assert_eq!(next.replace(due.frame + 1).unwrap_or(due.frame), due.frame);
            }
        }
    }

    fn choose(model: &Model, number: usize) -> Option<u16> {
        model.keys().nth(number.checked_rem(model.len())?).copied()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_call_is_in_its_slice_once_and_has_each_turn_once(
            steps in prop::collection::vec(step(), 1..300),
        ) {
            const CAPACITY: usize = 40;
            let mut grid = Grid::new(CAPACITY);
            let (mut model, mut now) = (Model::new(), ms(1_000));
            for step in steps {
                match step {
                    Step::Open if model.len() < CAPACITY => {
                        let slot = (0..).find(|slot| !model.contains_key(slot)).unwrap();
                        model.insert(slot, (grid.place(now, slot), None));
                    }
                    Step::Open => {}
                    Step::Close(number) => {
                        let Some(slot) = choose(&model, number) else { continue };
                        let (slice, _) = model.remove(&slot).unwrap();
                        grid.remove(slice, slot);
                    }
                    Step::Follow(number) => {
                        let Some(slot) = choose(&model, number) else { continue };
                        let (slice, next) = model.get_mut(&slot).unwrap();
                        let Some(moved) = grid.follow(now, *slice, slot) else { continue };
                        *slice = moved.slice;
                        *next = next.map(|_| moved.frame);
                    }
                    Step::Wait(micros) => {
                        let end = now + Duration::from_micros(micros);
                        wait_until(end, &mut grid, &mut model);
                        now = end;
                    }
                }
                for slice in 0..SLICES {
                    let mut found = grid.slice(slice).to_vec();
                    found.sort_unstable();
                    let here = model.iter().filter(|(_, of)| of.0 == slice).map(|(&slot, _)| slot);
                    prop_assert_eq!(&found, &here.collect::<Vec<_>>());
                    prop_assert!(found.len() <= Grid::slice_capacity(CAPACITY));
                }
            }
        }
    }

    #[test]
    fn a_punctual_host_plays_every_slice_once_a_frame() {
        let mut grid = Grid::new(20);
        assert_eq!((grid.next_due(), grid.take_due(ms(50))), (None, None));
        for slot in 0..20 {
            grid.place(ms(100), slot);
        }
        let mut played = [0; SLICES];
        let mut now = ms(100);
        while now <= ms(300) {
            let due = grid.next_due().unwrap();
            assert!(due > now && due.since(now) <= SLICE);
            now = due;
            let taken = grid.take_due(now).unwrap();
            assert_eq!(taken.late, Duration::ZERO);
            played[taken.slice] += 1;
            assert_eq!(grid.take_due(now), None);
        }
        assert!(played.iter().all(|&n| n == 10 || n == 11), "{played:?}");
    }

    #[test]
    fn slices_without_calls_are_not_waited_for() {
        let mut grid = Grid::new(10);
        grid.place(ms(1_000), 3);
        assert_eq!(grid.next_due(), Some(ms(1_020)));
        assert_eq!(grid.take_due(ms(1_019)), None);
        assert_eq!(grid.take_due(ms(1_020)).map(|d| (d.slice, d.frame)), Some((0, 51)));
        assert_eq!(grid.next_due(), Some(ms(1_040)));
    }

    #[test]
    fn a_late_host_gets_each_slice_once_and_skips_the_rest() {
        let mut grid = Grid::new(20);
        for slot in 0..20 {
            grid.place(ms(0), slot);
        }
        for host_wakes_at in [ms(2), ms(30), ms(131), ms(1_131)] {
            let mut taken = Vec::new();
            while let Some(due) = grid.take_due(host_wakes_at) {
                assert!(due.late < FRAME, "{due:?}");
                taken.push(due.slice);
            }
            taken.sort_unstable();
            taken.dedup();
            assert!(taken.len() <= SLICES);
            assert!(grid.next_due().unwrap() > host_wakes_at);
        }
    }
}
