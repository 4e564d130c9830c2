//! A fleet worker's control plane: SIP, HTTP, bots, results, uploads.
//!
//! - [`config`]: what a worker is started with.
//! - [`sip`]: SIP over UDP and TCP.
//! - [`calls`]: admission, live calls, what becomes of an ended one.

pub mod calls;
pub mod config;
pub mod sip;
