//! How many calls a target sustains.
pub mod search;
