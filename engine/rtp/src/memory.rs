//! Where datagrams lie while somebody looks into them: handles to buffers that belong to a host.
//!
//! Only the words for it: the memory itself is the host's, whatever it receives and sends with.

/// A received packet, still in the buffer the kernel wrote it to. Not `Clone`: whoever holds it
/// must release it exactly once.
#[derive(Debug, PartialEq, Eq)]
pub struct RxBuf {
    /// Index of the buffer in the host's receive memory.
    pub index: u16,
    /// Where the datagram starts inside the buffer.
    pub offset: u16,
    /// Bytes of the datagram.
    pub len: u16,
}

/// A slot that an outgoing packet is encoded into.
#[derive(Debug, PartialEq, Eq)]
pub struct TxSlot(pub u16);

/// The memory that packets live in, owned by the host and lent, for the time of one call, to whoever
/// reads and writes them.
pub trait PacketMemory {
    /// The bytes of a received datagram.
    fn received(&self, buf: &RxBuf) -> &[u8];
    /// The same, to be changed in place: what was sealed is opened where it lies.
    fn received_mut(&mut self, buf: &RxBuf) -> &mut [u8];
    /// Gives a receive buffer back to the kernel's ring. Only `index` counts: its holder may
    /// have narrowed `offset` and `len` to the payload.
    fn release(&mut self, buf: RxBuf);
    /// A free send slot; `None` when all are in flight (the packet is then a counted drop).
    fn acquire(&mut self) -> Option<TxSlot>;
    /// The whole of a send slot (at least 1,472 bytes).
    fn slot(&mut self, slot: &TxSlot) -> &mut [u8];
    /// Says that this will be looked at soon. A call's data has left the caches when its turn comes
    /// again; a host that fetches it meanwhile spares the wait. Only a hint.
    fn expect<T: ?Sized>(&self, _soon: &T) {}
    /// The same for the bytes of a received datagram.
    fn expect_received(&self, _buf: &RxBuf) {}
    /// Gives back a slot that nothing was sent from.
    fn discard(&mut self, slot: TxSlot);
}
