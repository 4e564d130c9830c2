//! The tick grid: 20 ms in ten slices of 2 ms, calls spread over them.
//!
//! Slice number `n` (counted since the shard started) is due at `n * 2 ms`; a call in slice `s`
//! plays whenever `n % 10 == s`. Times are absolute, so a late host does not shift the grid.

use std::time::Duration;

use crate::MediaTime;

#[cfg(test)]
const FRAME: Duration = Duration::from_millis(20);
/// 2 ms.
const SLICE: Duration = Duration::from_millis(2);
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

impl Grid {
    /// For up to `capacity` calls.
    pub(crate) fn new(capacity: usize) -> Self {
        let room = Self::slice_capacity(capacity);
        Self { slices: std::array::from_fn(|_| Vec::with_capacity(room)), next: 0 }
    }

    /// The most calls a slice can hold. A call goes where there are fewest, and that is never more
    /// than a tenth of the others.
    pub(crate) const fn slice_capacity(capacity: usize) -> usize {
        capacity.div_ceil(SLICES)
    }

    /// Puts a call where there are fewest; returns its slice.
    pub(crate) fn place(&mut self, now: MediaTime, slot: u16) -> usize {
        if self.is_empty() {
            self.next = number(now) + 1;
        }
        let slice = (0..SLICES).min_by_key(|&s| self.slices[s].len()).unwrap_or(0);
        self.slices[slice].push(slot);
        slice
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
        Some(Due {
            slice: (next % SLICES as u64) as usize,
            frame: next / SLICES as u64,
            late: now.since(due_at(next)),
        })
    }

    fn next_used(&self) -> Option<u64> {
        let used = |n: &u64| !self.slices[(n % SLICES as u64) as usize].is_empty();
        (self.next..self.next + SLICES as u64).find(used)
    }

    fn is_empty(&self) -> bool {
        self.slices.iter().all(Vec::is_empty)
    }
}

/// The slice that `time` falls into.
const fn number(time: MediaTime) -> u64 {
    time.micros() / SLICE.as_micros() as u64
}

const fn due_at(number: u64) -> MediaTime {
    MediaTime::from_micros(number * SLICE.as_micros() as u64)
}

#[cfg(test)]
mod tests {
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
