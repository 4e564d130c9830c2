//! A shard's thread: one ring, one core of `vox-call`, and the loop that carries between them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vox_call::{
    Call, CallId, Coming, Command, Component, Input, LegKey, MediaTime, Output, PacketMemory,
    TxSlot,
};
use vox_ring::sys::{self, EventFd};
use vox_ring::{Completion, Received, Ring, RingError, SocketKey, Token, Wait};
use vox_rtp::DropReason;

use crate::ports::{Released, SocketPair};

mod bells;
mod legs;
mod outbox;
mod shared;
mod sizes;

pub(crate) use bells::Bells;
use bells::Whom;
use legs::{After, Legs};
pub(crate) use outbox::Outbox;
pub(crate) use shared::{ShardStats, Shared};
pub(crate) use sizes::MAX_CALLS;

/// What control sends to a shard.
#[derive(Debug)]
pub(crate) enum ShardCommand {
    /// Take a call, with the sockets it will listen on.
    Open(Box<Call>, SocketPair),
    /// For the core.
    Core(Command),
    /// End the thread once the last call is over.
    Stop,
    /// Fall over, as a bug outside every call's border would.
    #[cfg(test)]
    Panic,
}

/// What a shard is made of; everything else is made on its own thread.
#[derive(Debug)]
pub(crate) struct ShardParts {
    /// Calls it can hold.
    pub(crate) capacity: usize,
    /// The core to pin to.
    pub(crate) core: Option<usize>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: rtrb::Consumer<ShardCommand>,
    pub(crate) outbox: Outbox,
    pub(crate) released: rtrb::Producer<Released>,
    /// Rung by control.
    pub(crate) wake: Arc<EventFd>,
    /// Rung by the shard.
    pub(crate) bells: Bells,
}

/// Why a shard did not start.
#[derive(Debug)]
pub(crate) enum ShardError {
    Pin(usize, io::Error),
    Ring(RingError),
}

/// The life of a shard's thread: `started` hears whether it came up.
pub(crate) fn run(parts: ShardParts, started: impl FnOnce(Result<(), ShardError>)) {
    // Rung after everything else is gone: whoever reads events or lines learns of the end, whatever
    // it is.
    let _last = Last(parts.bells.clone());
    match Worker::new(parts) {
        Ok(mut worker) => {
            started(Ok(()));
            worker.run();
        }
        Err(error) => started(Err(error)),
    }
}

struct Last(Bells);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.control.ring();
        self.0.agents.ring();
    }
}

struct Worker {
    core: vox_call::Shard,
    ring: Ring,
    legs: Legs,
    commands: rtrb::Consumer<ShardCommand>,
    outbox: Outbox,
    shared: Arc<Shared>,
    wake: Arc<EventFd>,
    /// A poll of `wake` is in flight.
    wake_armed: bool,
    epoch: Instant,
    completions: Vec<Completion>,
    /// Receives that ended and must be armed again.
    ended: Vec<(LegKey, Component)>,
    /// The sockets of the `Open` that the core is handling.
    opening: Option<(CallId, SocketPair)>,
    counts: Counts,
    /// What lines were fed when their bell was rung last.
    agents_told: u64,
    stopping: bool,
}

impl Drop for Worker {
    /// After a panic: what is on its way to the core goes now. Control's end of the queue keeps
    /// whatever is in it for as long as the engine lives, and a tap in there would never be closed.
    fn drop(&mut self) {
        if let Some((_, sockets)) = self.opening.take() {
            self.legs.release(sockets);
        }
        while let Ok(command) = self.commands.pop() {
            if let ShardCommand::Open(_, sockets) = command {
                self.legs.release(sockets);
            }
        }
    }
}

/// What only the host can count.
#[derive(Debug, Default)]
struct Counts {
    received: u64,
    sent: u64,
    send_failed: u64,
    peer_unreachable: u64,
    no_buffers: u64,
    too_large: u64,
}

impl Worker {
    fn new(parts: ShardParts) -> Result<Self, ShardError> {
        if let Some(core) = parts.core {
            sys::pin_to(core).map_err(|error| ShardError::Pin(core, error))?;
        }
        // What else runs on its core would make every call's packets late. Where that may not be asked
        // for, this is an ordinary thread, which needs a core of its own.
        let _ = sys::prefer_this_thread();
        let sizes = sizes::sizes(parts.capacity);
        let bells = parts.bells.by_whom();
        let ring = Ring::new(sizes, parts.wake.clone(), bells).map_err(ShardError::Ring)?;
        Ok(Self {
            core: vox_call::Shard::new(parts.capacity),
            ring,
            legs: Legs::new(parts.capacity, parts.released),
            commands: parts.commands,
            outbox: parts.outbox,
            shared: parts.shared,
            wake: parts.wake,
            wake_armed: false,
            epoch: Instant::now(),
            completions: Vec::with_capacity(sizes.completions as usize),
            ended: Vec::with_capacity(sizes.files as usize),
            opening: None,
            counts: Counts::default(),
            agents_told: 0,
            stopping: false,
        })
    }

    fn run(&mut self) {
        loop {
            let now = self.now();
            self.take_completions(now);
            self.take_commands(now);
            self.play_slices(now);
            self.rearm();
            self.ring_bells();
            let stats = self.stats();
            self.shared.publish(&stats);
            if self.is_finished() {
                self.enter(Wait::No);
                return;
            }
            self.wait();
        }
    }

    /// Tells those who wait for it what this wake-up has brought: once, however much it is.
    fn ring_bells(&mut self) {
        if self.outbox.take_fresh() {
            self.ring.tell(Whom::Control as usize);
        }
        let fed = self.core.counters().agent_frames;
        if std::mem::replace(&mut self.agents_told, fed) != fed {
            self.ring.tell(Whom::Agents as usize);
        }
    }

    /// Files what arrived.
    fn take_completions(&mut self, now: MediaTime) {
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.completions(&mut completions);
        self.fetch_first(&completions);
        for at in 0..completions.len() {
            self.fetch_ahead(&completions[at..]);
            let completion = completions[at];
            match completion.token {
                Token::Receive(socket) => self.received(now, socket, &completion),
                Token::Send(..) => self.send_failed(completion.result),
                Token::Wake => {
                    self.wake.clear();
                    self.wake_armed = false;
                }
                Token::Quiet => {}
            }
        }
        completions.clear();
        self.completions = completions;
    }

    /// Has what the first datagrams and turns of a wake-up need brought into the cache: some twenty
    /// lines for each, which the core would wait for one after another.
    fn fetch_first(&mut self, completions: &[Completion]) {
        for (reach, coming) in FETCHED {
            completions.iter().take(reach).for_each(|completion| self.expect(completion, coming));
        }
        self.core.expect_slice(self.ring.packets());
    }

    /// The same for the datagrams behind the first of `completions`, while that is worked on.
    fn fetch_ahead(&mut self, completions: &[Completion]) {
        for (reach, coming) in FETCHED {
            if let Some(completion) = completions.get(reach) {
                self.expect(completion, coming);
            }
        }
    }

    fn expect(&mut self, completion: &Completion, coming: Coming) {
        if let Token::Receive(socket) = completion.token {
            let (leg, _) = legs::leg_of(socket);
            self.core.expect(leg, coming, self.ring.packets());
        }
    }

    fn received(&mut self, now: MediaTime, socket: SocketKey, of: &Completion) {
        let (leg, component) = legs::leg_of(socket);
        if let Some(buffer) = of.buffer {
            match self.ring.received(buffer, of.result.max(0) as usize) {
                Received::Whole { source, buf, .. } => {
                    self.counts.received += 1;
                    self.handle(now, Input::Datagram { leg, component, source, buf });
                }
                Received::TooLarge => {
                    self.counts.received += 1;
                    self.counts.too_large += 1;
                }
                Received::Unusable => {}
            }
        }
        match -of.result {
            libc::ENOBUFS => self.counts.no_buffers += 1,
            // What we sent met a closed port: the kernel says so on the next receive.
            libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH => {
                self.counts.peer_unreachable += 1;
            }
            _ => {}
        }
        if !of.more && self.legs.ended(leg, component, &mut self.ring) == After::Rearm {
            self.ended.push((leg, component));
        }
    }

    fn send_failed(&mut self, result: i32) {
        self.counts.sent -= 1;
        match -result {
            libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH => {
                self.counts.peer_unreachable += 1;
            }
            _ => self.counts.send_failed += 1,
        }
    }

    fn take_commands(&mut self, now: MediaTime) {
        while let Ok(command) = self.commands.pop() {
            match command {
                ShardCommand::Open(call, sockets) => {
                    self.opening = Some((call.id(), sockets));
                    self.handle(now, Input::Command(Command::Open(call)));
                    // Still here when the core refused the call.
                    if let Some((_, sockets)) = self.opening.take() {
                        self.legs.release(sockets);
                    }
                }
                ShardCommand::Core(command) => self.handle(now, Input::Command(command)),
                ShardCommand::Stop => self.stopping = true,
                #[cfg(test)]
                ShardCommand::Panic => panic!("asked for by a test"),
            }
        }
    }

    /// Plays every slice of the grid that is due.
    fn play_slices(&mut self, now: MediaTime) {
        while self.core.next_tick().is_some_and(|due| due <= now) {
            self.handle(now, Input::Tick);
        }
    }

    /// Hands `input` to the core and does what it asks for.
    fn handle(&mut self, now: MediaTime, input: Input) {
        self.core.handle(now, input, self.ring.packets());
        loop {
            match self.core.poll() {
                Output::Send { leg, component, slot, len, to } => {
                    self.send(leg, component, slot, len, to);
                }
                Output::Event(event) => self.tell(event),
                Output::Listen { call, leg } => match self.opening.take() {
                    Some((opening, sockets)) if opening == call => {
                        self.legs.listen(leg, sockets, &mut self.ring);
                    }
                    other => self.opening = other,
                },
                Output::Connect { leg, component, peer } => {
                    if let Err(error) = self.legs.connect(leg, component, peer) {
                        tracing::warn!(?leg, ?peer, %error, "a media socket cannot be connected");
                    }
                }
                Output::Unlisten { leg } => self.legs.unlisten(leg, &mut self.ring),
                Output::Idle(_) => return,
            }
        }
    }

    fn send(
        &mut self,
        leg: LegKey,
        component: Component,
        slot: TxSlot,
        len: u16,
        to: Option<SocketAddr>,
    ) {
        // Until the slot's last leg is closed, its row still belongs to that one.
        if !self.legs.is_listening(leg) {
            self.ring.packets().discard(slot);
            self.counts.send_failed += 1;
            return;
        }
        if self.ring.send(legs::socket(leg, component), slot, len, to) {
            self.counts.sent += 1;
        } else {
            self.counts.send_failed += 1;
        }
    }

    fn tell(&mut self, event: vox_call::Event) {
        let ended = matches!(event, vox_call::Event::Ended { .. });
        self.outbox.put(event);
        if ended {
            self.shared.free_slot();
        }
    }

    /// Arms receives that ended, as part of the next submission, once there are buffers for them.
    fn rearm(&mut self) {
        if self.ended.is_empty() || !self.ring.packets().can_receive() {
            return;
        }
        for (leg, component) in self.ended.drain(..) {
            self.legs.rearm(leg, component, &mut self.ring);
        }
    }

    /// Until the next slice; packets do not wake us before. With no call, until control rings.
    fn wait(&mut self) {
        match self.core.next_tick() {
            Some(due) => {
                let now = self.now();
                match due.min(next_look(now)).since(now) {
                    Duration::ZERO => self.enter(Wait::No),
                    left => self.enter(Wait::Batch(left)),
                }
            }
            None => {
                if !self.wake_armed {
                    self.ring.arm_wake();
                    self.wake_armed = true;
                }
                self.shared.set_idle(true);
                let wait = if self.commands.is_empty() { Wait::ForAnything } else { Wait::No };
                self.enter(wait);
                self.shared.set_idle(false);
            }
        }
    }

    fn enter(&mut self, wait: Wait) {
        if let Err(error) = self.ring.enter(wait) {
            // Not known to happen. Calls go on by the clock and end by their limits; a pause keeps
            // a broken ring from burning the core.
            tracing::error!(%error, "io_uring_enter failed");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn is_finished(&self) -> bool {
        self.stopping && self.core.calls() == 0 && self.legs.is_empty() && self.commands.is_empty()
    }

    fn stats(&mut self) -> ShardStats {
        let buffers_held = self.ring.packets().held() as u64;
        let core = self.core.counters();
        let mut dropped = core.dropped;
        dropped[DropReason::TooLarge as usize] += self.counts.too_large;
        ShardStats {
            calls: self.core.calls() as u64,
            opened: core.opened,
            packets_received: self.counts.received,
            packets_sent: self.counts.sent,
            send_failed: self.counts.send_failed + core.no_send_slot,
            peer_unreachable: self.counts.peer_unreachable,
            no_buffers: self.counts.no_buffers,
            buffers_held,
            late_ticks: core.late_slices,
            skipped_frames: core.skipped_frames,
            faults: core.faults,
            events_lost: self.outbox.lost(),
            dropped,
        }
    }

    fn now(&self) -> MediaTime {
        MediaTime::from_micros(self.epoch.elapsed().as_micros() as u64)
    }
}

/// The next multiple of 2 ms, where slices are. With fewer than ten calls some slices have none;
/// they are looked at all the same, because a packet's arrival is when we see it.
const fn next_look(now: MediaTime) -> MediaTime {
    MediaTime::from_micros((now.micros() / SLICE_US + 1) * SLICE_US)
}

const SLICE_US: u64 = 2_000;
/// How many datagrams ahead what is fetched: half a microsecond each, several times what memory takes.
const FETCHED: [(usize, Coming); 2] = [(4, Coming::Later), (2, Coming::Next)];
