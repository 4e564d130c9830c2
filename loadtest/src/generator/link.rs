use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use vox_ring::SocketKey;
use vox_ring::sys::EventFd;

use super::config::StartError;
use super::interval::{ThreadInterval, Totals};
use super::thread::{Agreement, Ended, LegState};

/// What a thread is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Listen on a leg's socket.
    Open(LegState),
    /// Talk and listen as agreed; from the first one on.
    Agree(SocketKey, Box<Agreement>),
    /// Press digits, after those that wait.
    Digits(SocketKey, String),
    /// Neither send nor read any more.
    Vanish(SocketKey),
    /// End the leg, and hand over what is left of it to whoever asked.
    Stop(SocketKey, Option<oneshot::Sender<Ended>>),
    /// Go on counting in these, and hand over those up to now.
    Take(Box<Totals>, oneshot::Sender<Taken>),
    /// End the thread.
    Quit,
}

/// A thread's figures.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) totals: Box<Totals>,
    /// Processor time since the thread's start.
    pub(super) cpu: Duration,
}

/// Control's end of a thread.
#[derive(Debug)]
pub(super) struct Link {
    core: Option<usize>,
    orders: SyncSender<Order>,
    wake: Arc<EventFd>,
    legs: AtomicUsize,
    capacity: usize,
    rows: Mutex<Rows>,
    clock: Mutex<Clock>,
    /// `/proc/self/task/<id>/schedstat` of the thread; set by it.
    task: Arc<std::sync::OnceLock<String>>,
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct LinkEnds {
    pub(super) core: Option<usize>,
    /// Of the ring's file table.
    pub(super) rows: usize,
    pub(super) orders: Receiver<Order>,
    /// Where rows go whose sockets are closed.
    pub(super) freed: SyncSender<u32>,
    pub(super) wake: Arc<EventFd>,
    pub(super) task: Arc<std::sync::OnceLock<String>>,
}

/// Rows of the ring's file table that no leg has.
#[derive(Debug)]
struct Rows {
    free: Vec<u32>,
    freed: Receiver<u32>,
    generations: Vec<u32>,
}

/// What an interval's times are measured from.
#[derive(Debug)]
struct Clock {
    at: Instant,
    cpu: Duration,
    waiting: Duration,
}

impl Link {
    pub(super) fn new(
        core: Option<usize>,
        capacity: usize,
    ) -> Result<(Self, LinkEnds), StartError> {
        // Open, start, some changes and the end of every leg at once.
        let (orders, inbox) = sync_channel(capacity * 8 + 64);
        let rows = capacity + SPARE_ROWS;
        let (freed, returned) = sync_channel(rows);
        let wake = Arc::new(EventFd::new().map_err(StartError::Thread)?);
        let task = Arc::default();
        let rows = Rows {
            free: (0..rows as u32).rev().collect(),
            freed: returned,
            generations: vec![0; rows],
        };
        let clock = Clock { at: Instant::now(), cpu: Duration::ZERO, waiting: Duration::ZERO };
        let link = Self {
            core,
            orders,
            wake: wake.clone(),
            legs: AtomicUsize::new(0),
            capacity,
            rows: Mutex::new(rows),
            clock: Mutex::new(clock),
            task: Arc::clone(&task),
        };
        Ok((link, LinkEnds { core, rows: capacity + SPARE_ROWS, orders: inbox, freed, wake, task }))
    }

    /// Legs open now.
    pub(super) fn legs(&self) -> usize {
        self.legs.load(Ordering::Relaxed)
    }

    /// A row for a new leg, if there is one.
    pub(super) fn take_row(&self) -> Option<SocketKey> {
        let mut rows = lock(&self.rows);
        if self.legs() >= self.capacity {
            return None;
        }
        let row = rows.free.pop().or_else(|| rows.freed.try_recv().ok())?;
        let generation = &mut rows.generations[row as usize];
        *generation = generation.wrapping_add(1);
        self.legs.fetch_add(1, Ordering::Relaxed);
        Some(SocketKey { row, generation: *generation })
    }

    /// Gives a row back that the thread has not seen.
    pub(super) fn return_row(&self, key: SocketKey) {
        lock(&self.rows).free.push(key.row);
        self.left();
    }

    /// A leg has gone.
    pub(super) fn left(&self) {
        self.legs.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells the thread; `false` when it has died. Waits a millisecond at most, for a thread that has
    /// more orders than all its legs need.
    pub(super) fn tell(&self, order: Order) -> bool {
        let told = match self.orders.try_send(order) {
            Ok(()) => true,
            Err(TrySendError::Full(order)) => {
                self.wake.ring();
                self.orders.send(order).is_ok()
            }
            Err(TrySendError::Disconnected(_)) => false,
        };
        self.wake.ring();
        told
    }

    pub(super) fn quit(&self) {
        self.tell(Order::Quit);
    }

    /// What happened since this was called last.
    pub(super) async fn take_interval(&self) -> (Totals, ThreadInterval) {
        let (answer, taken) = oneshot::channel();
        self.tell(Order::Take(Box::default(), answer));
        let taken = taken.await;
        let waiting = self.task.get().and_then(|path| run_queue_wait(path)).unwrap_or_default();
        let mut clock = lock(&self.clock);
        let length = clock.at.elapsed();
        clock.at += length;
        let mut thread =
            ThreadInterval { core: self.core, length, legs: self.legs(), ..Default::default() };
        thread.waiting = waiting.saturating_sub(clock.waiting);
        clock.waiting = waiting;
        let Ok(taken) = taken else {
            thread.died = true;
            return (Totals::default(), thread);
        };
        thread.cpu = taken.cpu.saturating_sub(clock.cpu);
        clock.cpu = taken.cpu;
        (*taken.totals, thread)
    }
}

/// Rows whose sockets are just being closed.
const SPARE_ROWS: usize = 64;

/// Time spent on the run queue: the second figure of `schedstat`, in nanoseconds.
fn run_queue_wait(schedstat: &str) -> Option<Duration> {
    let figures = fs::read_to_string(schedstat).ok()?;
    Some(Duration::from_nanos(figures.split_whitespace().nth(1)?.parse().ok()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
