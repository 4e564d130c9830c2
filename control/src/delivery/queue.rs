use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::lanes::{Lanes, News, Try};

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
    pub(super) fn wait(self, failures: u32, random: f64) -> Duration {
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
    arrivals: mpsc::UnboundedSender<Arrival>,
    shared: Arc<Shared>,
}

/// A file, and the other side it goes to.
type Arrival = (PathBuf, String);

#[derive(Debug)]
struct Shared {
    pending: watch::Sender<u64>,
    delivered: AtomicU64,
    failures: AtomicU64,
    poisoned: AtomicU64,
}

impl Queue {
    /// Starts delivering on the current runtime, at most `at_once` files at a time to each other
    /// side.
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
            inbox,
            lanes: Lanes::new(backoff, at_once),
            running: JoinSet::new(),
            shared: shared.clone(),
        };
        tokio::spawn(deliverer.run());
        Self { arrivals, shared }
    }

    /// Another file to deliver to `side`: those of one that cannot be reached hold up nobody else's.
    pub(super) fn push(&self, path: PathBuf, side: &str) {
        self.shared.pending.send_modify(|pending| *pending += 1);
        // The receiver lives as long as the runtime; after it, the file waits for the next start.
        let _ = self.arrivals.send((path, side.to_owned()));
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
    inbox: mpsc::UnboundedReceiver<Arrival>,
    lanes: Lanes,
    running: JoinSet<(Try, Delivery)>,
    shared: Arc<Shared>,
}

impl<C: Courier> Deliverer<C> {
    async fn run(mut self) {
        loop {
            while let Some(next) = self.lanes.start(Instant::now()) {
                let (courier, path) = (self.courier.clone(), next.path().to_owned());
                // A task of its own: a fault in one try fails that try, and keeps its file.
                let tried = tokio::spawn(async move { courier.deliver(&path).await });
                self.running.spawn(async move {
                    let delivery = tried.await;
                    (next, delivery.unwrap_or_else(|error| Delivery::Later(error.to_string())))
                });
            }
            let due = self.lanes.next_due();
            tokio::select! {
                arrival = self.inbox.recv() => match arrival {
                    Some((path, side)) => self.lanes.add(path, side, Instant::now()),
                    None => return,
                },
                Some(done) = self.running.join_next() => match done {
                    Ok((tried, delivery)) => self.settle(tried, delivery),
                    Err(error) => tracing::error!("delivering a {} failed: {error}", C::WHAT),
                },
                () = sleep_until(due), if due.is_some() => {}
            }
        }
    }

    fn settle(&mut self, tried: Try, delivery: Delivery) {
        let now = Instant::now();
        let news = match delivery {
            Delivery::Done => {
                self.shared.delivered.fetch_add(1, Ordering::Relaxed);
                self.finished();
                self.lanes.delivered(tried, now)
            }
            Delivery::Never(reason) => {
                self.shared.poisoned.fetch_add(1, Ordering::Relaxed);
                tracing::error!("{} set aside: {}: {reason}", C::WHAT, tried.path().display());
                self.finished();
                self.lanes.given_up(tried)
            }
            Delivery::Later(reason) => {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                self.lanes.refused(tried, reason, now)
            }
            Delivery::Unreachable(reason) => {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                self.lanes.unreachable(tried, reason, now)
            }
        };
        match news {
            News::None => {}
            News::Failing(why) => {
                tracing::warn!("{}s cannot be delivered and are kept: {why}", C::WHAT);
            }
            News::Back { waiting } => {
                tracing::info!("{}s are delivered again, {waiting} are waiting", C::WHAT);
            }
        }
    }

    fn finished(&self) {
        self.shared.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
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
            queue.push(name.into(), "");
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
        let backoff =
            Backoff { first: Duration::from_secs(3_600), most: Duration::from_secs(3_600) };
        let queue = Queue::start(moody.clone(), backoff, 2);
        let mut pending = queue.shared.pending.subscribe();
        queue.push("refused".into(), "");
        queue.push("good".into(), "");
        pending.wait_for(|pending| *pending == 1).await.unwrap();
        // Both are under way at once: the failure of one does not keep the other back.
        queue.push("unreached".into(), "");
        queue.push("another".into(), "");
        pending.wait_for(|pending| *pending == 1).await.unwrap();
        let tried = moody.0.lock().unwrap().clone();
        let again = |name: &str| tried.iter().filter(|path| *path == Path::new(name)).count();
        assert_eq!((again("refused"), again("unreached")), (1, 2), "{tried:?}");
    }

    /// Never comes back from one host.
    struct Swallowing;

    impl Courier for Swallowing {
        const WHAT: &'static str = "test";
        async fn deliver(&self, path: &Path) -> Delivery {
            if path.starts_with("hole") {
                std::future::pending::<()>().await;
            }
            Delivery::Done
        }
    }

    #[tokio::test]
    async fn a_host_that_swallows_everything_holds_up_no_other() {
        let queue = Queue::start(Swallowing, QUICK, 2);
        let mut pending = queue.shared.pending.subscribe();
        for n in 0..50 {
            queue.push(format!("hole/{n}").into(), "hole");
        }
        for n in 0..50 {
            queue.push(format!("good/{n}").into(), "good");
        }
        pending.wait_for(|pending| *pending == 50).await.unwrap();
        assert_eq!(queue.counts().delivered, 50);
    }
}
