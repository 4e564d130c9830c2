use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vox_call::{Call, CallId, Command, Event, Reason};
use vox_ring::sys::EventFd;

use super::Refused;
use crate::ports::{Released, SocketPair};
use crate::shard::{Bells, Outbox, ShardCommand, ShardParts, Shared};

/// Control's end of one shard.
#[derive(Debug)]
pub(super) struct Link {
    /// Its place among the shards: the top byte of its calls' ids.
    index: usize,
    capacity: usize,
    shared: Arc<Shared>,
    wake: Arc<EventFd>,
    desk: Mutex<Desk>,
}

/// What control threads take turns at; the shard never waits for it.
#[derive(Debug)]
struct Desk {
    commands: rtrb::Producer<ShardCommand>,
    /// Calls whose `Ended` control has not read yet.
    live: HashMap<CallId, Standing>,
    /// Ids given so far.
    ids: u64,
    /// `Stop` is queued, or nobody is there: nothing may follow.
    stopped: bool,
    /// The shard's thread is gone, and what it left behind is known.
    buried: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    /// `Close` is on its way or was carried out.
    Closing,
}

/// The other ends of a link: for the shard, for the events' reader, and for the ports.
pub(super) struct LinkEnds {
    pub(super) shard: ShardParts,
    pub(super) events: rtrb::Consumer<Event>,
    pub(super) returned: rtrb::Consumer<Released>,
}

/// A slot taken on a shard; given back on drop unless a call was opened on it.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    link: &'a Link,
    used: bool,
}

impl Link {
    /// A link to a shard of `capacity` calls; `bells` are what it rings.
    pub(super) fn new(
        index: usize,
        capacity: usize,
        core: Option<usize>,
        bells: Bells,
    ) -> std::io::Result<(Self, LinkEnds)> {
        let shared = Arc::new(Shared::default());
        let wake = Arc::new(EventFd::new()?);
        let (commands, shard_commands) = rtrb::RingBuffer::new(closes(capacity) + COMMANDS);
        let (shard_events, events) = rtrb::RingBuffer::new(unread_max(capacity) + EVENTS);
        let (released, returned) = rtrb::RingBuffer::new(unread_max(capacity));
        let desk = Desk { commands, live: HashMap::new(), ids: 0, stopped: false, buried: false };
        let shard = ShardParts {
            capacity,
            core,
            shared: shared.clone(),
            commands: shard_commands,
            outbox: Outbox::new(shard_events, unread_max(capacity)),
            released,
            wake: wake.clone(),
            bells,
        };
        let link = Self { index, capacity, shared, wake, desk: Mutex::new(desk) };
        Ok((link, LinkEnds { shard, events, returned }))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Takes a slot, when there is one and the shard's thread lives.
    pub(super) fn admit(&self) -> Option<Admission<'_>> {
        let lives = !self.desk().commands.is_abandoned();
        (lives && self.shared.take_slot(self.capacity))
            .then(|| Admission { link: self, used: false })
    }

    /// Queues a command to a call that exists, unless the queue is full.
    pub(super) fn send(&self, call: CallId, command: Command) -> Result<(), Refused> {
        let mut desk = self.desk();
        if !desk.live.contains_key(&call) {
            return Err(Refused::NoSuchCall);
        }
        // Nobody would read it, and a tap in it would never be closed.
        if desk.stopped || desk.commands.is_abandoned() {
            return Err(Refused::Draining);
        }
        self.push(&mut desk, ShardCommand::Core(command), closes(self.capacity))
    }

    /// Queues `Close`, for which there is always room; nothing when the call is gone or closing.
    pub(super) fn close(&self, call: CallId, reason: Reason) {
        let mut desk = self.desk();
        if let Some(standing) = desk.live.get_mut(&call)
            && *standing == Standing::Open
        {
            *standing = Standing::Closing;
            let command = ShardCommand::Core(Command::Close { call, reason });
            let queued = self.push(&mut desk, command, FINAL);
            debug_assert!(queued.is_ok(), "one close for each live call has its place");
        }
    }

    /// Queues `Drain`.
    pub(super) fn drain(&self) {
        let command = ShardCommand::Core(Command::Drain);
        let queued = self.push(&mut self.desk(), command, 1);
        debug_assert!(queued.is_ok(), "asked for once, it has its place");
    }

    /// Closes what is left and ends the shard's thread after that.
    pub(super) fn stop(&self) {
        let live: Vec<CallId> = self.desk().live.keys().copied().collect();
        for call in live {
            self.close(call, Reason::WorkerStopped);
        }
        let mut desk = self.desk();
        let queued = self.push(&mut desk, ShardCommand::Stop, 0);
        debug_assert!(queued.is_ok(), "asked for once, it has its place");
        desk.stopped = true;
    }

    #[cfg(test)]
    pub(super) fn panic(&self) {
        let _ = self.push(&mut self.desk(), ShardCommand::Panic, 0);
    }

    /// Control has read this call's `Ended`.
    pub(super) fn forget(&self, call: CallId) {
        self.desk().live.remove(&call);
    }

    /// The shard's thread is gone. Unless it ended in order, and once only: the calls that it left
    /// behind, whose slots are free now.
    pub(super) fn bury(&self) -> Option<Vec<CallId>> {
        let mut desk = self.desk();
        let in_order = std::mem::replace(&mut desk.stopped, true) && desk.live.is_empty();
        if std::mem::replace(&mut desk.buried, true) || in_order {
            return None;
        }
        // What was queued while the thread went down goes with the queue: nobody would read it, and
        // a tap in it would never be closed.
        desk.commands = rtrb::RingBuffer::new(0).0;
        let orphans: Vec<CallId> = desk.live.drain().map(|(call, _)| call).collect();
        orphans.iter().for_each(|_| self.shared.free_slot());
        Some(orphans)
    }

    fn push(
        &self,
        desk: &mut Desk,
        command: ShardCommand,
        leave_free: usize,
    ) -> Result<(), Refused> {
        if desk.commands.is_abandoned() {
            // Nobody would read it. The calls of a thread that is gone end when it is buried.
            return Ok(());
        }
        if desk.commands.slots() <= leave_free {
            return Err(Refused::Busy);
        }
        desk.commands.push(command).map_err(|_| Refused::Busy)?;
        if self.shared.must_ring() {
            self.wake.ring();
        }
        Ok(())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing between lock and unlock panics and leaves the desk half done.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// Opens the call that `build` makes for the id it is given; its sockets come back when the
    /// shard is busy.
    pub(super) fn open(
        mut self,
        sockets: SocketPair,
        build: impl FnOnce(CallId) -> Box<Call>,
    ) -> Result<CallId, (Refused, SocketPair)> {
        let mut desk = self.link.desk();
        if desk.stopped {
            return Err((Refused::Draining, sockets));
        }
        let room = desk.commands.slots() > closes(self.link.capacity);
        if !room || desk.live.len() >= unread_max(self.link.capacity) {
            return Err((Refused::Busy, sockets));
        }
        desk.ids += 1;
        let call = CallId((self.link.index as u64) << INDEX_SHIFT | desk.ids);
        let command = ShardCommand::Open(build(call), sockets);
        desk.live.insert(call, Standing::Open);
        let queued = self.link.push(&mut desk, command, 0);
        debug_assert!(queued.is_ok(), "there was room under the same lock");
        drop(desk);
        self.used = true;
        Ok(call)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.link.shared.free_slot();
        }
    }
}

/// The shard that a call lives on.
pub(super) const fn shard_of(call: CallId) -> usize {
    (call.0 >> INDEX_SHIFT) as usize
}

/// Calls whose `Ended` may be unread: those that live, and three times as many that are over.
const fn unread_max(capacity: usize) -> usize {
    capacity * 4
}

/// Places of the command queue kept for `Close` (one for each call that may be live or unread),
/// and for `Drain` and `Stop`.
const fn closes(capacity: usize) -> usize {
    unread_max(capacity) + FINAL
}

/// `Drain` and `Stop`.
const FINAL: usize = 2;
/// Commands other than `Close` that may wait; a shard takes them at least every 2 ms.
const COMMANDS: usize = 1_024;
/// Events other than `Ended` that may wait; 200 calls make about 400 a second at their busiest.
const EVENTS: usize = 4_096;
/// 256 shards, 2^56 calls each.
const INDEX_SHIFT: u32 = 56;
