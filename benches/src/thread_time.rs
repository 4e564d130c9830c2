//! Criterion by processor time: what else runs on the machine takes no part in it.
#![allow(unsafe_code, reason = "the clock of a thread has no face in std; two calls")]

use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Measures the processor time of the bench's own thread, user and kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadTime;

impl ThreadTime {
    /// Time so far.
    pub fn now() -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a `timespec` that lives across the call.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        assert_eq!(status, 0, "a thread has a clock");
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// Processor time of all child processes that have ended and been waited for.
    pub fn of_children() -> Duration {
        // SAFETY: all-zero is a valid `rusage`, which is plain integers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a `rusage` that lives across the call.
        let status = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
        assert_eq!(status, 0, "a process has children's usage");
        let time = |of: libc::timeval| Duration::new(of.tv_sec as u64, of.tv_usec as u32 * 1_000);
        time(usage.ru_utime) + time(usage.ru_stime)
    }

    /// The time that `job` takes.
    pub fn of(job: impl FnOnce()) -> Duration {
        let start = Self::now();
        job();
        Self::now() - start
    }
}

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// All benches in a few minutes.
pub fn quick() -> Criterion<ThreadTime> {
    Criterion::default()
        .with_measurement(ThreadTime)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}
