//! Opus as telephony uses it: libopus at 16 kHz mono, tuned for speech over a lossy network.
//!
//! The peer may send whatever RFC 6716 allows: libopus brings stereo down to mono and every
//! bandwidth to 16 kHz.

use opus::{Application, Bandwidth, Bitrate, Channels, Signal, packet};

/// PCM rate on our side of the codec, in Hz; independent of what a packet was encoded at.
pub const RATE_HZ: u32 = 16_000;
/// RFC 6716 §3.2.5: the longest packet is 120 ms. In samples at [`RATE_HZ`].
pub const PACKET_SAMPLES_MAX: usize = 1_920;
/// RFC 6716 §3.2.1: the longest frame is 1,275 bytes. No packet that we send has more than one.
pub const PAYLOAD_BYTES_MAX: usize = 1_275;

/// How an [`Encoder`] is tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Target bit rate, variable around it; 8 kbit/s more while redundancy is added.
    pub bitrate_bps: i32,
    /// In 0..=10, for a network that loses nothing. 1 costs about 40 µs a frame, 5 two and a half
    /// times that for a tenth of a PESQ point.
    pub complexity: i32,
    /// In 0..=100. Above 0, and with FEC on, frames carry a copy of the one before. That costs bits
    /// and twice the time, so it is asked for only where packets are lost.
    pub expected_loss_percent: i32,
    /// In-band forward error correction (RFC 6716 §2.1.7).
    pub fec: bool,
    /// Discontinuous transmission: silence is sent as one short packet every 400 ms.
    pub dtx: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bitrate_bps: 24_000, complexity: 1, expected_loss_percent: 0, fec: true, dtx: false }
    }
}

/// Encodes mono speech at [`RATE_HZ`].
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
    settings: Settings,
}

impl Encoder {
    /// Builds an encoder; values out of range are brought into it.
    ///
    /// # Panics
    /// When memory for libopus' state (about 25 KB) cannot be had.
    pub fn new(settings: Settings) -> Self {
        let inner = Self::configured(settings);
        Self { inner: inner.expect("libopus takes its documented settings"), settings }
    }

    /// Tunes the redundancy to the loss on the way, in percent.
    pub fn set_expected_loss(&mut self, percent: u8) {
        let percent = i32::from(percent.min(100));
        if percent == self.settings.expected_loss_percent {
            return;
        }
        self.settings.expected_loss_percent = percent;
        let set = tune(&mut self.inner, &self.settings);
        debug_assert!(set.is_ok(), "within libopus' ranges");
    }

    /// Encodes 2.5, 5, 10, 20, 40 or 60 ms; returns the bytes written, 0 for any other length or
    /// when `payload` is too short for even the smallest packet.
    pub fn encode(&mut self, pcm: &[i16], payload: &mut [u8]) -> usize {
        self.inner.encode(pcm, payload).unwrap_or(0)
    }

    fn configured(settings: Settings) -> opus::Result<opus::Encoder> {
        let mut inner = opus::Encoder::new(RATE_HZ, Channels::Mono, Application::Voip)?;
        inner.set_max_bandwidth(Bandwidth::Wideband)?;
        inner.set_signal(Signal::Voice)?;
        inner.set_inband_fec(settings.fec)?;
        inner.set_dtx(settings.dtx)?;
        tune(&mut inner, &settings)?;
        Ok(inner)
    }
}

/// What follows the network.
fn tune(inner: &mut opus::Encoder, settings: &Settings) -> opus::Result<()> {
    let redundant = settings.fec && settings.expected_loss_percent > 0;
    let (least, more_bps) = if redundant { (REDUNDANT_COMPLEXITY, REDUNDANCY_BPS) } else { (0, 0) };
    inner.set_complexity(settings.complexity.clamp(least, 10))?;
    inner.set_bitrate(Bitrate::Bits((settings.bitrate_bps + more_bps).clamp(6_000, 64_000)))?;
    inner.set_packet_loss_perc(settings.expected_loss_percent.clamp(0, 100))
}

/// Below it, libopus takes the same bit rate for a lower one and would rather narrow the band than
/// add redundancy.
const REDUNDANT_COMPLEXITY: i32 = 2;
/// What the copies take of a packet; without more bits speech would pay for them.
const REDUNDANCY_BPS: i32 = 8_000;

/// Decodes to mono at [`RATE_HZ`], with libopus' own concealment.
#[derive(Debug)]
pub struct Decoder {
    inner: opus::Decoder,
}

/// A packet that RFC 6716 does not allow, or an output too short for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPacket;

impl Decoder {
    /// Builds a decoder.
    ///
    /// # Panics
    /// When memory for libopus' state (about 18 KB) cannot be had.
    pub fn new() -> Self {
        let inner = opus::Decoder::new(RATE_HZ, Channels::Mono);
        Self { inner: inner.expect("libopus decodes to 16 kHz mono") }
    }

    /// Decodes a packet; returns the samples written.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [i16]) -> Result<usize, BadPacket> {
        // An empty packet asks libopus for concealment; from the network it is an error.
        let samples = samples_in(packet)?;
        let room = pcm.get_mut(..samples).ok_or(BadPacket)?;
        self.inner.decode(packet, room, false).or(Err(BadPacket))
    }

    /// Fills `pcm` with concealment.
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        // libopus conceals whole steps of 2.5 ms, at most a packet at a time.
        let (whole, rest) = pcm.split_at_mut(pcm.len() / STEP_SAMPLES * STEP_SAMPLES);
        for part in whole.chunks_mut(PACKET_SAMPLES_MAX) {
            self.conceal_steps(part);
        }
        if !rest.is_empty() {
            let mut step = [0; STEP_SAMPLES];
            self.conceal_steps(&mut step);
            rest.copy_from_slice(&step[..rest.len()]);
        }
    }

    /// Fills `pcm` with the audio before `next`: the part that `next` repeats comes from its
    /// in-band FEC, what lies before that part from concealment.
    pub fn decode_fec(&mut self, next: &[u8], pcm: &mut [i16]) -> Result<(), BadPacket> {
        samples_in(next)?;
        self.inner.decode(next, pcm, true).or(Err(BadPacket))?;
        Ok(())
    }

    fn conceal_steps(&mut self, pcm: &mut [i16]) {
        let concealed = self.inner.decode(&[], pcm, false);
        debug_assert!(concealed.is_ok(), "whole steps, not more than a packet");
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Samples at [`RATE_HZ`] that a packet holds, from its table of contents alone.
pub fn samples_in(packet: &[u8]) -> Result<usize, BadPacket> {
    if packet.is_empty() {
        return Err(BadPacket);
    }
    match packet::get_nb_samples(packet, RATE_HZ) {
        Ok(samples @ 1..=PACKET_SAMPLES_MAX) => Ok(samples),
        _ => Err(BadPacket),
    }
}

/// Whether a packet carries a low bit-rate copy of the audio before it (in-band FEC).
///
/// Reads the packet's framing and one byte: cheap enough to ask for every lost packet.
pub fn has_fec(packet: &[u8]) -> bool {
    let (Some(&toc), Some(&header)) = (packet.first(), first_frame(packet).and_then(<[u8]>::first))
    else {
        return false;
    };
    let (config, stereo) = (toc >> 3, toc & 0x04 != 0);
    // RFC 6716 §3.1 table 2: configurations 0..=11 are SILK, 12..=15 hybrid; CELT has no FEC.
    let silk_frames = match config {
        0..=11 if config % 4 == 3 => 3,
        0..=11 if config % 4 == 2 => 2,
        0..=15 => 1,
        _ => return false,
    };
    // RFC 6716 §4.2.3: per channel, one VAD bit for each SILK frame and then the LBRR flag. These
    // have even odds in the range coder, so they stand in the first byte as they are.
    let flag = |channel: u32| header >> (7 - silk_frames - channel * (silk_frames + 1)) & 1 == 1;
    flag(0) || stereo && flag(1)
}

/// The first frame of a packet (RFC 6716 §3.2). Bounds are checked as far as that frame needs.
fn first_frame(packet: &[u8]) -> Option<&[u8]> {
    let (&toc, rest) = packet.split_first()?;
    match toc & 0x03 {
        0 => Some(rest),
        1 => rest.get(..rest.len() / 2),
        2 => {
            let (length, rest) = frame_length(rest)?;
            rest.get(..length)
        }
        _ => first_frame_of_many(rest),
    }
}

/// RFC 6716 §3.2.5: code 3, a packet of any number of frames, with padding.
fn first_frame_of_many(rest: &[u8]) -> Option<&[u8]> {
    let (&header, mut rest) = rest.split_first()?;
    let (vbr, padded, frames) = (header & 0x80 != 0, header & 0x40 != 0, header & 0x3F);
    let mut padding = 0;
    let mut more = padded;
    while more {
        let (&bytes, after) = rest.split_first()?;
        more = bytes == 255;
        padding += usize::from(if more { 254 } else { bytes });
        rest = after;
    }
    let rest = rest.get(..rest.len().checked_sub(padding)?)?;
    if !vbr {
        return rest.get(..rest.len().checked_div(usize::from(frames))?);
    }
    // Every frame but the last has its length in front.
    let mut frame = None;
    let mut frames_and_lengths = rest;
    for _ in 1..frames {
        let (length, after) = frame_length(frames_and_lengths)?;
        frame.get_or_insert(length);
        frames_and_lengths = after;
    }
    frames_and_lengths.get(..frame.unwrap_or(frames_and_lengths.len()))
}

/// RFC 6716 §3.2.1: a frame's length in one or two bytes, and what follows it.
fn frame_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [short @ 0..=251, ref rest @ ..] => Some((short.into(), rest)),
        [low, high, ref rest @ ..] => Some((usize::from(high) * 4 + usize::from(low), rest)),
        _ => None,
    }
}

/// 2.5 ms, the unit of Opus frame lengths.
const STEP_SAMPLES: usize = RATE_HZ as usize / 400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_first_frame_is_where_libopus_finds_it(
            toc: u8, header: u8, body in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let packet = [&[toc, header][..], &body].concat();
            if let Ok(parsed) = packet::parse(&packet) {
                let frame = first_frame(&packet).expect("libopus has found one");
                prop_assert_eq!(frame.len(), parsed.frames[0].len());
                prop_assert!(frame.is_empty() || frame.as_ptr() == parsed.frames[0].as_ptr());
            }
            has_fec(&packet);
        }

        #[test]
        fn few_bytes_are_no_trouble(packet in prop::collection::vec(any::<u8>(), 0..6)) {
            has_fec(&packet);
            let _ = samples_in(&packet);
        }
    }
}
