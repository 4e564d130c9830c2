//! An agent that lives elsewhere: the shard's end ([`AgentPort`]) and control's ([`AgentLine`]).
//!
//! ```text
//!  shard                                            control
//!  caller's 20 ms ──► ring of frames, 0.5 s ──────► AgentLine::hear (a late reader loses the oldest)
//!  agent's 20 ms  ◄── ring of samples, 0.5 s ◄──── AgentLine::say ◄ backlog, up to the stated limit
//!  what happened  ──► ring of news ───────────────► AgentLine::tidings (marks are resolved here)
//! ```
//!
//! The shard copies a frame in and a frame out, and nothing else: marks, positions and the backlog
//! are kept on control's end. What has to happen within the tick happens here: the caller's speech
//! stops the agent's audio ([`BargeIn`]), and a [`clear`](AgentLine::clear) drops it, both with a fade.

mod agent_port;
mod flow;
mod frames;
mod line;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use rtrb::RingBuffer;

use super::Turn;
pub use agent_port::AgentPort;
pub use line::{AgentLine, HeardFrame, Stirs, Tiding};

/// How a port is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortOptions {
    /// Rate of both directions at the port, 8,000 or 16,000 Hz: the call's, so that nothing is
    /// resampled. Should the call change its codec to the other rate, the port converts.
    pub rate_hz: u32,
    /// What the caller's speech does to the agent's audio; `None`: nothing.
    pub barge_in: Option<BargeIn>,
    /// How far ahead of the caller's ear the agent may speak. What it says beyond that is not taken.
    pub ahead_max: Duration,
}

/// The caller interrupts the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BargeIn {
    /// The agent pauses as soon as speech is detected; what it had to say is dropped once the
    /// speech is this long. A cough or a "mhm" is shorter: the agent goes on where it was.
    pub min_speech: Duration,
}

impl Default for BargeIn {
    fn default() -> Self {
        Self { min_speech: Duration::from_millis(300) }
    }
}

/// What the ear made of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Speech started or stopped with it.
    pub edge: Option<Edge>,
    /// There is speech in this very frame (no hang-over).
    pub speech: bool,
}

/// Speech starts and stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It began so many frames ago: 0 is this frame.
    Started {
        /// Frames of 20 ms.
        frames_ago: u8,
    },
    /// Its last frame was so many frames ago.
    Stopped {
        /// Frames of 20 ms.
        frames_ago: u8,
    },
}

/// Makes the two ends. Allocates everything but the backlog, which grows as it is needed.
pub fn agent_port(options: PortOptions) -> (AgentPort, AgentLine) {
    let rate_hz = options.rate_hz;
    let frame = rate_hz as usize / 50;
    let (heard, hears) = frames::frames(RING_FRAMES, frame);
    let (says, said) = RingBuffer::new(RING_FRAMES * frame);
    let (news, reads) = RingBuffer::new(NEWS);
    let shared = Arc::new(Shared::default());
    let port = AgentPort::new(rate_hz, options.barge_in, heard, said, news, shared.clone());
    let ahead_max = (u64::from(rate_hz) * options.ahead_max.as_millis() as u64 / 1_000) as usize;
    let line = AgentLine::new(rate_hz, ahead_max, hears, says, reads, shared);
    (port, line)
}

/// What the shard tells the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    SpeechStarted {
        frame: u32,
        playing: bool,
    },
    SpeechStopped {
        frame: u32,
    },
    Paused {
        played: u64,
    },
    Resumed,
    /// Samples from `from` to `to` of those that came through the ring were dropped: all that was
    /// asked for by so many clears.
    Cleared {
        played: u64,
        from: u64,
        to: u64,
        clears: u64,
    },
    /// Samples from `from` to `to` were dropped, and nothing is taken until the line answers with a
    /// clear of what it has added since.
    Interrupted {
        played: u64,
        from: u64,
        to: u64,
    },
    Drained {
        played: u64,
    },
}

/// One line of the cache: what either end looks at in every tick, of hundreds of calls.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shared {
    /// Samples that left the ring of what the agent says. Written after the news of the same tick.
    taken: AtomicU64,
    /// Those of them that were played.
    played: AtomicU64,
    /// Times that the line cleared. Written after `clear_to`.
    clears: AtomicU64,
    /// What came through the ring up to here is to be dropped.
    clear_to: AtomicU64,
    /// News that found no room.
    unheard: AtomicU64,
    /// News that went into the ring so far.
    told: AtomicU64,
    /// Frames, news and positions so far. Written after each of them.
    stirred: AtomicU64,
    closed: AtomicBool,
}

const FRAME: Duration = Duration::from_millis(20);
/// The rings hold 0.5 s: 250 times what the line's reader waits between two looks.
const RING_FRAMES: usize = 25;
/// A few a second at most, for several times as long as the audio beside them lasts.
const NEWS: usize = 64;
/// Places for news that must not be lost; what else finds no other is.
const NEWS_RESERVE: usize = 8;
/// 20 ms at 16 kHz.
const FRAME_SAMPLES_MAX: usize = 320;

#[cfg(test)]
mod tests;
