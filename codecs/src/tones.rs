//! DTMF and call-progress tones, and the DTMF detector.  (owner: codecs-B; may become a folder)
/// Tone generator: DTMF pairs, single sine, dial/ringback/busy/congestion cadences.
#[derive(Debug, Clone)]
pub struct ToneGenerator {}
impl ToneGenerator {
    /// A continuous sine.
    pub fn sine(rate_hz: u32, frequency_hz: f32, level_dbov: f32) -> Self {
        unimplemented!("{rate_hz}{frequency_hz}{level_dbov}")
    }
    /// A DTMF digit (`0-9 * # A-D`), continuous; `None` for another character.
    pub fn dtmf(rate_hz: u32, digit: char) -> Option<Self> {
        unimplemented!("{rate_hz}{digit}")
    }
    /// Fills `pcm` with the next samples.
    pub fn fill(&mut self, pcm: &mut [i16]) {
        unimplemented!("{pcm:?}")
    }
}
/// Goertzel DTMF detector over 8 or 16 kHz PCM (Q.24 limits, talk-off resistant).
#[derive(Debug)]
pub struct DtmfDetector {}
impl DtmfDetector {
    /// For 8,000 or 16,000 Hz.
    pub fn new(rate_hz: u32) -> Self {
        unimplemented!("{rate_hz}")
    }
    /// Takes audio; returns a digit when one has just been recognised (once per press).
    pub fn push(&mut self, pcm: &[i16]) -> Option<char> {
        unimplemented!("{pcm:?}")
    }
}
