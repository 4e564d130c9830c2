//! Sequence numbers, timestamps and sources as types of their own.
/// An RTP sequence number: wraps at 2^16 (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeqNo(pub u16);
impl SeqNo {
    /// The next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
    /// Signed distance from `other` to `self`, in −32,768..=32,767.
    pub const fn since(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0) as i16
    }
    /// `self` moved by `n`.
    #[must_use]
    pub const fn plus(self, n: i16) -> Self {
        Self(self.0.wrapping_add_signed(n))
    }
}
/// An RTP timestamp in units of the payload's clock: wraps at 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtpTime(pub u32);
impl RtpTime {
    /// Signed distance from `other` to `self`.
    pub const fn since(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
    /// `self` moved by `n` units.
    #[must_use]
    pub const fn plus(self, n: i32) -> Self {
        Self(self.0.wrapping_add_signed(n))
    }
}
/// A synchronisation source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);
