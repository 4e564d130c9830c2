//! The shard: its table of calls, the tick, the lifecycle.
//!
//! Every input concerns one call (or, a tick, the calls of one slice one after another). The call
//! is taken out of the table, worked on behind a border that catches a panic, and put back; or not,
//! and then it is closed: the one way out, which every reason for an end goes through.

mod call;
mod context;
mod counters;
mod grid;
mod ledger;
mod live;
mod outbox;
mod sealed;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use vox_rtp::DropReason;

use crate::{
    CallId, Command, Ending, Event, Input, LegKey, MediaTime, Outcome, Output, PacketMemory,
    Quality, Reason,
};

pub use call::Call;
pub(crate) use context::Context;
pub use counters::Counters;
use grid::{Due, Grid};
use ledger::{Ledger, Lent};
use outbox::Outbox;
pub(crate) use sealed::SEALED;
use table::Table;

/// How soon something expected comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coming {
    /// After at least one other.
    Later,
    /// As the next or next but one.
    Next,
}

/// A shard's calls. Deterministic: same inputs at same times, same outputs.
#[derive(Debug)]
pub struct Shard {
    table: Table,
    grid: Grid,
    outbox: Outbox,
    ledger: Ledger,
    counters: Counters,
    draining: bool,
}

impl Shard {
    /// A shard for up to `capacity` calls, at most 65,535.
    pub fn new(capacity: usize) -> Self {
        Self {
            table: Table::new(capacity),
            grid: Grid::new(capacity),
            outbox: Outbox::new(capacity),
            ledger: Ledger::new(capacity),
            counters: Counters::default(),
            draining: false,
        }
    }

    /// Receive buffers that the calls of a shard hold at most, all together: what
    /// [`PacketMemory`] has beyond them is always the kernel's.
    pub fn buffers_max(capacity: usize) -> usize {
        Ledger::held_max(capacity)
    }

    /// Something happened. Take the outputs with [`poll`](Self::poll) before the next call.
    pub fn handle(&mut self, now: MediaTime, input: Input, memory: &mut impl PacketMemory) {
        match input {
            Input::Datagram { leg, component, source, buf } => {
                self.counters.datagrams += 1;
                let Some(call) = self.table.lend(leg) else {
                    self.counters.stale += 1;
                    self.counters.dropped[DropReason::NotListening as usize] += 1;
                    return memory.release(buf);
                };
                let mut first_audio = false;
                self.work(now, leg, call, memory, |call, ctx| {
                    ctx.memory.hand_over(&buf, leg.slot);
                    first_audio = call.datagram(ctx, component, source, buf);
                    if ctx.memory.is_overdrawn(leg.slot) {
                        call.shed(ctx);
                    }
                    None
                });
                if first_audio {
                    self.follow(now, leg);
                }
            }
            Input::Tick => {
                if let Some(due) = self.grid.take_due(now) {
                    self.play(now, due, memory);
                }
            }
            Input::Command(command) => self.command(now, command, memory),
        }
        self.counters.buffers_held = self.ledger.held();
    }

    /// A datagram for this leg will be handled soon. Worth saying twice: first when it is
    /// [`Coming::Later`] and again, at least one datagram on, when it is [`Coming::Next`].
    pub fn expect(&self, leg: LegKey, coming: Coming, memory: &impl PacketMemory) {
        let Some(call) = self.table.peek(leg.slot) else { return };
        match coming {
            Coming::Later => call.expect_datagram(memory),
            Coming::Next => call.expect_filing(memory),
        }
    }

    /// A tick will be handled soon: what its first turns need can be fetched.
    pub fn expect_slice(&self, memory: &impl PacketMemory) {
        let Some(slice) = self.grid.next_slice() else { return };
        let calls = self.grid.slice(slice).iter().filter_map(|&slot| self.table.peek(slot));
        calls.take(FETCHED_AHEAD).for_each(|call| call.expect_turn(memory));
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Output {
        self.outbox.pop().unwrap_or_else(|| Output::Idle(self.next_tick()))
    }

    /// When the next slice of the 20 ms grid is due; `None` without calls. May lie in the past.
    pub fn next_tick(&self) -> Option<MediaTime> {
        self.grid.next_due()
    }

    /// Counters since the start, for the host's statistics.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Calls in the table.
    pub fn calls(&self) -> usize {
        self.table.len()
    }

    /// Has a call play soon after its peer's packets come, as this one did now.
    fn follow(&mut self, now: MediaTime, leg: LegKey) {
        let Some(mut call) = self.table.lend(leg) else { return };
        if let Some(to) = self.grid.follow(now, call.slice(), leg.slot) {
            call.moved(to);
        }
        self.table.put_back(leg.slot, call);
    }

    /// Plays the calls of a slice.
    fn play(&mut self, now: MediaTime, due: Due, memory: &mut impl PacketMemory) {
        if due.late > LATE {
            self.counters.late_slices += 1;
        }
        let mut place = 0;
        self.fetch_first(due.slice, memory);
        while let Some(&slot) = self.grid.slice(due.slice).get(place) {
            self.fetch_ahead(due.slice, place, memory);
            let key = self.table.key(slot);
            let Some(call) = self.table.lend(key) else { return };
            let goes_on = self.work(now, key, call, memory, |call, ctx| call.tick(ctx, due.frame));
            // A call that ended has left its place in the slice to another.
            place += usize::from(goes_on);
        }
    }

    /// Before the first turn of a slice: what [`fetch_ahead`](Self::fetch_ahead) would have said by
    /// then.
    fn fetch_first(&self, slice: usize, memory: &impl PacketMemory) {
        let calls = || self.grid.slice(slice).iter().filter_map(|&slot| self.table.peek(slot));
        calls().take(FETCHED_AHEAD).for_each(|call| call.expect_turn(memory));
        calls().take(2).for_each(|call| call.expect_frame(memory));
        calls().take(1).for_each(|call| call.expect_audio(memory));
    }

    /// During the turn at `place`: the calls whose turns come next. What lies behind a pointer is
    /// named a turn after what holds the pointer, which has come by then.
    fn fetch_ahead(&self, slice: usize, place: usize, memory: &impl PacketMemory) {
        let slots = self.grid.slice(slice);
        let call = |ahead: usize| slots.get(place + ahead).and_then(|&slot| self.table.peek(slot));
        if let Some(call) = call(FETCHED_AHEAD) {
            call.expect_turn(memory);
        }
        if let Some(call) = call(2) {
            call.expect_frame(memory);
        }
        if let Some(call) = call(1) {
            call.expect_audio(memory);
        }
    }

    fn command(&mut self, now: MediaTime, command: Command, memory: &mut impl PacketMemory) {
        let id = match command {
            Command::Open(call) => return self.open(now, call, memory),
            Command::Drain => return self.draining = true,
            Command::Answer { call, .. }
            | Command::Attach { call, .. }
            | Command::Play { call, .. }
            | Command::Record { call, .. }
            | Command::Digits { call, .. }
            | Command::Close { call, .. }
            | Command::Join { call, .. }
            | Command::Negotiate { call, .. }
            | Command::Query { call } => call,
        };
        let found = self.table.find(id).and_then(|key| Some((key, self.table.lend(key)?)));
        match found {
            Some((key, call)) => {
                self.work(now, key, call, memory, |call, ctx| call.command(ctx, command));
            }
            None => self.give_back(command),
        }
    }

    fn open(&mut self, now: MediaTime, call: Box<Call>, memory: &mut impl PacketMemory) {
        if self.draining {
            return self.refuse(call, Reason::WorkerStopped);
        }
        let key = match self.table.insert(call) {
            Ok(key) => key,
            Err(call) => return self.refuse(call, Reason::AtCapacity),
        };
        self.counters.opened += 1;
        let slice = self.grid.place(now, key.slot);
        if let Some(call) = self.table.lend(key) {
            self.work(now, key, call, memory, |call, ctx| {
                call.open(ctx, slice);
                None
            });
        }
    }

    /// A call that never came in still ends like any other.
    fn refuse(&mut self, call: Box<Call>, reason: Reason) {
        self.counters.refused += 1;
        let ending = Ending {
            outcome: Outcome::NotAnswered,
            reason,
            duration: Duration::ZERO,
            quality: Quality::default(),
        };
        self.outbox.event(Event::Ended { call: call.id(), ending, spent: Some(call) });
    }

    /// A command for a call that is gone: what it brought goes back.
    fn give_back(&mut self, command: Command) {
        let event = match command {
            Command::Answer { call, session } => {
                Event::Renegotiated { call, displaced: Some(session) }
            }
            Command::Attach { call, agent } => {
                Event::Spent { call, agent: Some(agent), prompt: None, tap: None }
            }
            Command::Play { call, prompt, .. } => {
                Event::Spent { call, agent: None, prompt: Some(prompt), tap: None }
            }
            Command::Record { call, tap: Some(tap) } => {
                Event::Spent { call, agent: None, prompt: None, tap: Some(tap) }
            }
            Command::Join { call, peer } => Event::Left { call, peer },
            _ => return,
        };
        self.outbox.event(event);
    }

    /// Works on a lent call and puts it back; closes it instead when `job` gives a reason, or falls
    /// over: a bug that one call runs into is that call's end and nobody else's. Says whether the
    /// call goes on.
    fn work<M: PacketMemory>(
        &mut self,
        now: MediaTime,
        leg: LegKey,
        mut call: Box<Call>,
        memory: &mut M,
        job: impl FnOnce(&mut Call, &mut Context<'_, M>) -> Option<Reason>,
    ) -> bool {
        let mut ctx = self.context(now, leg, call.id(), memory);
        match catch_unwind(AssertUnwindSafe(|| job(&mut call, &mut ctx))) {
            Ok(None) => {
                self.table.put_back(leg.slot, call);
                return true;
            }
            Ok(Some(reason)) => self.close(now, leg, call, memory, reason),
            Err(_) => self.close(now, leg, call, memory, Reason::Fault),
        }
        false
    }

    /// The one way out of the table.
    fn close<M: PacketMemory>(
        &mut self,
        now: MediaTime,
        leg: LegKey,
        mut call: Box<Call>,
        memory: &mut M,
        reason: Reason,
    ) {
        let id = call.id();
        let mut ctx = self.context(now, leg, id, memory);
        let ending = catch_unwind(AssertUnwindSafe(|| call.close(&mut ctx, reason)));
        let ending = ending.unwrap_or_else(|_| call.ending(now, Reason::Fault, Quality::default()));
        if ending.reason == Reason::Fault {
            ctx.counters.faults += 1;
            ctx.memory.reclaim(leg.slot);
        }
        self.counters.ended += 1;
        self.grid.remove(call.slice(), leg.slot);
        self.table.forget(leg.slot, id);
        self.outbox.unlisten(leg);
        self.outbox.event(Event::Ended { call: id, ending, spent: Some(call) });
    }

    fn context<'a, M: PacketMemory>(
        &'a mut self,
        now: MediaTime,
        leg: LegKey,
        call: CallId,
        memory: &'a mut M,
    ) -> Context<'a, M> {
        Context {
            now,
            call,
            leg,
            memory: Lent::new(memory, &mut self.ledger),
            peer: None,
            counters: &mut self.counters,
            outbox: &mut self.outbox,
        }
    }
}

/// A slice later than its own length shares its time with the next.
const LATE: Duration = Duration::from_millis(2);
/// Turns ahead of its own that a call is fetched: one for each stage of pointers.
const FETCHED_AHEAD: usize = 3;
