/// What a completion is about: packed into the 64 bits of `user_data` that the kernel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// A multishot receive.
    Receive(SocketKey),
    /// A send; completes only when it failed.
    Send(SocketKey),
    /// Somebody rang: the eventfd that the ring was made with was read.
    Wake,
    /// Anything whose completion says nothing.
    Quiet,
}

/// A socket in the ring's file table, and which of those that were there one after another: what
/// arrives late for an old one can never reach a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketKey {
    /// Its row of the file table, below 2^24.
    pub row: u32,
    /// Grows each time the row is used.
    pub generation: u32,
}

impl Token {
    /// Bits from the top: kind (8), row (24), generation (32).
    pub(crate) const fn pack(self) -> u64 {
        match self {
            Self::Receive(key) => pack(RECEIVE, key),
            Self::Send(key) => pack(SEND, key),
            Self::Wake => WAKE << 56,
            Self::Quiet => 0,
        }
    }

    /// The inverse of [`pack`](Self::pack); what this process never packed is `Quiet`.
    pub(crate) const fn unpack(bits: u64) -> Self {
        let key = SocketKey { row: (bits >> 32) as u32 & ROW_MAX, generation: bits as u32 };
        match bits >> 56 {
            RECEIVE => Self::Receive(key),
            SEND => Self::Send(key),
            WAKE => Self::Wake,
            _ => Self::Quiet,
        }
    }
}

const fn pack(kind: u64, key: SocketKey) -> u64 {
    debug_assert!(key.row <= ROW_MAX);
    (kind << 56) | ((key.row as u64) << 32) | key.generation as u64
}

const ROW_MAX: u32 = (1 << 24) - 1;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const WAKE: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_way_through_the_kernel() {
        let low = SocketKey { row: 0, generation: 0 };
        let high = SocketKey { row: ROW_MAX, generation: u32::MAX };
        for token in [
            Token::Receive(low),
            Token::Receive(high),
            Token::Send(low),
            Token::Send(high),
            Token::Wake,
            Token::Quiet,
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
