use std::io;
use std::ptr::NonNull;

/// Anonymous, page-aligned, zeroed memory with every page present, so that no packet ever waits
/// for a page fault. What is large lies in huge pages where the system allows them: packets are
/// spread over megabytes, and on a virtual machine each small page not in the translation cache
/// costs as much as several cache misses.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is plain memory that belongs to whoever owns the value; no thread affinity.
unsafe impl Send for Mapping {}

impl Mapping {
    /// At least `len` bytes.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        if len < HUGE_PAGE {
            return Self::map(len, libc::MAP_POPULATE);
        }
        let len = len.next_multiple_of(HUGE_PAGE);
        let mapping = Self::map(len + HUGE_PAGE, 0)?.trimmed_to_huge_pages(len);
        // Refused where the kernel has no huge pages: then they are small ones.
        let _ = mapping.advise(libc::MADV_HUGEPAGE);
        mapping.advise(libc::MADV_POPULATE_WRITE)?;
        Ok(mapping)
    }

    /// The first byte, aligned to a page.
    pub(crate) const fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn map(len: usize, more: i32) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more;
        // SAFETY: a fresh anonymous mapping touches no memory that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// The `len` bytes from the first huge page's border on; the rest is unmapped. `self` is at
    /// least a huge page longer than `len`.
    fn trimmed_to_huge_pages(mut self, len: usize) -> Self {
        let front = self.start.addr().get().next_multiple_of(HUGE_PAGE) - self.start.addr().get();
        assert!(front + len <= self.len);
        // SAFETY: `front` is inside the mapping, checked above.
        let start = unsafe { self.start.add(front) };
        let back = Self {
            // SAFETY: `front + len` is inside the mapping or its end, checked above.
            start: unsafe { start.add(len) },
            len: self.len - front - len,
        };
        self.len = front;
        // `self` is the front now: both are unmapped here, and nothing refers to them.
        drop((self, back));
        Self { start, len }
    }

    fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: the range is this mapping; neither advice that is used here loses its content.
        match unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // After a panic operations may be in flight that the kernel ends in its own time: it must not
        // find other memory here.
        if self.len > 0 && !std::thread::panicking() {
            // SAFETY: start and length are those of a mapping that only this value owns.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}

/// Of x86-64, and of arm64 with small pages of 4 kB; elsewhere it is a multiple of small pages.
const HUGE_PAGE: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_as_long_as_asked_for_aligned_and_zero() {
        for len in [1, 4_096, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, 5 * HUGE_PAGE + 4_096] {
            let mapping = Mapping::new(len).unwrap();
            assert!(mapping.len() >= len);
            let alignment = if len < HUGE_PAGE { 4_096 } else { HUGE_PAGE };
            assert_eq!(mapping.as_ptr().addr() % alignment, 0, "{len}");
            // SAFETY: the mapping is as long as it says and belongs to this test.
            let bytes = unsafe { std::slice::from_raw_parts_mut(mapping.as_ptr(), mapping.len()) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(7);
        }
    }
}
