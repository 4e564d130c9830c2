//! The media engine's host: io_uring shards on pinned threads, ports, the recorder, and the
//! [`Engine`] handle that control holds.
//!
//! This crate is the shell around `vox-call`: the only place with syscalls and `unsafe`. It never
//! looks inside an RTP header.
//!
//! What this crate does not do: signalling, HTTP, deciding who may call, uploading.
//!
//! (skeleton; owner: host)

mod engine;
pub use engine::{
    CallOptions, Engine, EngineConfig, EngineEvent, Events, Opened, RecordingOptions, Refused,
    StartError, Stats,
};
pub use vox_call as call;
