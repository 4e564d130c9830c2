use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use vox_call::pipeline::{Agent, Prompt};
use vox_call::{CallId, Digits, Event, Limits, MediaSession, Reason};

/// How the engine is started.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Address media sockets are bound to.
    pub bind: IpAddr,
    /// RTP ports, taken in even/odd pairs.
    pub ports: RangeInclusive<u16>,
    /// Cores to pin shards to, one shard each; an empty list is one unpinned shard.
    pub cores: Vec<usize>,
    /// Calls a shard can hold.
    pub calls_per_shard: usize,
    /// How long a freed port rests.
    pub port_quarantine: Duration,
}

/// Why the engine did not start; names the likely cause.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// io_uring cannot be used.
    #[error("{0}")]
    Ring(String),
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
    /// The shard's command queue is full.
    #[error("the shard is busy")]
    Busy,
}

/// What a call is opened with.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// Deadlines.
    pub limits: Limits,
    /// Record it, from the first answer.
    pub recording: Option<RecordingOptions>,
}

/// Where a recording goes.
#[derive(Debug, Clone)]
pub struct RecordingOptions {
    /// The WAV file; created with its directories' help (they must exist).
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

/// What the engine tells control.
#[derive(Debug)]
pub enum EngineEvent {
    /// From the call's shard.
    Call(Event),
    /// The recording is complete on disk, synced.
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

/// Counters for `/metrics`, folded over shards when asked.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Calls in the tables now.
    pub calls: u64,
    /// Calls opened since the start.
    pub opened: u64,
    /// Port pairs in use, and resting.
    pub ports_used: u64,
    /// Resting.
    pub ports_quarantined: u64,
    /// Datagrams in.
    pub packets_received: u64,
    /// Datagrams out.
    pub packets_sent: u64,
    /// Sends the kernel refused (full socket buffer).
    pub send_failed: u64,
    /// Receive buffers that ran out.
    pub no_buffers: u64,
    /// Receive buffers held by jitter buffers now.
    pub buffers_held: u64,
    /// Ticks that began over 2 ms late.
    pub late_ticks: u64,
    /// Events control was too slow for.
    pub events_lost: u64,
    /// Dropped datagrams by [`DropReason`](vox_rtp::DropReason).
    pub dropped: [u64; vox_rtp::DropReason::COUNT],
}

/// The handle that control holds: ten commands, cheap to clone, callable from any thread.
#[derive(Debug, Clone)]
pub struct Engine {}

impl Engine {
    /// Starts the shards and the recorder.
    pub fn start(config: EngineConfig) -> Result<(Self, Events), StartError> {
        unimplemented!("{config:?}")
    }
    /// Takes a slot and a port pair; on success the call exists until its `Ended` event.
    pub fn open(&self, options: CallOptions) -> Result<Opened, Refused> {
        unimplemented!("{options:?}")
    }
    /// Media was agreed (first answer or re-INVITE).
    pub fn answer(&self, call: CallId, session: MediaSession) -> Result<(), Refused> {
        unimplemented!("{call:?}{session:?}")
    }
    /// Puts an agent on the call.
    pub fn attach(&self, call: CallId, agent: Agent) -> Result<(), Refused> {
        unimplemented!("{call:?}{agent:?}")
    }
    /// Plays a prompt over the agent.
    pub fn play(&self, call: CallId, id: u32, prompt: Prompt) -> Result<(), Refused> {
        unimplemented!("{call:?}{id}{prompt:?}")
    }
    /// Starts or stops recording in mid-call.
    pub fn record(&self, call: CallId, recording: Option<RecordingOptions>) -> Result<(), Refused> {
        unimplemented!("{call:?}{recording:?}")
    }
    /// Sends digits to the caller.
    pub fn digits(&self, call: CallId, digits: Digits) -> Result<(), Refused> {
        unimplemented!("{call:?}{digits:?}")
    }
    /// Ends a call; harmless when it is gone.
    pub fn close(&self, call: CallId, reason: Reason) -> Result<(), Refused> {
        unimplemented!("{call:?}{reason:?}")
    }
    /// Refuses new calls from now on.
    pub fn drain(&self) {}
    /// Asks for a `Report` event.
    pub fn query(&self, call: CallId) -> Result<(), Refused> {
        unimplemented!("{call:?}")
    }
    /// Counters.
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }
    /// Stops shards and recorder once every call is closed; joins the threads.
    pub fn stop(&self) {}
}

/// The stream of events: readable (level-triggered eventfd) when there are some.
#[derive(Debug)]
pub struct Events {}
impl Events {
    /// Clears the readiness, then takes all events that are there.
    pub fn drain(&mut self, each: impl FnMut(EngineEvent)) {
        let _ = each;
    }
}
impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
}
