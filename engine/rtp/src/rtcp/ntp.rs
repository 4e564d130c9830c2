use core::time::Duration;

/// An NTP timestamp (RFC 3550 §4): seconds since 1900 in the high 32 bits, their fraction in the
/// low ones. The seconds wrap in 2036; differences of the middle bits do not mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since 1970.
    pub const fn from_unix(since_1970: Duration) -> Self {
        let seconds = since_1970.as_secs().wrapping_add(UNIX_EPOCH_S) << 32;
        // Below 2^32, because the nanoseconds are below 10^9.
        let fraction = ((since_1970.subsec_nanos() as u64) << 32) / NANOS_PER_S;
        Self(seconds | fraction)
    }

    /// The middle 32 bits: what report blocks quote.
    pub const fn short(self) -> NtpShort {
        NtpShort((self.0 >> 16) as u32)
    }
}

/// The middle 32 bits of an NTP time, or a duration, in 1/65,536 s: wraps after 18 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtpShort(pub u32);

impl NtpShort {
    /// From a duration; one over 18 hours becomes the largest there is.
    pub const fn from_duration(duration: Duration) -> Self {
        let units = (duration.as_nanos() << 16) / NANOS_PER_S as u128;
        Self(if units > u32::MAX as u128 { u32::MAX } else { units as u32 })
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_nanos((self.0 as u64 * NANOS_PER_S) >> 16)
    }
}

/// 1970 seen from 1900: 70 years with 17 leap days.
const UNIX_EPOCH_S: u64 = (70 * 365 + 17) * 86_400;
const NANOS_PER_S: u64 = 1_000_000_000;
