//! One face over the codecs a media leg can speak.

/// A codec that a leg can negotiate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecKind {
    /// G.711 µ-law, 8 kHz, static payload type 0.
    Pcmu,
    /// G.711 A-law, 8 kHz, static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, 16 kHz audio, static payload type 9.
    G722,
    /// Opus, run at 16 kHz mono; its RTP clock is 48 kHz (RFC 7587).
    Opus,
}

impl CodecKind {
    /// Audio sample rate of the PCM this codec takes and gives, in Hz.
    pub const fn rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::G722 | Self::Opus => 16_000,
        }
    }

    /// RTP timestamp clock, in Hz. RFC 3551 §4.5.2 keeps G.722 at 8,000 by historical error.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// Samples of PCM in 20 ms.
    pub const fn frame_samples(self) -> usize {
        self.rate_hz() as usize / 50
    }

    /// The encoding name used in SDP (`a=rtpmap`).
    pub const fn sdp_name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }
}

/// Encodes 20 ms frames of one stream.
#[derive(Debug)]
pub struct Encoder {
    // owner: codecs-A
}

impl Encoder {
    /// Builds an encoder; the only place that allocates.
    pub fn new(kind: CodecKind) -> Self {
        unimplemented!("{kind:?}")
    }
    /// The codec this encoder speaks.
    pub fn kind(&self) -> CodecKind {
        unimplemented!()
    }
    /// Encodes one frame (any whole multiple of 10 ms up to 60 ms of samples for G.711/G.722; 20 ms
    /// for Opus) into `payload`; returns the bytes written.
    pub fn encode(&mut self, pcm: &[i16], payload: &mut [u8]) -> usize {
        unimplemented!("{pcm:?}{payload:?}")
    }
}

/// Why a payload could not be decoded. The caller conceals instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPayload;

/// Decodes packets of one stream, and conceals what is missing.
#[derive(Debug)]
pub struct Decoder {
    // owner: codecs-A (holds dsp::conceal::Concealer for G.711/G.722; libopus' own for Opus)
}

impl Decoder {
    /// Builds a decoder; the only place that allocates.
    pub fn new(kind: CodecKind) -> Self {
        unimplemented!("{kind:?}")
    }
    /// The codec this decoder speaks.
    pub fn kind(&self) -> CodecKind {
        unimplemented!()
    }
    /// Samples (at [`CodecKind::rate_hz`]) that `payload` holds, without decoding it.
    pub fn samples_in(&self, payload: &[u8]) -> Result<usize, BadPayload> {
        unimplemented!("{payload:?}")
    }
    /// Decodes a packet into `pcm` (room for 120 ms); returns the samples written. After a
    /// concealed stretch the start of the packet is cross-faded with the concealment.
    pub fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Result<usize, BadPayload> {
        unimplemented!("{payload:?}{pcm:?}")
    }
    /// Fills all of `pcm` (10 or 20 ms) with concealment for audio that did not come.
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        unimplemented!("{pcm:?}")
    }
    /// Whether `next`, the packet after a lost one, carries a copy of the lost one (Opus in-band FEC).
    pub fn has_fec(&self, next: &[u8]) -> bool {
        unimplemented!("{next:?}")
    }
    /// Recovers the lost packet before `next` from its in-band FEC; `pcm` is as long as the loss.
    pub fn decode_fec(&mut self, next: &[u8], pcm: &mut [i16]) -> Result<(), BadPayload> {
        unimplemented!("{next:?}{pcm:?}")
    }
}
