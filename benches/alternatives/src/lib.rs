//! What the benches of the crates that were not taken have in common: a counting allocator and the
//! process's own figures.
//!
//! Each bench holds one crate and what Vox does instead, in one run on one machine; the decision
//! records (`docs/src/decisions`) quote what they print.

// The same clock as in Vox's own benches, without what these depend on.
#[path = "../../src/thread_time.rs"]
mod thread_time;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use thread_time::{ThreadTime, quick};

/// Counts what goes through the system's allocator.
///
/// ```ignore
/// #[global_allocator]
/// static HEAP: CountingAllocator = CountingAllocator::new();
/// ```
#[derive(Debug)]
pub struct CountingAllocator {
    allocations: AtomicU64,
    allocated: AtomicU64,
    freed: AtomicU64,
}

impl CountingAllocator {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self {
            allocations: AtomicU64::new(0),
            allocated: AtomicU64::new(0),
            freed: AtomicU64::new(0),
        }
    }

    /// Allocations so far; growing a block is one.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Relaxed)
    }

    /// Bytes that are out now.
    pub fn live_bytes(&self) -> u64 {
        self.allocated.load(Relaxed) - self.freed.load(Relaxed)
    }

    /// Allocations of `job`, each, over `times` runs of it. For a thread that is alone.
    pub fn per_run(&self, times: u64, mut job: impl FnMut()) -> f64 {
        let before = self.allocations();
        for _ in 0..times {
            job();
        }
        (self.allocations() - before) as f64 / times as f64
    }
}

impl Default for CountingAllocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are no part of it.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Relaxed);
        self.allocated.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.freed.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: the block came from `System`, for all do.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.allocations.fetch_add(1, Relaxed);
        self.allocated.fetch_add(new_size as u64, Relaxed);
        self.freed.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: the block came from `System`; the caller keeps the rest of the contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// Processor time of this process, all threads, user and kernel.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that lives across the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "the process has a clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Open file descriptors of this process, without the one that counts them.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() - 1)
}

/// Threads of this process.
pub fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Resident memory of this process, in bytes.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
