//! A generator thread: one ring, its legs, and the loop between.
//!
//! Data flows one way: what is due leaves (`mouth`, through `line` where the network is bad), what
//! has arrived is counted and listened to (`ear`, `late`, `listen`), orders are carried out. `wheel`
//! knows what is due.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

mod ear;
mod echo;
mod late;
mod legs;
mod line;
mod listen;
mod mouth;
mod state;
mod wheel;
mod worker;

use super::config::StartError;
use super::link::LinkEnds;
pub(super) use state::{Agreement, Ended, LegState};
use worker::Worker;

/// Starts a thread and waits until it is ready.
pub(super) fn start(n: usize, ends: LinkEnds) -> Result<JoinHandle<()>, StartError> {
    let (started, ready) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(format!("voxload-{n}"))
        .spawn(move || match Worker::new(ends) {
            Ok(mut worker) => {
                let _ = started.send(Ok(()));
                worker.run();
            }
            Err(error) => _ = started.send(Err(error)),
        })
        .map_err(StartError::Thread)?;
    let died = || StartError::Thread(io::Error::other("it died while it started"));
    ready.recv().map_err(|_| died())?.map(|()| thread)
}
