/// Why bytes from the network were dropped. Counted per reason, never logged per packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// Shorter than its own header, CSRC list or extension says.
    Truncated,
    /// Not version 2 (RFC 3550 §5.1).
    BadVersion,
    /// Padding count is zero or larger than the payload.
    BadPadding,
    /// An RTCP compound that breaks RFC 3550 §A.2.
    BadRtcp,
    /// A protocol that this leg does not speak (RFC 7983).
    NotRtp,
    /// A payload type that was not negotiated.
    UnknownPayloadType,
    /// From an address that the leg has not latched to.
    WrongSource,
    /// From a synchronisation source that the leg did not accept.
    WrongSsrc,
    /// Already here.
    Duplicate,
    /// Its time to be played has passed.
    Late,
    /// The jitter buffer has no room (too far ahead).
    Overflow,
    /// The codec could not make sense of the payload.
    BadPayload,
    /// The leg is on hold or closing.
    NotListening,
    /// Larger than a receive buffer.
    TooLarge,
}

impl DropReason {
    /// How many reasons there are: the length of a counter array indexed by `reason as usize`.
    pub const COUNT: usize = 14;

    /// All reasons, in counter order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Truncated,
        Self::BadVersion,
        Self::BadPadding,
        Self::BadRtcp,
        Self::NotRtp,
        Self::UnknownPayloadType,
        Self::WrongSource,
        Self::WrongSsrc,
        Self::Duplicate,
        Self::Late,
        Self::Overflow,
        Self::BadPayload,
        Self::NotListening,
        Self::TooLarge,
    ];

    /// The label used in metrics, snake_case.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::BadVersion => "bad_version",
            Self::BadPadding => "bad_padding",
            Self::BadRtcp => "bad_rtcp",
            Self::NotRtp => "not_rtp",
            Self::UnknownPayloadType => "unknown_payload_type",
            Self::WrongSource => "wrong_source",
            Self::WrongSsrc => "wrong_ssrc",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Overflow => "overflow",
            Self::BadPayload => "bad_payload",
            Self::NotListening => "not_listening",
            Self::TooLarge => "too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn reasons_index_their_counters_and_have_labels_of_their_own() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
        let labels: HashSet<_> = DropReason::ALL.into_iter().map(DropReason::label).collect();
        assert_eq!(labels.len(), DropReason::COUNT);
    }
}
