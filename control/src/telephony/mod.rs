//! Telephony over WebSockets: diallers that bring a call's audio as JSON (contract §1.4, §1.5).
//!
//! ```text
//!  dialler ◄─ WebSocket ─► dialect ─► call task ◄─ RTP (L16, loopback) ─► engine
//! ```
//!
//! A socket's call goes through the same door as a SIP call, and its audio reaches the engine as
//! RTP: jitter buffer, pacing, recording, limits and the one close are the engine's. Start reading
//! at [`Telephony::serve`], then `call` (one call), `dialect` (what is common to `generic` and
//! `exotel`), `inlet` (from a socket's bursts to packets).
//!
//! What this module does not do: connect to anybody (the agents' sockets do), TLS and who may
//! connect (an nginx stands before it).

mod call;
mod dialect;
mod exotel;
mod generic;
mod inlet;
mod media;
mod wire;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use vox_contracts::Object;

use crate::calls::{Calls, Refusal};
use crate::metrics::Counters;

use call::CallTask;
use dialect::{Dialect, Wrong};
use exotel::Exotel;
use generic::Generic;
use wire::{MESSAGE_BYTES_MAX, Wire};

/// Takes calls that come as WebSockets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telephony {
    calls: Calls,
    counters: Counters,
}

/// How a peer speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum Peer {
    /// The generic dialler: `/ws/{bot_id}`.
    Generic,
    /// Exotel's Voicebot applet: `/exotel/{bot_id}`, with the parameters of the address.
    Exotel(Object),
}

impl Telephony {
    /// Takes calls for `calls`.
    pub fn new(calls: Calls, counters: Counters) -> Self {
        Self { calls, counters }
    }

    /// How the sockets are to be upgraded.
    pub fn upgrade(&self, upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
        upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_frame_size(MESSAGE_BYTES_MAX)
            // Audio is written as it comes.
            .write_buffer_size(0)
    }

    /// One call, to its end. A slot is taken first of all; without one the socket is closed with
    /// 1013.
    pub async fn serve(self, socket: WebSocket, peer: Peer, bot_id: String) {
        let wire = Wire::new(socket);
        let slot = match self.calls.admit() {
            Ok(slot) => slot,
            Err(Refusal::Full) => return wire.close(1013, "at capacity").await,
            Err(Refusal::Draining) => return wire.close(1013, "draining").await,
        };
        let dialect: Result<Box<dyn Dialect>, Wrong> = match peer {
            Peer::Generic => Ok(Box::new(Generic::default())),
            Peer::Exotel(parameters) => Exotel::new(parameters).map(|exotel| Box::new(exotel) as _),
        };
        match dialect {
            Ok(dialect) => {
                CallTask::new(self.calls, self.counters, bot_id, dialect, wire).run(slot).await;
            }
            Err(wrong) => {
                drop(slot);
                self.counters.telephony_wrong(wrong.label);
                wire.close(wrong.close.unwrap_or(1002), &wrong.why).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
