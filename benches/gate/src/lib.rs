//! The call path's pieces as workloads that need no kernel: for the criterion benches, and for the
//! gate (`main.rs` beside this file), which counts their instructions.
//!
//! - [`speech`], [`packets`]: something to encode, something to receive.
//! - [`Memory`]: packet memory as a host lays it out.
//! - [`Stream`]: a jitter buffer that is fed and played.
//! - [`World`]: a shard with calls.
//! - [`Sealed`]: two WebRTC peers that are connected.
//!
//! Everything here is the same in each run, but for the keys of [`Sealed`].

mod memory;
mod sealed;
mod speech;
mod stream;
mod world;

pub use memory::Memory;
pub use sealed::Sealed;
pub use speech::{packets, speech};
pub use stream::Stream;
pub use world::{Answers, World};
