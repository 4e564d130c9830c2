//! The JSON that Vox's services exchange, and nothing else.
//!
//! - [`bot`]: what a worker is told about the bot it is to run ([`BotConfig`]).
//! - [`result`]: what a worker tells the Backend after a call ([`CallResult`]).
//! - [`health`]: what a worker says about itself and its fleet.
//!
//! Names, order and defaults are fixed by the platform's contract: a renamed or missing field is a
//! defect, an added one is welcome. Fields that these types do not know are kept and passed on.
//!
//! What this crate does not do: I/O, validation beyond types, decisions.

pub mod bot;
pub mod health;
pub mod result;

pub use bot::{
    AgentConfig, AgentProtocol, BargeInConfig, BotConfig, RecordingConfig, SocketConfig,
    TransferTarget,
};
pub use health::{FleetHealth, FleetWorker, WorkerHealth};
pub use result::{
    CallDirection, CallEvent, CallResult, DisconnectedBy, JitterPercentiles, Latency, MediaQuality,
};

/// A JSON object, in the order its keys came.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// Header that carries the secret the services share.
pub const SECRET_HEADER: &str = "X-VoxCore-Secret";
