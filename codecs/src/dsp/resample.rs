//! Low-delay polyphase resampling among 8, 16, 24 and 48 kHz.  (owner: codecs-A)
/// A streaming resampler.
#[derive(Debug)]
pub struct Resampler {}
impl Resampler {
    /// Rates from {8,000, 16,000, 24,000, 48,000}; equal rates pass through.
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        unimplemented!("{from_hz}{to_hz}")
    }
    /// Delay in output samples. Group delay of the filter, at the output rate.
    pub fn delay_samples(&self) -> usize {
        unimplemented!()
    }
    /// Resamples `input` into `output`; returns the samples written. `output` holds
    /// `input.len() * to / from + 1` samples.
    pub fn process(&mut self, input: &[i16], output: &mut [i16]) -> usize {
        unimplemented!("{input:?}{output:?}")
    }
}
