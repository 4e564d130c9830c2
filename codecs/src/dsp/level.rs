//! Signal level.  (owner: codecs-B)
/// Mean level of a frame in dB relative to full scale (dBov, RFC 6464): 0 is the loudest, −127 silence.
pub fn level_dbov(pcm: &[i16]) -> i8 {
    unimplemented!("{pcm:?}")
}
