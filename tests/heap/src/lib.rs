//! Counts what a thread asks of the allocator while it is watched: for tests that claim "nothing".
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: vox_heap::Counting = vox_heap::Counting;
//!
//! let boxed = vox_heap::watch(|| Box::new(5));
//! drop(boxed);
//! assert_eq!(vox_heap::touched(), 1);
//! ```
//!
//! What C libraries allocate is not seen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static TOUCHED: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

/// Runs `job` and counts, on this thread only: the test harness allocates on its own.
pub fn watch<T>(job: impl FnOnce() -> T) -> T {
    WATCHED.set(true);
    let result = job();
    WATCHED.set(false);
    result
}

/// How often this thread has allocated, reallocated or freed memory while it was watched.
pub fn touched() -> u64 {
    TOUCHED.get()
}

/// How often `job` does.
pub fn touches(job: impl FnOnce()) -> u64 {
    let before = touched();
    watch(job);
    touched() - before
}

fn touch() {
    // `try_with`: the allocator is also used while a thread's locals are torn down.
    if WATCHED.try_with(Cell::get).unwrap_or(false) {
        let _ = TOUCHED.try_with(|touched| touched.set(touched.get() + 1));
    }
}

#[allow(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call is passed on to the system's allocator unchanged; counting does not allocate,
// for the counters are constant-initialised and need no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        touch();
        // SAFETY: as promised to us by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        touch();
        // SAFETY: as promised to us by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        touch();
        // SAFETY: as promised to us by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
