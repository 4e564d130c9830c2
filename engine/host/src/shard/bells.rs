use std::sync::Arc;

use vox_ring::sys::EventFd;

/// Eventfds that a shard rings.
#[derive(Debug, Clone)]
pub(crate) struct Bells {
    /// There are events.
    pub(crate) control: Arc<EventFd>,
    /// There is something new for agents that live elsewhere.
    pub(crate) agents: Arc<EventFd>,
}

/// Who is told that there is something to see: its place among the ring's bells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Control,
    Agents,
}

impl Bells {
    /// In the order of [`Whom`].
    pub(crate) fn by_whom(self) -> Vec<Arc<EventFd>> {
        vec![self.control, self.agents]
    }
}
