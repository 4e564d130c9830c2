//! The caller's frames on their way to a line: a ring whose writer never waits.
//!
//! A reader that falls behind loses the *oldest* frames, which the writer must therefore be able to
//! overwrite while they are read. Each slot has a sequence number that is odd while it is written
//! (a seqlock, with the words of the frame as relaxed atomics): a reader that finds it changed
//! throws away what it has copied, and counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::FRAME_SAMPLES_MAX;

/// Makes a ring for `frames` frames of at most `samples` samples.
pub(super) fn frames(frames: usize, samples: usize) -> (FrameWriter, FrameReader) {
    let stride = HEADER_CELLS + samples.min(FRAME_SAMPLES_MAX).div_ceil(SAMPLES_IN_CELL);
    let cells = (0..frames.max(1) * stride).map(|_| AtomicU64::new(0)).collect();
    let ring = Arc::new(Ring { cells, stride, written: AtomicU64::new(0) });
    let writer = FrameWriter { ring: ring.clone(), written: 0 };
    (writer, FrameReader { ring, next: 0, lost: 0 })
}

/// The shard's end.
#[derive(Debug)]
pub(super) struct FrameWriter {
    ring: Arc<Ring>,
    written: u64,
}

/// The line's end.
#[derive(Debug)]
pub(super) struct FrameReader {
    ring: Arc<Ring>,
    /// The frame that is read next, counted since the start.
    next: u64,
    lost: u64,
}

#[derive(Debug)]
struct Ring {
    /// A slot is its sequence number (`2n + 1` while frame `n` is written, `2n + 2` when it is
    /// there), index and length of the frame, and its samples, four in a cell.
    cells: Box<[AtomicU64]>,
    stride: usize,
    /// Frames written since the start.
    written: AtomicU64,
}

impl FrameWriter {
    /// Files a frame; the oldest gives way. More samples than the ring was made for are cut off.
    pub(super) fn push(&mut self, index: u32, samples: &[i16]) {
        let (sequence, header, cells) = self.ring.slot(self.written);
        let samples = &samples[..samples.len().min(cells.len() * SAMPLES_IN_CELL)];
        sequence.store(2 * self.written + 1, Ordering::Relaxed);
        // Whoever reads a cell written from here on also reads that the slot is being written.
        fence(Ordering::Release);
        header.store(u64::from(index) << 32 | samples.len() as u64, Ordering::Relaxed);
        for (cell, samples) in cells.iter().zip(samples.chunks(SAMPLES_IN_CELL)) {
            cell.store(pack(samples), Ordering::Relaxed);
        }
        sequence.store(2 * self.written + 2, Ordering::Release);
        self.written += 1;
        self.ring.written.store(self.written, Ordering::Release);
    }
}

impl FrameReader {
    /// Hands over what is there, oldest first: index and samples.
    pub(super) fn drain(&mut self, mut each: impl FnMut(u32, &[i16])) {
        // Of this moment: a reader slower than the writer comes to an end.
        let written = self.ring.written.load(Ordering::Acquire);
        let oldest = written.saturating_sub(self.ring.slots());
        self.lost += oldest.saturating_sub(self.next);
        self.next = self.next.max(oldest);
        let mut samples = [0; FRAME_SAMPLES_MAX];
        while self.next < written {
            match self.ring.read(self.next, &mut samples) {
                Some((index, len)) => each(index, &samples[..len]),
                None => self.lost += 1,
            }
            self.next += 1;
        }
    }

    /// Frames that were overwritten before they were read.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

impl Ring {
    fn slots(&self) -> u64 {
        (self.cells.len() / self.stride) as u64
    }

    fn slot(&self, frame: u64) -> (&AtomicU64, &AtomicU64, &[AtomicU64]) {
        let start = (frame % self.slots()) as usize * self.stride;
        let slot = &self.cells[start..start + self.stride];
        (&slot[0], &slot[1], &slot[HEADER_CELLS..])
    }

    /// Index and length of a frame copied to `out`; `None` when it is overwritten already.
    fn read(&self, frame: u64, out: &mut [i16; FRAME_SAMPLES_MAX]) -> Option<(u32, usize)> {
        let (sequence, header, cells) = self.slot(frame);
        let expected = 2 * frame + 2;
        if sequence.load(Ordering::Acquire) != expected {
            return None;
        }
        let header = header.load(Ordering::Relaxed);
        let (index, len) = ((header >> 32) as u32, header as u32 as usize);
        for (samples, cell) in
            out[..len.min(FRAME_SAMPLES_MAX)].chunks_mut(SAMPLES_IN_CELL).zip(cells)
        {
            let cell = cell.load(Ordering::Relaxed);
            for (sample, word) in samples.iter_mut().zip(0..) {
                *sample = (cell >> (16 * word)) as i16;
            }
        }
        // With the writer's fence: had one of the cells been of a later frame, so is the sequence.
        fence(Ordering::Acquire);
        (sequence.load(Ordering::Relaxed) == expected).then_some((index, len))
    }
}

/// Up to four samples, the first one lowest.
fn pack(samples: &[i16]) -> u64 {
    let word = |(place, sample): (u32, &i16)| u64::from(*sample as u16) << (16 * place);
    (0..).zip(samples).map(word).sum()
}

/// The sequence number; index and length.
const HEADER_CELLS: usize = 2;
const SAMPLES_IN_CELL: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(reader: &mut FrameReader) -> Vec<(u32, Vec<i16>)> {
        let mut frames = Vec::new();
        reader.drain(|index, samples| frames.push((index, samples.to_vec())));
        frames
    }

    #[test]
    fn frames_come_out_as_they_went_in_wherever_the_ring_wraps() {
        let (mut writer, mut reader) = frames(3, 160);
        for (index, len) in [(0, 160), (1, 159), (70_000, 0), (70_001, 1), (u32::MAX, 160)] {
            let samples: Vec<i16> = (0..len).map(|n| -77 * n).collect();
            writer.push(index, &samples);
            assert_eq!(drained(&mut reader), [(index, samples)]);
        }
        assert_eq!((drained(&mut reader), reader.lost()), (vec![], 0));
    }

    #[test]
    fn a_reader_that_is_behind_loses_the_oldest_and_knows_how_many() {
        let (mut writer, mut reader) = frames(4, 160);
        for (pushed, kept, lost) in [(3, 3, 0), (4, 4, 0), (5, 4, 1), (40, 4, 37), (1, 1, 37)] {
            (0..pushed).for_each(|index| writer.push(index, &[index as i16; 160]));
            let expected: Vec<_> =
                (pushed - kept..pushed).map(|index| (index, vec![index as i16; 160])).collect();
            assert_eq!((drained(&mut reader), reader.lost()), (expected, lost), "{pushed}");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let (mut writer, mut reader) = frames(2, 160);
        writer.push(1, &[5; 400]);
        assert_eq!(drained(&mut reader), [(1, vec![5; 160])]);
    }

    #[test]
    fn a_frame_is_never_read_in_parts_of_two() {
        const FRAMES: u32 = 200_000;
        let (mut writer, mut reader) = frames(2, 160);
        let (mut read, mut next) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for index in 0..FRAMES {
                    writer.push(index, &[index as i16; 160]);
                    if index % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
            while next < FRAMES {
                reader.drain(|index, samples| {
                    assert!(index >= next, "in order");
                    assert_eq!(samples, [index as i16; 160], "frame {index}");
                    next = index + 1;
                    read += 1;
                });
                std::thread::yield_now();
            }
        });
        assert_eq!(read + reader.lost(), u64::from(FRAMES), "each is read or lost");
    }
}
