use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use vox_call::hearing::VadOptions;
use vox_call::{CallId, Event, Limits};

/// How the engine is started.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Address media sockets are bound to.
    pub bind: IpAddr,
    /// RTP ports, taken in even/odd pairs.
    pub ports: RangeInclusive<u16>,
    /// Cores to pin shards to, one shard each; an empty list is one unpinned shard.
    pub cores: Vec<usize>,
    /// Calls a shard can hold, in 1..=2,048. Costs about 45 kB of packet memory each.
    pub calls_per_shard: usize,
    /// How long a freed port rests.
    pub port_quarantine: Duration,
}

impl EngineConfig {
    /// Shards this makes.
    pub fn shards(&self) -> usize {
        self.cores.len().max(1)
    }

    /// Calls of all shards.
    pub fn calls(&self) -> usize {
        self.shards() * self.calls_per_shard
    }
}

/// What a call is opened with.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// Deadlines.
    pub limits: Limits,
    /// Record it, from the first answer.
    pub recording: Option<RecordingOptions>,
    /// Look for the caller's speech; `None` costs nothing.
    pub vad: Option<VadOptions>,
}

/// Where a recording goes.
#[derive(Debug, Clone)]
pub struct RecordingOptions {
    /// The WAV file; created, its directory must exist.
    pub path: PathBuf,
    /// 8,000 or 16,000.
    pub rate_hz: u32,
    /// 2: caller left, agent right. 1: both mixed.
    pub channels: u16,
}

/// A call that has its slot and ports.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// Its id.
    pub call: CallId,
    /// Where it listens for RTP; RTCP is one port above.
    pub rtp: SocketAddr,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Every slot is taken.
    #[error("at capacity")]
    AtCapacity,
    /// Drain was asked for.
    #[error("draining")]
    Draining,
    /// No free port pair.
    #[error("no free RTP port pair")]
    NoPorts,
    /// There is no such call (any more).
    #[error("no such call")]
    NoSuchCall,
    /// The shard's command queue is full, or nobody reads the events of ended calls.
    #[error("the shard is busy")]
    Busy,
}

/// What the engine tells control.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub enum EngineEvent {
    /// From the call's shard.
    Call(Event),
    /// A shard's thread fell over, by a bug outside every call's border. Its calls have ended, their
    /// `Ended` events precede this one; it takes no more.
    ShardDied {
        /// Which.
        shard: usize,
    },
    /// A recording is over: complete on disk and synced, or broken off by `error`. Exactly once
    /// for each recording, before or after the call's `Ended`.
    Recorded {
        /// The call.
        call: CallId,
        /// The file.
        path: PathBuf,
        /// Length of the audio.
        duration: Duration,
        /// Frames lost because the disk was behind (they are silence in the file).
        overruns: u64,
        /// What went wrong, when something did.
        error: Option<String>,
    },
}
