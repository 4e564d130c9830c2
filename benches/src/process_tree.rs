//! What a process and all of its descendants cost, by `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// The processor time of a tree's threads, by the scheduler, since [`CpuTime::start`].
///
/// A thread that ends in between takes what it used since then with it.
#[derive(Debug)]
pub struct CpuTime {
    root: u32,
    began: Instant,
    before: HashMap<String, u64>,
}

/// Memory of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Memory {
    /// Resident, each page counted in each process that has it.
    pub rss_mib: f64,
    /// Resident, a page that is shared counted once in all.
    pub pss_mib: f64,
}

impl CpuTime {
    /// Begins to count.
    pub fn start(root: u32) -> Self {
        Self { root, began: Instant::now(), before: threads(root) }
    }

    /// Percent of a core, kernel time included.
    pub fn percent(&self) -> f64 {
        let elapsed = self.began.elapsed();
        let since = |(thread, nanos): (String, u64)| {
            nanos.saturating_sub(self.before.get(&thread).copied().unwrap_or(0))
        };
        let used = Duration::from_nanos(threads(self.root).into_iter().map(since).sum());
        100.0 * used.as_secs_f64() / elapsed.as_secs_f64()
    }
}

impl Memory {
    /// Of the tree below and with `root`, now.
    pub fn of(root: u32) -> Self {
        let mut memory = Self::default();
        for process in processes(root) {
            let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
            let rollup = rollup.unwrap_or_default();
            memory.rss_mib += mib(&rollup, "Rss:");
            memory.pss_mib += mib(&rollup, "Pss:");
        }
        memory
    }
}

/// A process and its descendants.
pub fn processes(root: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<_> = numbers.filter_map(|process| Some((process, parent(process)?))).collect();
    let mut tree = vec![root];
    let mut at = 0;
    while at < tree.len() {
        let children = parents.iter().filter(|(_, parent)| *parent == tree[at]);
        tree.extend(children.map(|(process, _)| *process).collect::<Vec<_>>());
        at += 1;
    }
    tree
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; after it: state, parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Nanoseconds on a core of each thread.
fn threads(root: u32) -> HashMap<String, u64> {
    let mut threads = HashMap::new();
    for process in processes(root) {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        for task in tasks.map(|task| task.path()) {
            let Ok(schedstat) = fs::read_to_string(task.join("schedstat")) else { continue };
            let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
            threads.insert(task.display().to_string(), nanos.unwrap_or(0));
        }
    }
    threads
}

fn mib(rollup: &str, line: &str) -> f64 {
    let line = rollup.lines().find_map(|found| found.strip_prefix(line));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
