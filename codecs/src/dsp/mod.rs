//! Signal processing that works on PCM and knows no codec.
pub mod comfort_noise;
pub mod conceal;
pub mod level;
mod pitch;
pub mod resample;
pub mod stretch;
