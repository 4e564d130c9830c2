//! The media engine's host: io_uring shards on pinned threads, ports, the recorder, and the
//! [`Engine`] handle that control holds.
//!
//! This crate is the shell around `vox-call`: sockets, files and threads, over the ring of `vox-ring`.
//! It never looks inside an RTP header.
//!
//! Read in this order: `engine` (the handle, its commands and events) → `shard` (a shard's thread:
//! one loop, one `io_uring_enter` for each wake-up) → `ports` (RTP port pairs and their rest) → `recorder` (taps to WAV files) →
//! `start` (what must hold before, and words for what does not).
//!
//! What this crate does not do: signalling, HTTP, deciding who may call, uploading.

mod engine;
mod ports;
mod recorder;
mod shard;
mod start;

pub use engine::{
    AgentsBell, CallOptions, Engine, EngineConfig, EngineEvent, Events, Opened, RecordingOptions,
    Refused, Stats,
};
pub use start::StartError;
pub use vox_call as call;
