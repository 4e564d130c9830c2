use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use vox_ring::sys::EventFd;

/// Rung by the shards for agents that live elsewhere: readable (level-triggered eventfd) when one
/// or more of their lines have something new. Once for a slice at most, however many calls are in
/// it; never for a call whose agent has no line.
#[derive(Debug, Clone)]
pub struct AgentsBell {
    rung: Arc<EventFd>,
}

impl AgentsBell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { rung: Arc::new(EventFd::new()?) })
    }

    /// What a shard rings.
    pub(super) fn rope(&self) -> Arc<EventFd> {
        self.rung.clone()
    }

    /// Waits until it is rung, at most for `timeout`; whether it is. For callers without a loop
    /// that watches descriptors.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.rung.wait(timeout)
    }

    /// Makes it unreadable. To be called before the lines are looked at, or news is missed.
    pub fn clear(&self) {
        self.rung.clear();
    }
}

impl AsFd for AgentsBell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rung.as_fd()
    }
}
