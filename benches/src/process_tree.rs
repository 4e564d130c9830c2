//! What a process and all of its descendants cost, by `/proc`.

use std::fs;
use std::time::Instant;

pub use voxload::target::processes;

use voxload::target::CpuTimes;

/// The processor time of a tree's threads, by the scheduler, since [`CpuTime::start`].
///
/// A thread that ends in between takes what it used since then with it.
#[derive(Debug)]
pub struct CpuTime {
    root: u32,
    began: Instant,
    before: CpuTimes,
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
        Self { root, began: Instant::now(), before: CpuTimes::of(root) }
    }

    /// Percent of a core, kernel time included.
    pub fn percent(&self) -> f64 {
        let elapsed = self.began.elapsed();
        100.0 * CpuTimes::of(self.root).since(&self.before).total / elapsed.as_secs_f64()
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

fn mib(rollup: &str, line: &str) -> f64 {
    let line = rollup.lines().find_map(|found| found.strip_prefix(line));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
