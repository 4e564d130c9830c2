use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many calls this worker takes, and how many it has. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    capacity: usize,
    /// In `0..=capacity`.
    taken: AtomicUsize,
    draining: AtomicBool,
}

impl Slots {
    /// `capacity` free slots.
    pub fn new(capacity: usize) -> Self {
        let counts =
            Counts { capacity, taken: AtomicUsize::new(0), draining: AtomicBool::new(false) };
        Self(Arc::new(counts))
    }

    /// Takes one slot, or says why not. Nothing else happens.
    pub fn admit(&self) -> Result<Slot, Refusal> {
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let free = |taken| (taken < self.0.capacity).then_some(taken + 1);
        match self.0.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, free) {
            Ok(_) => Ok(Slot { counts: self.0.clone() }),
            Err(_) => Err(Refusal::Full),
        }
    }

    /// Refuses every call from now on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Whether [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Slots taken now.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }

    /// Slots in all.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }
}

/// One call's place in this worker. Dropping it gives the place back: once, because it cannot be
/// cloned.
#[derive(Debug)]
pub struct Slot {
    counts: Arc<Counts>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a call was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Every slot is taken: 429, 486.
    #[error("at capacity")]
    Full,
    /// The worker is going away: 503.
    #[error("draining")]
    Draining,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_given_back_exactly_once_and_never_oversold() {
        let slots = Slots::new(2);
        let (a, b) = (slots.admit().unwrap(), slots.admit().unwrap());
        assert_eq!(slots.admit().unwrap_err(), Refusal::Full);
        assert_eq!(slots.taken(), 2);
        drop(a);
        assert_eq!(slots.taken(), 1);
        let c = slots.admit().unwrap();
        drop((b, c));
        assert_eq!(slots.taken(), 0);
    }

    #[test]
    fn draining_refuses_although_there_is_room() {
        let slots = Slots::new(2);
        let held = slots.admit().unwrap();
        slots.drain();
        assert_eq!(slots.admit().unwrap_err(), Refusal::Draining);
        drop(held);
        assert_eq!(slots.taken(), 0);
    }
}
