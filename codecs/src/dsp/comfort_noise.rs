//! Comfort noise (RFC 3389).  (owner: codecs-B)
/// Generates comfort noise from SID payloads (level byte, optional reflection coefficients).
#[derive(Debug)]
pub struct ComfortNoise {}
impl ComfortNoise {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        unimplemented!("{rate_hz}")
    }
    /// Takes a SID payload. RFC 3389 §3: first byte level in −dBov, then spectrum.
    pub fn update(&mut self, payload: &[u8]) {
        unimplemented!("{payload:?}")
    }
    /// Fills `pcm` with noise of the last level and spectrum.
    pub fn fill(&mut self, pcm: &mut [i16]) {
        unimplemented!("{pcm:?}")
    }
}
