//! What is compared: servers of the same calls, and what each is measured against.

use clap::ValueEnum;
use vox_codecs::CodecKind;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// A bare io_uring UDP echo in 2 ms batches.
    Floor,
    /// The engine: jitter buffer, decode, level, encode.
    Echo,
    /// The same, with voice activity detection.
    Vad,
    /// The same, recorded in stereo at 8 kHz.
    Recording,
    /// libopus alone, tuned as ours: a decode and an encode for each frame, no network.
    Libopus,
    /// The engine with Opus at 16 kHz.
    Opus,
}

impl Side {
    /// What it is measured against.
    pub(crate) const fn reference(self) -> Option<Self> {
        match self {
            Self::Floor | Self::Libopus => None,
            Self::Echo | Self::Vad => Some(Self::Floor),
            Self::Recording => Some(Self::Vad),
            Self::Opus => Some(Self::Libopus),
        }
    }

    /// The ratio that is aimed at.
    pub(crate) const fn aim(self) -> Option<f64> {
        match self {
            Self::Floor | Self::Libopus => None,
            Self::Echo | Self::Vad => Some(1.3),
            Self::Recording => Some(1.2),
            Self::Opus => Some(1.15),
        }
    }

    /// What its callers speak.
    pub(crate) const fn codec(self) -> CodecKind {
        match self {
            Self::Libopus | Self::Opus => CodecKind::Opus,
            _ => CodecKind::Pcmu,
        }
    }

    /// As on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
