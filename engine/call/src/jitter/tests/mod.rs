//! The jitter buffer against a seeded network with real codecs.
mod claims;
mod decide_rows;
mod drift;
mod line;
mod network;
mod pace_rows;
mod properties;
mod rig;
