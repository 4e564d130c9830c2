use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use vox_call::{Ending, Event, Outcome, Quality, Reason};
use vox_ring::sys::EventFd;

use super::EngineEvent;
use super::link::Link;

/// The stream of events: readable (level-triggered eventfd) when there are some.
#[derive(Debug)]
pub struct Events {
    ready: Arc<EventFd>,
    /// One ring for each shard, in the order of `links`.
    shards: Vec<rtrb::Consumer<Event>>,
    recorded: Receiver<EngineEvent>,
    links: Arc<[Link]>,
}

impl Events {
    pub(super) const fn new(
        ready: Arc<EventFd>,
        shards: Vec<rtrb::Consumer<Event>>,
        recorded: Receiver<EngineEvent>,
        links: Arc<[Link]>,
    ) -> Self {
        Self { ready, shards, recorded, links }
    }

    /// Waits until there are events, at most for `timeout`; whether there are. For callers without
    /// a loop that watches descriptors.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.ready.wait(timeout)
    }

    /// Clears the readiness, then takes all events that are there. Those of one call from its
    /// shard are in order.
    pub fn drain(&mut self, mut each: impl FnMut(EngineEvent)) {
        self.ready.clear();
        for (shard, (events, link)) in self.shards.iter_mut().zip(self.links.iter()).enumerate() {
            // Asked before the last look: nothing can follow what is read then.
            let is_over = events.is_abandoned();
            while let Ok(event) = events.pop() {
                if let Event::Ended { call, .. } = &event {
                    link.forget(*call);
                }
                each(EngineEvent::Call(event));
            }
            if is_over && let Some(orphans) = link.bury() {
                for call in orphans {
                    each(EngineEvent::Call(Event::Ended { call, ending: orphaned(), spent: None }));
                }
                each(EngineEvent::ShardDied { shard });
            }
        }
        self.recorded.try_iter().for_each(each);
    }
}

/// How calls end whose shard fell over. What they were like is gone with it.
fn orphaned() -> Ending {
    Ending {
        outcome: Outcome::Failed,
        reason: Reason::Fault,
        duration: Duration::ZERO,
        quality: Quality::default(),
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}
