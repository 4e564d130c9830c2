use std::net::SocketAddr;

use super::{Command, Event, MediaTime, RxBuf, TxSlot};

/// A leg's place in the shard: slot and generation, so that what arrives late for an old call can
/// never reach a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LegKey {
    /// Slot in the shard's table, also the host's index for the leg's sockets. Dense: below the shard's capacity.
    pub slot: u16,
    /// Grows each time the slot is used.
    pub generation: u32,
}

/// Which of a leg's two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// The even port.
    Rtp,
    /// The odd port above it (RFC 3550 §11); unused after rtcp-mux was agreed.
    Rtcp,
}

/// Everything that can happen to a shard.
#[derive(Debug)]
pub enum Input {
    /// A datagram arrived. The core takes the buffer over and releases it.
    Datagram {
        /// The leg whose socket it arrived on.
        leg: LegKey,
        /// Which of its ports.
        component: Component,
        /// Who sent it.
        source: SocketAddr,
        /// Where it lies.
        buf: RxBuf,
    },
    /// The earliest slice of the 20 ms grid that is due is played: one slice for one `Tick`, so
    /// that its outputs and send slots are bounded by the calls of a slice. The host repeats it
    /// (polling in between) while [`Shard::next_tick`](crate::Shard::next_tick) is not after `now`;
    /// a `Tick` too early does nothing.
    Tick,
    /// Control asks for something.
    Command(Command),
}

/// What the host has to do, in this order.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a box would be an allocation on the shard")]
pub enum Output {
    /// Start receiving on the sockets that came with this call's `Open`.
    Listen {
        /// The call that was opened.
        call: super::CallId,
        /// Its leg's place from now on.
        leg: LegKey,
    },
    /// Let the kernel deliver only this peer's datagrams, and send without an address. `None`
    /// opens the socket to everybody again.
    Connect {
        /// The leg.
        leg: LegKey,
        /// Which of its ports.
        component: Component,
        /// The peer.
        peer: Option<SocketAddr>,
    },
    /// Send a datagram.
    Send {
        /// The leg.
        leg: LegKey,
        /// From which of its ports.
        component: Component,
        /// Where it was encoded. Free again when the kernel is done with it.
        slot: TxSlot,
        /// Bytes.
        len: u16,
        /// `None` on a connected port.
        to: Option<SocketAddr>,
    },
    /// Stop receiving, close the sockets, quarantine the ports.
    Unlisten {
        /// The leg that is gone.
        leg: LegKey,
    },
    /// Tell control.
    Event(Event),
    /// Nothing left; call [`handle`](crate::Shard::handle) with [`Input::Tick`] at this time.
    /// `None`: no call, do not wake up at all. May lie in the past: the next slice is due already.
    Idle(Option<MediaTime>),
}
