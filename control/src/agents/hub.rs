//! The brains' thread: everything that is there is done in batches, 2 ms apart at least.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use vox_call::pipeline::AgentLine;
use vox_engine::AgentsBell;

use super::connect;
use super::counts::Counts;
use super::dialect::{self, Stop};
use super::leaving::Leaving;
use super::names::Names;
use super::session::{Session, Wants};
use super::sessions::Sessions;
use super::socket::{Opened, Room, Writer};
use super::{AgentNews, Asked, SocketPlan};

/// What the thread is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// A call has a brain.
    Open(Box<Session>),
    /// Its socket is open, or not.
    Connected(u64, Result<Opened, String>),
    /// Its call is answered.
    Live(u64, Box<AgentLine>, &'static str),
    /// To be passed on.
    Tell(u64, AgentNews),
    /// Its call is over, for this reason.
    Leave(u64, Stop),
    /// The worker stops.
    Stop,
}

/// The thread's own.
pub(super) struct Hub {
    poll: Poll,
    waker: Arc<Waker>,
    bell: AgentsBell,
    orders: Receiver<Order>,
    /// For what connecting threads have to say.
    back: Sender<Order>,
    asked: tokio::sync::mpsc::Sender<Asked>,
    runtime: tokio::runtime::Handle,
    names: Names,
    sessions: Sessions,
    /// Sockets that nothing more is said over.
    leaving: Vec<Leaving>,
    /// Places of those whose turn it is. Kept for its room.
    due: Vec<usize>,
    /// What sockets read and write comes by way of here.
    room: Room,
    /// When all of them had a turn.
    looked: Instant,
    counts: Arc<Counts>,
    stopping: bool,
}

impl Hub {
    pub(super) fn new(
        bell: AgentsBell,
        orders: Receiver<Order>,
        back: Sender<Order>,
        asked: tokio::sync::mpsc::Sender<Asked>,
        runtime: tokio::runtime::Handle,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let fd = bell.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), BELL, Interest::READABLE)?;
        let names = Names::new(runtime.clone());
        Ok(Self {
            poll,
            waker,
            bell,
            orders,
            back,
            asked,
            runtime,
            names,
            sessions: Sessions::default(),
            leaving: vec![],
            due: vec![],
            room: Room::default(),
            looked: Instant::now(),
            counts,
            stopping: false,
        })
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Until the worker stops.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut last = Instant::now();
        while !self.stopping {
            let idle = self.idle();
            if let Err(error) = self.poll.poll(&mut events, idle) {
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                tracing::error!("the brains' sockets cannot be watched any more: {error}");
                return;
            }
            for event in &events {
                self.happened(event);
            }
            self.take_orders();
            self.serve(Instant::now());
            // What comes in the meantime is done together with the next.
            let next = last + BATCH;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            last = Instant::now();
        }
        self.leave_all();
    }

    /// Says goodbye to whoever is left, and waits until all have heard it; that takes no longer than
    /// one of them may.
    fn leave_all(&mut self) {
        let now = Instant::now();
        let sessions = self.sessions.all_mut();
        self.leaving.extend(sessions.filter_map(|it| it.stop(Stop::WorkerStopped, now)));
        while !self.leaving.is_empty() {
            self.leave(Instant::now());
            std::thread::sleep(BATCH);
        }
    }

    fn leave(&mut self, now: Instant) {
        self.leaving.retain_mut(|leaving| !leaving.is_over(now));
    }

    /// How long nothing may happen.
    fn idle(&self) -> Option<Duration> {
        (!self.sessions.is_empty() || !self.leaving.is_empty()).then_some(LOOK)
    }

    fn happened(&mut self, event: &Event) {
        match event.token() {
            WAKER => {}
            BELL => self.bell.clear(),
            Token(token) => {
                if let Some(session) = self.sessions.get_mut(token as u64 - FIRST) {
                    session.ready(event.is_readable() || event.is_read_closed());
                }
            }
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.take(order),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.stopping = true,
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Open(session) => {
                self.connect(session.id(), session.plan().clone(), Duration::ZERO);
                self.sessions.insert(*session);
            }
            Order::Connected(id, opened) => {
                let Some(session) = self.sessions.get_mut(id) else {
                    return self.turn_away(opened);
                };
                if let Ok(opened) = &opened {
                    let fd = opened.stream.as_raw_fd();
                    let token = Token((id + FIRST) as usize);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    if let Err(error) =
                        self.poll.registry().register(&mut SourceFd(&fd), token, interest)
                    {
                        return session.lost(format!("its socket cannot be watched: {error}"));
                    }
                }
                session.connected(opened);
            }
            Order::Live(id, line, codec) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.answered(*line, codec);
                    self.sessions.watch(id);
                }
            }
            Order::Tell(id, news) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.tell(&news);
                }
            }
            Order::Leave(id, why) => {
                let session = self.sessions.remove(id);
                let now = Instant::now();
                self.leaving.extend(session.and_then(|mut session| session.stop(why, now)));
            }
            Order::Stop => self.stopping = true,
        }
    }

    /// The call was over before its brain was there.
    fn turn_away(&mut self, opened: Result<Opened, String>) {
        let Ok(opened) = opened else { return };
        let mut socket = Writer::new(opened.stream);
        socket.close(1_000, "");
        self.leaving.push(Leaving::new(socket, Instant::now()));
    }

    /// The turn of every session that has something to do; now and then of all, for their limits'
    /// sake.
    fn serve(&mut self, now: Instant) {
        let all = now.saturating_duration_since(self.looked) >= LOOK;
        if all {
            self.looked = now;
        }
        self.sessions.due(all, &mut self.due);
        // What is said leaves in one go, before anything is read: waking a brain costs least while
        // the ones before it keep their core awake.
        for &place in &self.due {
            guarded(self.sessions.at(place), |session| session.speak(&mut self.room));
        }
        for at in 0..self.due.len() {
            let session = self.sessions.at(self.due[at]);
            let (asked, leaving, room) = (&self.asked, &mut self.leaving, &mut self.room);
            let wants = guarded(session, |session| session.listen(now, asked, leaving, room));
            if let Some(Wants::Connection(pause)) = wants.flatten() {
                let session = self.sessions.at(self.due[at]);
                let (id, plan) = (session.id(), session.plan().clone());
                self.connect(id, plan, pause);
            }
            self.sessions.had_turn(self.due[at]);
        }
        self.leave(now);
    }

    /// On threads that may block, all by one deadline.
    fn connect(&self, id: u64, plan: SocketPlan, pause: Duration) {
        let subprotocol = dialect::subprotocol(plan.protocol);
        let (back, waker) = (self.back.clone(), self.waker.clone());
        self.counts.connecting();
        let (names, runtime) = (self.names.clone(), self.runtime.clone());
        // Waiting holds no thread: many brains may be away at once.
        self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            let deadline = Instant::now() + plan.limits.connect;
            let found = names.find(plan.address.host(), deadline).await;
            runtime.spawn_blocking(move || {
                let socket = found
                    .and_then(|at| connect::connect(&plan.address, &at, subprotocol, deadline));
                // The thread is gone when the worker stops.
                if back.send(Order::Connected(id, socket)).is_ok() {
                    let _ = waker.wake();
                }
            });
        });
    }
}

/// A bug that one brain runs into is its end and nobody else's.
fn guarded<T>(session: &mut Session, turn: impl FnOnce(&mut Session) -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(|| turn(session)));
    if done.is_err() {
        session.broken();
    }
    done.ok()
}

const WAKER: Token = Token(0);
const BELL: Token = Token(1);
/// Sessions' tokens come behind those.
const FIRST: u64 = 2;
/// As in the engine: a wake-up costs more than what is done in it.
const BATCH: Duration = Duration::from_millis(2);
/// When nothing rings: limits are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Sockets that a batch finds ready; more are found by the next.
const EVENTS: usize = 1_024;
