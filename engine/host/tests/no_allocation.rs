//! The shard's thread neither allocates nor frees while packets come and go. Alone in its binary:
//! it replaces the allocator.
#![allow(unsafe_code, reason = "an allocator that counts is unsafe by its trait")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Caller, Rig, talk};
use vox_engine::RecordingOptions;

/// The system's allocator, with an eye on one thread.
struct Watching;

/// The thread that is watched; 0 is none.
static THREAD: AtomicI32 = AtomicI32::new(0);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATED);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(&FREED);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn count(what: &AtomicU64) {
    let watched = THREAD.load(Ordering::Relaxed);
    // SAFETY: no arguments, no memory.
    if watched != 0 && watched == unsafe { libc::gettid() } {
        what.fetch_add(1, Ordering::Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

#[test]
fn the_shard_neither_allocates_nor_frees_while_calls_talk() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(20);
    let mut callers: Vec<_> = (0..20)
        .map(|i| {
            let caller = Caller::new();
            let path = directory.path().join(format!("{i}.wav"));
            let recording = RecordingOptions { path, rate_hz: 16_000, channels: 2 };
            let live = rig.echo(&caller, (i % 2 == 0).then_some(recording));
            (caller, live)
        })
        .collect();
    // Setting up is over once all hear themselves.
    talk(&mut callers, |callers| callers.iter().all(|(caller, _)| caller.hears_the_tone()));
    let before = rig.engine.stats();
    THREAD.store(shard_thread(), Ordering::Relaxed);
    // Longer than five seconds: reports (RFC 3550 §6.2) are part of a packet's way, too.
    let start = Instant::now();
    talk(&mut callers, |_| start.elapsed() > Duration::from_secs(6));
    THREAD.store(0, Ordering::Relaxed);
    let after = rig.engine.stats();
    assert!(after.packets_sent > before.packets_sent + 100, "{after:?}");
    let counts = (ALLOCATED.load(Ordering::Relaxed), FREED.load(Ordering::Relaxed));
    assert_eq!(counts, (0, 0), "allocations and frees");
    for (_, live) in &callers {
        rig.hang_up(live.call);
    }
}

fn shard_thread() -> i32 {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| task.unwrap())
        .find(|task| fs::read_to_string(task.path().join("comm")).unwrap() == "vox-shard-0\n")
        .and_then(|task| task.file_name().to_str()?.parse().ok())
        .unwrap()
}
