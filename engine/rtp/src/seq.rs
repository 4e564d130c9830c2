//! Sequence numbers, timestamps, sources and clock rates as types of their own.
//!
//! Wire values wrap, so they have no order: distances ([`SeqNo::since`], [`RtpTime::since`]) are
//! signed and only meaningful within half the number space. [`ExtendedSeq`] and [`ExtendedTime`]
//! are the same values unwrapped, and do have an order.

use core::fmt;
use core::num::NonZeroU32;

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

/// A sequence number with its wraps counted, so that it can be compared and subtracted freely.
///
/// The first one of a stream is [`ExtendedSeq::first`], with no wrap; a packet that was sent before
/// it and overtaken may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedSeq(pub i64);

impl ExtendedSeq {
    /// The first packet of a stream.
    pub const fn first(seq: SeqNo) -> Self {
        Self(seq.0 as i64)
    }

    /// The unwrapped number nearest to `self` that is `seq` on the wire. Feed it the highest number
    /// seen so far and keep the larger of the two.
    #[must_use]
    pub const fn nearest(self, seq: SeqNo) -> Self {
        Self(self.0 + seq.since(self.seq()) as i64)
    }

    /// The number on the wire.
    pub const fn seq(self) -> SeqNo {
        SeqNo(self.0 as u16)
    }

    /// The low 32 bits: cycles and sequence number as report blocks carry them (RFC 3550 §6.4.1).
    pub const fn low_32(self) -> u32 {
        self.0 as u32
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

/// A timestamp with its wraps counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedTime(pub i64);

impl ExtendedTime {
    /// The first timestamp of a stream.
    pub const fn first(time: RtpTime) -> Self {
        Self(time.0 as i64)
    }

    /// The unwrapped timestamp nearest to `self` that is `time` on the wire.
    #[must_use]
    pub const fn nearest(self, time: RtpTime) -> Self {
        Self(self.0 + time.since(self.time()) as i64)
    }

    /// The timestamp on the wire.
    pub const fn time(self) -> RtpTime {
        RtpTime(self.0 as u32)
    }
}

/// A synchronisation source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// As people and packet analysers write it: `0x1234abcd`.
impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// How many timestamp units make a second. Never zero, so converting never divides by zero
/// whatever an SDP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockRate(NonZeroU32);

impl ClockRate {
    /// 8 kHz: G.711, and G.722 by historical error (RFC 3551 §4.5.2).
    pub const HZ_8000: Self = Self(NonZeroU32::new(8_000).expect("not zero"));
    /// 16 kHz.
    pub const HZ_16000: Self = Self(NonZeroU32::new(16_000).expect("not zero"));
    /// 48 kHz: Opus at any audio rate (RFC 7587 §4.1).
    pub const HZ_48000: Self = Self(NonZeroU32::new(48_000).expect("not zero"));

    /// `None` for 0 Hz.
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// In Hz.
    pub const fn hz(self) -> u32 {
        self.0.get()
    }

    /// Timestamp units in `us` microseconds, rounded down, modulo 2^64.
    pub const fn units_in_us(self, us: u64) -> u64 {
        (us as u128 * self.hz() as u128 / 1_000_000) as u64
    }

    /// Timestamp units in `ms` milliseconds, rounded down.
    pub const fn units_in_ms(self, ms: u32) -> u64 {
        ms as u64 * self.hz() as u64 / 1_000
    }

    /// Microseconds that `units` last, towards zero. Takes the result of [`RtpTime::since`] as is.
    pub const fn us_in_units(self, units: i64) -> i64 {
        (units as i128 * 1_000_000 / self.hz() as i128) as i64
    }

    /// The timestamp `us` microseconds after one that stands for zero: the stream's own clock.
    pub const fn time_at_us(self, zero: RtpTime, us: u64) -> RtpTime {
        RtpTime(zero.0.wrapping_add(self.units_in_us(us) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_signed_and_wraps() {
        for (a, b, distance) in [
            (0, 0, 0),
            (1, 0, 1),
            (0, 1, -1),
            (0, 0xffff, 1),
            (0xffff, 0, -1),
            (0x7fff, 0, 0x7fff),
            (0x8000, 0, -0x8000),
            (5, 0xfff0, 21),
        ] {
            assert_eq!(SeqNo(a).since(SeqNo(b)), distance, "{a:#x} − {b:#x}");
            assert_eq!(SeqNo(b).plus(distance), SeqNo(a), "{b:#x} + {distance}");
        }
        assert_eq!(RtpTime(0).since(RtpTime(0xffff_ffff)), 1);
        assert_eq!(RtpTime(0x8000_0000).since(RtpTime(0)), i32::MIN);
        assert_eq!(RtpTime(0xffff_ff60).plus(160), RtpTime(0));
        assert_eq!(SeqNo(0xffff).next(), SeqNo(0));
    }

    #[test]
    fn unwrapping_counts_cycles_whatever_the_order() {
        let mut high = ExtendedSeq::first(SeqNo(0xfffe));
        for (wire, extended) in [
            (0xffff, 0xffff),
            (0x0001, 0x1_0001),
            (0x0000, 0x1_0000),
            (0xfffd, 0xfffd),
            (0x7fff, 0x1_7fff),
            (0xfffe, 0x1_fffe),
            (0x0003, 0x2_0003),
        ] {
            let seq = high.nearest(SeqNo(wire));
            assert_eq!(seq, ExtendedSeq(extended), "{wire:#x}");
            assert_eq!(seq.seq(), SeqNo(wire));
            high = high.max(seq);
        }
        let before_the_first = ExtendedSeq::first(SeqNo(0)).nearest(SeqNo(0xffff));
        assert_eq!(before_the_first, ExtendedSeq(-1));
        assert_eq!(before_the_first.seq(), SeqNo(0xffff));
        let time = ExtendedTime::first(RtpTime(0xffff_ff60)).nearest(RtpTime(0));
        assert_eq!(time, ExtendedTime(0x1_0000_0000));
    }

    #[test]
    fn clock_rates_convert_both_ways() {
        for (clock, us, units) in [
            (ClockRate::HZ_8000, 20_000, 160),
            (ClockRate::HZ_16000, 20_000, 320),
            (ClockRate::HZ_48000, 20_000, 960),
            (ClockRate::HZ_8000, 124, 0),
            (ClockRate::HZ_8000, 125, 1),
            (ClockRate::HZ_48000, 86_400_000_000, 4_147_200_000),
        ] {
            assert_eq!(clock.units_in_us(us), units, "{us} µs at {clock:?}");
            assert!(clock.us_in_units(units as i64) <= us as i64);
        }
        assert_eq!(ClockRate::HZ_8000.us_in_units(-160), -20_000);
        assert_eq!(ClockRate::HZ_8000.units_in_ms(60), 480);
        let wrapped = ClockRate::HZ_8000.time_at_us(RtpTime(0xffff_ff60), 20_000);
        assert_eq!(wrapped, RtpTime(0));
        assert_eq!(ClockRate::new(0), None);
    }
}
