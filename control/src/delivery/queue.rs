use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Brings one file to where it belongs, and removes it once it is there.
pub(super) trait Courier: Send + Sync + 'static {
    /// What is delivered, for the log.
    const WHAT: &'static str;
    /// Tries once.
    fn deliver(&self, path: &Path) -> impl Future<Output = Delivery> + Send;
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Confirmed by the other side; the file is gone.
    Done,
    /// Not now, whoever else gets through: the other side refuses this one. The reason names the
    /// cause, not the file: it is logged when it changes.
    Later(String),
    /// Not now, nor would another be: the other side cannot be reached or does not work.
    Unreachable(String),
    /// Never: the file is no delivery. The courier has set it aside.
    Never(String),
}

/// How long a failed delivery waits: `first`, doubled each time up to `most`, ± 50 %.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never longer than this (before the jitter).
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// For the delivery that has failed `failures` times; `random` is in `0.0..1.0`.
    fn wait(self, failures: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.most).mul_f64(0.5 + random)
    }
}

/// What a queue has done, for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    /// Files that wait or are under way.
    pub pending: u64,
    /// Delivered since the start.
    pub delivered: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Set aside because they cannot be read.
    pub poisoned: u64,
}

/// Files under way to somewhere. Each is tried until it is delivered; where the process ends first,
/// the next one finds it in the directory.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    arrivals: mpsc::UnboundedSender<PathBuf>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: watch::Sender<u64>,
    delivered: AtomicU64,
    failures: AtomicU64,
    poisoned: AtomicU64,
}

impl Queue {
    /// Starts delivering on the current runtime, at most `at_once` files at a time.
    pub(super) fn start<C: Courier>(courier: C, backoff: Backoff, at_once: usize) -> Self {
        let (arrivals, inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            pending: watch::Sender::new(0),
            delivered: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            poisoned: AtomicU64::new(0),
        });
        let deliverer = Deliverer {
            courier: Arc::new(courier),
            backoff,
            at_once,
            inbox,
            waiting: BinaryHeap::new(),
            running: JoinSet::new(),
            unreachable: None,
            refused: None,
            shared: shared.clone(),
            random: RandomState::new(),
        };
        tokio::spawn(deliverer.run());
        Self { arrivals, shared }
    }

    /// Another file to deliver.
    pub(super) fn push(&self, path: PathBuf) {
        self.shared.pending.send_modify(|pending| *pending += 1);
        // The receiver lives as long as the runtime; after it, the file waits for the next start.
        let _ = self.arrivals.send(path);
    }

    pub(super) fn counts(&self) -> QueueCounts {
        QueueCounts {
            pending: *self.shared.pending.borrow(),
            delivered: self.shared.delivered.load(Ordering::Relaxed),
            failures: self.shared.failures.load(Ordering::Relaxed),
            poisoned: self.shared.poisoned.load(Ordering::Relaxed),
        }
    }

    /// Resolves when nothing is pending.
    pub(super) async fn idle(&self) {
        // The sender lives in `self`.
        let _ = self.shared.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }
}

struct Deliverer<C> {
    courier: Arc<C>,
    backoff: Backoff,
    at_once: usize,
    inbox: mpsc::UnboundedReceiver<PathBuf>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    running: JoinSet<(Waiting, Delivery)>,
    /// Why the other side cannot be reached at present.
    unreachable: Option<String>,
    /// Why it refuses what it refuses.
    refused: Option<String>,
    shared: Arc<Shared>,
    random: RandomState,
}

/// Ordered by `due` first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Instant,
    path: PathBuf,
    failures: u32,
    last: Failure,
}

/// How the last try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    None,
    Refused,
    Unreachable,
}

impl<C: Courier> Deliverer<C> {
    async fn run(mut self) {
        loop {
            self.start_due();
            let room = self.running.len() < self.at_once;
            let next = self.waiting.peek().map(|Reverse(waiting)| waiting.due);
            tokio::select! {
                path = self.inbox.recv() => match path {
                    Some(path) => self.waiting.push(Reverse(Waiting {
                        due: Instant::now(), path, failures: 0, last: Failure::None,
                    })),
                    None => return,
                },
                Some(done) = self.running.join_next() => match done {
                    Ok((waiting, delivery)) => self.settle(waiting, delivery),
                    Err(error) => tracing::error!("delivering a {} failed: {error}", C::WHAT),
                },
                () = sleep_until(next), if room && next.is_some() => {}
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.running.len() < self.at_once
            && let Some(Reverse(next)) = self.waiting.peek()
            && next.due <= now
            && let Some(Reverse(waiting)) = self.waiting.pop()
        {
            let courier = self.courier.clone();
            self.running.spawn(async move {
                let delivery = courier.deliver(&waiting.path).await;
                (waiting, delivery)
            });
        }
    }

    fn settle(&mut self, waiting: Waiting, delivery: Delivery) {
        match delivery {
            Delivery::Done => {
                self.shared.delivered.fetch_add(1, Ordering::Relaxed);
                self.recovered(waiting.last);
                self.finished();
            }
            Delivery::Never(reason) => {
                self.shared.poisoned.fetch_add(1, Ordering::Relaxed);
                tracing::error!("{} set aside: {}: {reason}", C::WHAT, waiting.path.display());
                self.finished();
            }
            Delivery::Later(reason) => self.again(waiting, Failure::Refused, reason),
            Delivery::Unreachable(reason) => self.again(waiting, Failure::Unreachable, reason),
        }
    }

    fn again(&mut self, waiting: Waiting, last: Failure, reason: String) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        self.say(last, reason);
        let failures = waiting.failures.saturating_add(1);
        let random = self.random.hash_one((&waiting.path, failures)) as f64 / u64::MAX as f64;
        let due = Instant::now() + self.backoff.wait(failures, random);
        self.waiting.push(Reverse(Waiting { due, failures, last, ..waiting }));
    }

    /// The other side is back: what could not reach it need not wait. What it refused does: it
    /// would refuse it again.
    fn recovered(&mut self, last: Failure) {
        if last == Failure::Refused {
            self.refused = None;
        }
        if self.unreachable.take().is_some() {
            tracing::info!("{}s are delivered again, {} are waiting", C::WHAT, self.waiting.len());
            let now = Instant::now();
            let waiting = std::mem::take(&mut self.waiting).into_iter();
            self.waiting = waiting.map(|Reverse(waiting)| Reverse(waiting.recalled(now))).collect();
        }
    }

    /// Once for each change of the reason, not once for each try.
    fn say(&mut self, failure: Failure, reason: String) {
        let said = match failure {
            Failure::Unreachable => &mut self.unreachable,
            _ => &mut self.refused,
        };
        if said.as_ref() != Some(&reason) {
            tracing::warn!("{}s cannot be delivered and are kept: {reason}", C::WHAT);
            *said = Some(reason);
        }
    }

    fn finished(&self) {
        self.shared.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
    }
}

impl Waiting {
    fn recalled(self, now: Instant) -> Self {
        match self.last {
            Failure::Unreachable => Self { due: self.due.min(now), ..self },
            Failure::None | Failure::Refused => self,
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_spread() {
        let backoff = Backoff::default();
        let rows = [
            (1, 0.5, 1_000),
            (2, 0.5, 2_000),
            (3, 0.0, 2_000),
            (4, 1.0, 12_000),
            (40, 0.5, 60_000),
        ];
        for (failures, random, expected_ms) in rows {
            assert_eq!(
                backoff.wait(failures, random),
                Duration::from_millis(expected_ms),
                "{failures}"
            );
        }
    }

    /// Fails each file as often as its name says, then delivers it.
    #[derive(Default, Clone)]
    struct Fussy(Arc<Mutex<Vec<(PathBuf, usize)>>>);

    impl Courier for Fussy {
        const WHAT: &'static str = "test";
        async fn deliver(&self, path: &Path) -> Delivery {
            let mut tried = self.0.lock().unwrap();
            let times = tried.iter().filter(|(other, _)| other == path).count();
            tried.push((path.to_owned(), times));
            match path.to_str().unwrap().parse::<usize>() {
                Ok(failures) if times < failures => Delivery::Later("busy".into()),
                Ok(_) => Delivery::Done,
                Err(_) => Delivery::Never("no number".into()),
            }
        }
    }

    const QUICK: Backoff =
        Backoff { first: Duration::from_millis(1), most: Duration::from_millis(5) };

    #[tokio::test]
    async fn every_file_is_tried_until_it_is_delivered_or_set_aside() {
        let fussy = Fussy::default();
        let queue = Queue::start(fussy.clone(), QUICK, 2);
        for name in ["0", "3", "x", "1", "2"] {
            queue.push(name.into());
        }
        queue.idle().await;
        let expected = QueueCounts { pending: 0, delivered: 4, failures: 6, poisoned: 1 };
        assert_eq!(queue.counts(), expected);
        assert_eq!(fussy.0.lock().unwrap().len(), 11);
    }

    /// Refuses one file and does not reach anybody with another, each the first time.
    #[derive(Clone, Default)]
    struct Moody(Arc<Mutex<Vec<PathBuf>>>);

    impl Courier for Moody {
        const WHAT: &'static str = "test";
        async fn deliver(&self, path: &Path) -> Delivery {
            let mut tried = self.0.lock().unwrap();
            let first = !tried.iter().any(|other| other == path);
            tried.push(path.to_owned());
            match path.to_str().unwrap() {
                "refused" if first => Delivery::Later("422".into()),
                "unreached" if first => Delivery::Unreachable("down".into()),
                _ => Delivery::Done,
            }
        }
    }

    #[tokio::test]
    async fn a_success_recalls_what_could_not_be_sent_but_not_what_was_refused() {
        let moody = Moody::default();
        let hour = Duration::from_secs(3_600);
        let queue = Queue::start(moody.clone(), Backoff { first: hour, most: hour }, 1);
        for name in ["refused", "unreached", "good"] {
            queue.push(name.into());
        }
        let mut pending = queue.shared.pending.subscribe();
        pending.wait_for(|pending| *pending == 1).await.unwrap();
        queue.push("another".into());
        pending.wait_for(|pending| *pending == 1).await.unwrap();
        let tried = moody.0.lock().unwrap().clone();
        let again = |name: &str| tried.iter().filter(|path| *path == Path::new(name)).count();
        assert_eq!((again("refused"), again("unreached")), (1, 2), "{tried:?}");
    }
}
