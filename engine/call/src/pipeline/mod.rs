//! What happens to a frame between decode and encode: level and digits → tap → agent.
mod agent;
mod tap;
pub use agent::{Agent, Prompt};
pub use tap::{Tap, TapFrame, TapReader, tap};
