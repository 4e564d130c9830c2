//! When the machine held everything up: a process that did not get its core is not slow itself.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Watches a process from outside: how long its threads waited for a core (`/proc/…/schedstat`), how
/// late the watch itself woke up, and whether a hypervisor took the cores away.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<Stalls>,
}

/// Times at which the machine held a process up.
#[derive(Debug, Default)]
pub struct Stalls(Vec<Stall>);

#[derive(Debug)]
struct Stall {
    from: Duration,
    to: Duration,
}

impl Watch {
    /// Of the process `pid`.
    pub fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        Self { stop, watching: thread::spawn(move || watch(pid, &stopped)) }
    }

    /// What was seen.
    ///
    /// # Panics
    /// When the watch did.
    pub fn stop(self) -> Stalls {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().expect("the watch")
    }
}

impl Stalls {
    /// Whether there was one in the 60 ms before `at` (since 1970).
    pub fn explain(&self, at: Duration) -> bool {
        let from = at.saturating_sub(BEFORE);
        self.0.iter().any(|stall| stall.from <= at && stall.to >= from)
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn watch(pid: u32, stopped: &AtomicBool) -> Stalls {
    let (mut stalls, mut before) = (Stalls::default(), Sample::take(pid));
    while !stopped.load(Ordering::Relaxed) {
        thread::sleep(EVERY);
        let now = Sample::take(pid);
        if now.shows_a_stall_since(&before) {
            stalls.0.push(Stall { from: before.at, to: now.at });
        }
        before = now;
    }
    stalls
}

/// Counters that only grow.
struct Sample {
    taken: Instant,
    /// Since 1970.
    at: Duration,
    /// That a thread waited for a core, of all threads, in the directory's order.
    waited: Vec<(PathBuf, Duration)>,
    /// Ticks that a hypervisor took.
    stolen: u64,
}

impl Sample {
    fn take(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let waited = |path: PathBuf| {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            let nanos = text.split(' ').nth(1)?.trim().parse().ok()?;
            Some((path, Duration::from_nanos(nanos)))
        };
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            taken: Instant::now(),
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            waited: tasks.filter_map(|task| waited(task.path())).collect(),
            stolen: stat.split_whitespace().nth(8).and_then(|it| it.parse().ok()).unwrap_or(0),
        }
    }

    fn shows_a_stall_since(&self, before: &Self) -> bool {
        let late = self.taken.saturating_duration_since(before.taken) > EVERY + STALL;
        let kept = |(path, waited): &(PathBuf, Duration)| {
            let old = before.waited.iter().find(|(same, _)| same == path);
            old.is_some_and(|(_, old)| waited.saturating_sub(*old) > STALL)
        };
        late || self.stolen > before.stolen || self.waited.iter().any(kept)
    }
}

/// Between two looks.
const EVERY: Duration = Duration::from_millis(10);
/// What a thread may wait for a core.
const STALL: Duration = Duration::from_millis(3);
/// A packet that is late was due 20 ms after one that was itself to be 20 ms after another.
const BEFORE: Duration = Duration::from_millis(60);
