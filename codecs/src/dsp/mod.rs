//! Signal processing that works on PCM and knows no codec.
pub mod comfort_noise;
pub mod conceal;
pub mod level;
pub(crate) mod pitch;
pub mod resample;
pub mod stretch;
