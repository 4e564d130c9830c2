//! SIP over UDP and TCP.

pub mod sdp;
