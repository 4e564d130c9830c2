//! One face over the codecs a media leg can speak.

use crate::dsp::conceal::Concealer;
use crate::g711::Law;
use crate::{g722, l16, opus};

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
    /// Linear PCM, 16 bit, big endian, mono, at 8 kHz (RFC 3551 §4.5.11). No static payload type is
    /// for this rate. Carries the audio of telephony sockets to the engine; SIP never offers it.
    L16,
}

impl CodecKind {
    /// Audio sample rate of the PCM this codec takes and gives, in Hz.
    pub const fn rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::L16 => 8_000,
            Self::G722 | Self::Opus => 16_000,
        }
    }

    /// RTP timestamp clock, in Hz. RFC 3551 §4.5.2 keeps G.722 at 8,000 by historical error.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 => 8_000,
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
            Self::L16 => "L16",
        }
    }
}

/// Encodes 20 ms frames of one stream.
#[derive(Debug)]
pub struct Encoder {
    kind: CodecKind,
    state: EncoderState,
}

#[derive(Debug)]
enum EncoderState {
    G711(Law),
    // Boxed, as the other states are: a call holds this enum in place.
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
    L16,
}

impl Encoder {
    /// Builds an encoder; the only place that allocates.
    pub fn new(kind: CodecKind) -> Self {
        Self::with_opus_settings(kind, opus::Settings::default())
    }

    /// Builds an encoder that uses `settings` if it is one for Opus.
    pub fn with_opus_settings(kind: CodecKind, settings: opus::Settings) -> Self {
        let state = match kind {
            CodecKind::Pcmu => EncoderState::G711(Law::Mu),
            CodecKind::Pcma => EncoderState::G711(Law::A),
            CodecKind::G722 => EncoderState::G722(Box::default()),
            CodecKind::Opus => EncoderState::Opus(Box::new(opus::Encoder::new(settings))),
            CodecKind::L16 => EncoderState::L16,
        };
        Self { kind, state }
    }

    /// The codec this encoder speaks.
    pub fn kind(&self) -> CodecKind {
        self.kind
    }

    /// Tunes the redundancy to the loss on the way, in percent; only Opus has any.
    pub fn set_expected_loss(&mut self, percent: u8) {
        if let EncoderState::Opus(encoder) = &mut self.state {
            encoder.set_expected_loss(percent);
        }
    }

    /// Encodes one frame into `payload`; returns the bytes written.
    ///
    /// G.711 and L16 take any number of samples and G.722 any even number, up to what `payload` holds;
    /// Opus takes 2.5, 5, 10, 20, 40 or 60 ms and gives 0 for any other length. Room for
    /// [`PAYLOAD_BYTES_MAX`] is always enough.
    pub fn encode(&mut self, pcm: &[i16], payload: &mut [u8]) -> usize {
        match &mut self.state {
            EncoderState::G711(law) => law.compress_slice(pcm, payload),
            EncoderState::G722(encoder) => encoder.encode(pcm, payload),
            EncoderState::Opus(encoder) => encoder.encode(pcm, payload),
            EncoderState::L16 => l16::encode(pcm, payload),
        }
    }
}

/// Why a payload could not be decoded. The caller conceals instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPayload;

/// Decodes packets of one stream, and conceals what is missing.
#[derive(Debug)]
pub struct Decoder {
    kind: CodecKind,
    state: DecoderState,
}

#[derive(Debug)]
enum DecoderState {
    G711(Law, Box<Concealer>),
    G722(Box<g722::Decoder>, Box<Concealer>),
    Opus(opus::Decoder),
    L16(Box<Concealer>),
}

impl Decoder {
    /// Builds a decoder; the only place that allocates.
    pub fn new(kind: CodecKind) -> Self {
        let concealer = || Box::new(Concealer::new(kind.rate_hz()));
        let state = match kind {
            CodecKind::Pcmu => DecoderState::G711(Law::Mu, concealer()),
            CodecKind::Pcma => DecoderState::G711(Law::A, concealer()),
            CodecKind::G722 => DecoderState::G722(Box::default(), concealer()),
            CodecKind::Opus => DecoderState::Opus(opus::Decoder::new()),
            CodecKind::L16 => DecoderState::L16(concealer()),
        };
        Self { kind, state }
    }

    /// The codec this decoder speaks.
    pub fn kind(&self) -> CodecKind {
        self.kind
    }

    /// Samples (at [`CodecKind::rate_hz`]) that `payload` holds, without decoding it.
    pub fn samples_in(&self, payload: &[u8]) -> Result<usize, BadPayload> {
        let samples = match self.kind {
            CodecKind::Pcmu | CodecKind::Pcma => payload.len(),
            CodecKind::G722 => payload.len() * g722::SAMPLES_PER_BYTE,
            CodecKind::Opus => opus::samples_in(payload)?,
            CodecKind::L16 => l16::samples_in(payload)?,
        };
        let samples_max = self.kind.rate_hz() as usize * PACKET_MS_MAX / 1_000;
        match samples {
            0 => Err(BadPayload),
            _ if samples > samples_max => Err(BadPayload),
            _ => Ok(samples),
        }
    }

    /// Decodes a packet into `pcm`; returns the samples written.
    ///
    /// Any whole number of samples up to 120 ms is a packet, whatever was negotiated: room for
    /// [`PCM_SAMPLES_MAX`] is always enough. After a concealed stretch the start of the packet is
    /// cross-faded with the concealment.
    pub fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Result<usize, BadPayload> {
        let samples = self.samples_in(payload)?;
        let pcm = pcm.get_mut(..samples).ok_or(BadPayload)?;
        match &mut self.state {
            DecoderState::G711(law, concealer) => {
                law.expand_slice(payload, pcm);
                concealer.good(pcm);
            }
            DecoderState::G722(decoder, concealer) => {
                decoder.decode(payload, pcm);
                concealer.good(pcm);
            }
            DecoderState::Opus(decoder) => return Ok(decoder.decode(payload, pcm)?),
            DecoderState::L16(concealer) => {
                l16::decode(payload, pcm);
                concealer.good(pcm);
            }
        }
        Ok(samples)
    }

    /// Fills all of `pcm` (10 or 20 ms) with concealment for audio that did not come.
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        match &mut self.state {
            DecoderState::G711(_, concealer)
            | DecoderState::G722(_, concealer)
            | DecoderState::L16(concealer) => concealer.conceal(pcm),
            DecoderState::Opus(decoder) => decoder.conceal(pcm),
        }
    }

    /// The part that every good packet is noted in, for who can have it fetched ahead of its turn.
    /// None for Opus: libopus keeps its own.
    pub fn concealer(&self) -> Option<&Concealer> {
        match &self.state {
            DecoderState::G711(_, concealer)
            | DecoderState::G722(_, concealer)
            | DecoderState::L16(concealer) => Some(concealer),
            DecoderState::Opus(_) => None,
        }
    }

    /// Whether `next`, the packet after a lost one, carries a copy of the lost one (Opus in-band FEC).
    pub fn has_fec(&self, next: &[u8]) -> bool {
        self.kind == CodecKind::Opus && opus::has_fec(next)
    }

    /// Recovers the lost packet before `next` from its in-band FEC; `pcm` is as long as the loss, in
    /// whole steps of 2.5 ms up to 120 ms. Only Opus has FEC: for other codecs this is an error.
    pub fn decode_fec(&mut self, next: &[u8], pcm: &mut [i16]) -> Result<(), BadPayload> {
        match &mut self.state {
            DecoderState::Opus(decoder) => Ok(decoder.decode_fec(next, pcm)?),
            _ => Err(BadPayload),
        }
    }
}

impl From<opus::BadPacket> for BadPayload {
    fn from(_: opus::BadPacket) -> Self {
        Self
    }
}

/// The longest packet that a [`Decoder`] takes.
pub const PACKET_MS_MAX: usize = 120;
/// Samples in the longest packet at the highest [`CodecKind::rate_hz`].
pub const PCM_SAMPLES_MAX: usize = 16 * PACKET_MS_MAX;
/// Bytes of the longest payload that an [`Encoder`] writes for 20 ms, whatever the codec.
pub const PAYLOAD_BYTES_MAX: usize = opus::PAYLOAD_BYTES_MAX;
