//! L16: linear PCM as RTP carries it (RFC 3551 §4.5.11).

use crate::codec::BadPayload;

/// Writes samples in network byte order, as many as `payload` holds; returns the bytes written.
pub(crate) fn encode(pcm: &[i16], payload: &mut [u8]) -> usize {
    let (places, _) = payload.as_chunks_mut::<2>();
    let count = pcm.len().min(places.len());
    places.iter_mut().zip(pcm).for_each(|(place, sample)| *place = sample.to_be_bytes());
    2 * count
}

/// Reads samples in network byte order.
pub(crate) fn decode(payload: &[u8], pcm: &mut [i16]) {
    let (samples, _) = payload.as_chunks::<2>();
    pcm.iter_mut().zip(samples).for_each(|(place, bytes)| *place = i16::from_be_bytes(*bytes));
}

/// Samples in a payload; half a sample is none.
pub(crate) fn samples_in(payload: &[u8]) -> Result<usize, BadPayload> {
    if payload.len().is_multiple_of(2) { Ok(payload.len() / 2) } else { Err(BadPayload) }
}
