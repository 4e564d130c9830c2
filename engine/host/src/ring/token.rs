use vox_call::{Component, LegKey};

/// What a completion is about: packed into the 64 bits of `user_data` that the kernel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A multishot receive.
    Receive(LegKey, Component),
    /// A send; completes only when it failed.
    Send(LegKey, Component),
    /// Control rang: the command eventfd was read.
    Wake,
    /// Anything whose completion says nothing.
    Quiet,
}

impl Token {
    /// Bits from the top: kind (8), component (8), slot (16), generation (32).
    pub(crate) const fn pack(self) -> u64 {
        match self {
            Self::Receive(leg, component) => pack(RECEIVE, leg, component),
            Self::Send(leg, component) => pack(SEND, leg, component),
            Self::Wake => WAKE << 56,
            Self::Quiet => 0,
        }
    }

    /// The inverse of [`pack`](Self::pack); what this process never packed is `Quiet`.
    pub(crate) const fn unpack(bits: u64) -> Self {
        let component = if (bits >> 48) & 0xff == 0 { Component::Rtp } else { Component::Rtcp };
        let leg = LegKey { slot: (bits >> 32) as u16, generation: bits as u32 };
        match bits >> 56 {
            RECEIVE => Self::Receive(leg, component),
            SEND => Self::Send(leg, component),
            WAKE => Self::Wake,
            _ => Self::Quiet,
        }
    }
}

const fn pack(kind: u64, leg: LegKey, component: Component) -> u64 {
    (kind << 56) | ((component as u64) << 48) | ((leg.slot as u64) << 32) | leg.generation as u64
}

const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const WAKE: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_way_through_the_kernel() {
        let low = LegKey { slot: 0, generation: 0 };
        let high = LegKey { slot: u16::MAX, generation: u32::MAX };
        for token in [
            Token::Receive(low, Component::Rtp),
            Token::Receive(high, Component::Rtcp),
            Token::Send(low, Component::Rtcp),
            Token::Send(high, Component::Rtp),
            Token::Wake,
            Token::Quiet,
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
