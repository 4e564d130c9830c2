use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// How many calls this worker takes, and how many it has. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    capacity: usize,
    /// In `0..=capacity`.
    taken: watch::Sender<usize>,
    draining: AtomicBool,
}

impl Slots {
    /// `capacity` free slots.
    pub fn new(capacity: usize) -> Self {
        let draining = AtomicBool::new(false);
        Self(Arc::new(Counts { capacity, taken: watch::Sender::new(0), draining }))
    }

    /// Takes one slot, or says why not. Nothing else happens.
    pub fn admit(&self) -> Result<Slot, Refusal> {
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let take = |taken: &mut usize| {
            let free = *taken < self.0.capacity;
            *taken += usize::from(free);
            free
        };
        match self.0.taken.send_if_modified(take) {
            true => Ok(Slot { counts: self.0.clone() }),
            false => Err(Refusal::Full),
        }
    }

    /// Refuses every call from now on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.taken.send_modify(|_| {});
    }

    /// Whether [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Resolves when no slot is taken.
    pub async fn empty(&self) {
        // The sender lives in `self`.
        let _ = self.0.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }

    /// Changes whenever a slot is taken or given back, and with [`drain`](Self::drain).
    pub fn changes(&self) -> watch::Receiver<usize> {
        self.0.taken.subscribe()
    }

    /// Slots taken now.
    pub fn taken(&self) -> usize {
        *self.0.taken.borrow()
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
        self.counts.taken.send_modify(|taken| *taken -= 1);
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
    fn many_at_once_get_exactly_the_slots_there_are() {
        let slots = Slots::new(10);
        let ask = || std::iter::from_fn(|| slots.admit().ok()).collect::<Vec<_>>();
        let taken: Vec<Vec<Slot>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().map(Vec::len).sum::<usize>(), 10);
        assert_eq!(slots.taken(), 10);
    }

    #[tokio::test]
    async fn draining_refuses_although_there_is_room_and_waits_for_the_last_call() {
        let slots = Slots::new(2);
        let held = slots.admit().unwrap();
        slots.drain();
        assert_eq!(slots.admit().unwrap_err(), Refusal::Draining);
        let waiting = tokio::spawn({
            let slots = slots.clone();
            async move { slots.empty().await }
        });
        drop(held);
        waiting.await.unwrap();
        assert_eq!(slots.taken(), 0);
    }
}
