//! A SIP phone with real media that measures what it hears.
//!
//! It calls any SIP server, speaks a recording, listens, and reports what a caller would have
//! noticed: set-up time, round trip of the sound, loss, jitter, MOS. It shares sockets, codecs and
//! RTP parsing with the engine but none of its call logic: what judges the engine must not repeat
//! its mistakes.
//!
//! Start at [`Phone::call`]; what is said is a [`CallPlan`], what was heard a [`CallReport`].
//!
//! - [`phone`]: one call, from its INVITE to its report.
//! - [`sip`]: placing and answering calls, one or thousands.
//! - [`run`]: a load, from its scenario to its report.
//! - [`scenario`]: loads as data: who calls whom, when, for how long, with what.
//! - [`generator`]: the media of thousands of calls at once, on io_uring.
//! - [`media`]: the call's audio: a talker, a listener, their socket.
//! - [`network`]: a seeded bad network in user space, between the talker and the socket.
//! - [`capture`]: the call's packets, as a pcap file.
//! - [`results`]: what runs and searches found, as the data of their JSON files.
//! - [`report`]: the same for people, as HTML and Markdown.
//! - [`fleet`]: many hosts, simulated: refusals, failures, deploys.
//! - [`plan`]: how many hosts a traffic needs, by Erlang's formulas.
//! - [`measure`]: round trip by correlation, MOS by the E-model.
//!
//! What this crate does not do: SRTP, SIP over TLS, registration, video.

pub mod capacity;
pub mod capture;
pub mod fleet;
pub mod generator;
pub mod measure;
pub mod media;
pub mod network;
pub mod phone;
pub mod plan;
mod random;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod sip;
pub mod target;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: vox_heap::Counting = vox_heap::Counting;

pub use phone::{CallPlan, Phone, PhoneError, Transport};
pub use report::CallReport;
