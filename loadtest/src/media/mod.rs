//! A call's audio: what is said, what is heard, and the socket between.

mod listener;
mod sdp;
mod stream;
mod talker;

pub use listener::{Heard, Listener};
pub use sdp::{Agreed, SdpError, answer, offer};
pub use stream::{Stream, StreamEnd};
pub use talker::Talker;
