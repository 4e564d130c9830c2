//! Packet-loss concealment after the ideas of ITU-T G.711 Appendix I.  (owner: codecs-B)
/// Pitch-repetition concealment for PCM at 8 or 16 kHz.
#[derive(Debug)]
pub struct Concealer {}
impl Concealer {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        unimplemented!("{rate_hz}")
    }
    /// Takes note of good audio; after a loss it also cross-fades the start of `pcm` in place.
    pub fn good(&mut self, pcm: &mut [i16]) {
        unimplemented!("{pcm:?}")
    }
    /// Fills `pcm` with concealment.
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        unimplemented!("{pcm:?}")
    }
}
