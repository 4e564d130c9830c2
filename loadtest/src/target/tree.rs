//! What a process and all of its descendants cost, by `/proc`.

use std::collections::HashMap;
use std::fs;

/// Time that the threads of a process tree have had on a core, by the scheduler.
///
/// A thread that ends takes what it used since the last look with it.
#[derive(Debug, Clone, Default)]
pub struct CpuTimes(HashMap<(u32, u32), u64>);

/// Seconds on a core between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuUsed {
    /// All threads.
    pub total: f64,
    /// The thread that used most.
    pub busiest: f64,
}

/// What a process tree holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Processes.
    pub processes: u64,
    /// Resident memory; a page that two processes share counts twice.
    pub rss_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

impl CpuTimes {
    /// Of the tree below and with `root`, until now.
    pub fn of(root: u32) -> Self {
        let threads = processes(root).into_iter().flat_map(|process| {
            numbers(&format!("/proc/{process}/task")).map(move |thread| (process, thread))
        });
        let times = threads.filter_map(|(process, thread)| {
            let path = format!("/proc/{process}/task/{thread}/schedstat");
            let nanos = fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()?;
            Some(((process, thread), nanos))
        });
        Self(times.collect())
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> CpuUsed {
        let used = self.0.iter().map(|(thread, nanos)| {
            let nanos = nanos.saturating_sub(before.0.get(thread).copied().unwrap_or(0));
            nanos as f64 / 1e9
        });
        used.fold(CpuUsed::default(), |sum, used| CpuUsed {
            total: sum.total + used,
            busiest: sum.busiest.max(used),
        })
    }
}

impl Footprint {
    /// Of the tree below and with `root`, now.
    pub fn of(root: u32) -> Self {
        let mut all = Self::default();
        for process in processes(root) {
            all.processes += 1;
            all.rss_bytes += resident_bytes(process).unwrap_or(0);
            all.descriptors += numbers(&format!("/proc/{process}/fd")).count() as u64;
            all.threads += numbers(&format!("/proc/{process}/task")).count() as u64;
        }
        all
    }

    /// The larger of each.
    pub(super) fn or_more(&self, other: &Self) -> Self {
        Self {
            processes: self.processes.max(other.processes),
            rss_bytes: self.rss_bytes.max(other.rss_bytes),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }
}

/// A process and its descendants.
pub fn processes(root: u32) -> Vec<u32> {
    let parents: Vec<_> =
        numbers("/proc").filter_map(|process| Some((process, parent(process)?))).collect();
    let mut tree = vec![root];
    let mut at = 0;
    while at < tree.len() {
        let children = parents.iter().filter(|(_, parent)| *parent == tree[at]);
        tree.extend(children.map(|(process, _)| *process).collect::<Vec<_>>());
        at += 1;
    }
    tree
}

/// The entries of a directory of `/proc` that are numbers.
pub(super) fn numbers(directory: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; after it: state, parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Resident memory of this process alone.
pub(crate) fn resident_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kib.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::process;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_busy_thread_is_seen_as_such() {
        let before = CpuTimes::of(process::id());
        let began = Instant::now();
        let busy = std::thread::spawn(move || {
            while began.elapsed() < Duration::from_millis(100) {
                black_box(0);
            }
            CpuTimes::of(process::id())
        });
        let used = busy.join().unwrap().since(&before);
        // As much as this machine gave it.
        assert!(used.busiest > 0.005 && used.total >= used.busiest, "{used:?}");
    }

    #[test]
    fn children_and_descriptors_are_counted() {
        let before = Footprint::of(process::id());
        let _open: Vec<_> = (0..20).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let mut child = process::Command::new("sleep").arg("10").spawn().unwrap();
        let now = Footprint::of(process::id());
        assert!(processes(process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(now.processes > before.processes, "{before:?} {now:?}");
        assert!(now.descriptors >= before.descriptors + 20, "{before:?} {now:?}");
        assert!(now.rss_bytes > 1 << 20);
    }

    #[test]
    fn nothing_is_known_of_a_process_that_is_gone() {
        let mut child = process::Command::new("true").spawn().unwrap();
        let id = child.id();
        child.wait().unwrap();
        assert_eq!(Footprint::of(id).rss_bytes, 0);
        assert_eq!(CpuTimes::of(id).since(&CpuTimes::default()), CpuUsed::default());
    }
}
