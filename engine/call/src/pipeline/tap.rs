//! The recording tap: a bounded ring of 20 ms stereo frames from the shard to the recorder.
//!
//! A frame lies in the ring as a header of four words and its interleaved samples, so an 8 kHz
//! call costs an 8 kHz ring. Nobody is woken: the recorder looks at its own pace, and a frame that
//! finds the ring full is counted and becomes silence in the file, because every frame says where
//! it belongs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

/// The shard's end.
#[derive(Debug)]
pub struct Tap {
    ring: Producer<i16>,
    shared: Arc<Shared>,
}

/// The recorder's end.
#[derive(Debug)]
pub struct TapReader {
    ring: Consumer<i16>,
    shared: Arc<Shared>,
    /// The samples of one frame in one piece, also when they wrap around the ring's end.
    frame: [i16; FRAME_WORDS_MAX],
}

/// One 20 ms frame of both sides.
#[derive(Debug, Clone, Copy)]
pub struct TapFrame<'a> {
    /// Frames since the recording began: its place on the file's clock, also after frames were lost.
    pub index: u32,
    /// Rate of the samples, 8,000 or 16,000.
    pub rate_hz: u32,
    /// Interleaved: caller left, agent right.
    pub interleaved: &'a [i16],
}

/// A tap with room for `frames` frames of 20 ms at `rate_hz` (fewer at a higher rate).
pub fn tap(frames: usize, rate_hz: u32) -> (Tap, TapReader) {
    let frame_words = HEADER_WORDS + 2 * (rate_hz as usize / 50);
    let (producer, consumer) = RingBuffer::new(frames.max(1) * frame_words);
    let shared = Arc::new(Shared::default());
    let frame = [0; FRAME_WORDS_MAX];
    let reader = TapReader { ring: consumer, shared: Arc::clone(&shared), frame };
    (Tap { ring: producer, shared }, reader)
}

impl Tap {
    /// Files one frame; `false` (and counted) when the recorder is behind. `caller` and `agent`
    /// are as long as each other and at most 320 samples.
    pub fn push(&mut self, index: u32, rate_hz: u32, caller: &[i16], agent: &[i16]) -> bool {
        let samples = caller.len().min(agent.len()).min(FRAME_SAMPLES_MAX);
        let mut words = [0; HEADER_WORDS + FRAME_WORDS_MAX];
        let words = &mut words[..HEADER_WORDS + 2 * samples];
        let (header, frame) = words.split_at_mut(HEADER_WORDS);
        header.copy_from_slice(&[
            index as i16,
            (index >> 16) as i16,
            rate_hz as i16,
            samples as i16,
        ]);
        let (pairs, _) = frame.as_chunks_mut::<2>();
        for (pair, (&left, &right)) in pairs.iter_mut().zip(caller.iter().zip(agent)) {
            *pair = [left, right];
        }
        let filed = self.ring.push_entire_slice(words).is_ok();
        if !filed {
            self.shared.overruns.fetch_add(1, Ordering::Relaxed);
        }
        filed
    }

    /// Says that nothing follows, while the ring itself may be dropped later and elsewhere.
    pub fn close(&mut self) {
        // Release: whoever sees the flag also sees every frame filed before.
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.close();
    }
}

impl TapReader {
    /// Hands over what is there, oldest first.
    pub fn drain(&mut self, mut each: impl FnMut(TapFrame<'_>)) {
        let mut header = [0; HEADER_WORDS];
        while self.ring.pop_entire_slice(&mut header).is_ok() {
            let [low, high, rate, samples] = header.map(|word| u32::from(word as u16));
            let frame = &mut self.frame[..2 * samples as usize];
            // A frame is filed whole: behind its header there are all its samples.
            if self.ring.pop_entire_slice(frame).is_err() {
                return;
            }
            each(TapFrame { index: low | high << 16, rate_hz: rate, interleaved: frame });
        }
    }

    /// Whether the shard has closed (or dropped) its end; after one more `drain` nothing can follow.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Frames that found the ring full.
    pub fn overruns(&self) -> u64 {
        self.shared.overruns.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct Shared {
    closed: AtomicBool,
    overruns: AtomicU64,
}

/// Index (two words), rate, samples per channel.
const HEADER_WORDS: usize = 4;
/// 20 ms at 16 kHz.
const FRAME_SAMPLES_MAX: usize = 320;
/// Of both sides.
const FRAME_WORDS_MAX: usize = 2 * FRAME_SAMPLES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(reader: &mut TapReader) -> Vec<(u32, u32, Vec<i16>)> {
        let mut frames = Vec::new();
        reader.drain(|f| frames.push((f.index, f.rate_hz, f.interleaved.to_vec())));
        frames
    }

    #[test]
    fn frames_come_out_as_they_went_in_wherever_the_ring_wraps() {
        let (mut tap, mut reader) = tap(3, 8_000);
        for index in [0, 1, 70_000, 70_001, u32::MAX] {
            let (caller, agent) = ([index as i16; 160], [-7; 160]);
            assert!(tap.push(index, 8_000, &caller, &agent));
            let interleaved = [index as i16, -7].repeat(160);
            assert_eq!(drained(&mut reader), [(index, 8_000, interleaved)]);
        }
    }

    #[test]
    fn a_full_ring_refuses_and_counts_and_keeps_the_oldest() {
        let (mut tap, mut reader) = tap(2, 8_000);
        let accepted = [0, 1, 2, 3].map(|i| tap.push(i, 8_000, &[i as i16; 160], &[0; 160]));
        assert_eq!(accepted, [true, true, false, false]);
        assert_eq!(reader.overruns(), 2);
        assert_eq!(drained(&mut reader).iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_closed_tap_still_hands_over_its_last_frames() {
        for drop_it in [false, true] {
            let (mut tap, mut reader) = tap(4, 16_000);
            assert!(!reader.is_closed());
            tap.push(5, 16_000, &[1; 320], &[2; 320]);
            if drop_it {
                drop(tap)
            } else {
                tap.close()
            }
            assert!(reader.is_closed());
            assert_eq!(drained(&mut reader).len(), 1);
        }
    }
}
