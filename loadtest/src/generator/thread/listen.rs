use vox_codecs::dsp::level;
use vox_codecs::g711::Law;
use vox_codecs::{CodecKind, Decoder};

use crate::generator::marker::{FINDER_HZ, Finder, Sweep};
use crate::generator::speech::to_finder_rate;

/// Listens to what is in the packets: is there anything to be heard, and where are our markers?
///
/// Decoding G.711 costs less than looking away is worth, so it is heard whole. Other codecs are
/// decoded when there is something to find out: until there was sound, and around the time a
/// marker is expected.
#[derive(Debug)]
pub(super) struct Listening {
    codec: CodecKind,
    decoder: Decoding,
    /// Sound was heard.
    audible: bool,
    /// Audio packets that came.
    packets: u64,
    /// The last packet was not decoded.
    gap: bool,
    markers: Option<Watch>,
}

#[derive(Debug)]
enum Decoding {
    /// Cheap: a table.
    G711(Law),
    Other(Box<Decoder>),
}

/// What was found in a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The first sound of all.
    pub(super) sound: bool,
    /// How long a marker's way there and back was, µs.
    pub(super) round_trip_us: Option<u64>,
}

/// Looks out for markers that were sent.
#[derive(Debug)]
struct Watch {
    finder: Finder,
    /// When the last ones were sent, µs; newest first.
    sent: [u64; 4],
    count: u64,
    /// How long the last one that came back was under way, µs.
    round_trip_us: Option<u64>,
    /// How many did not come back, since one did.
    missed: u32,
    /// When to decode, µs.
    window: std::ops::Range<u64>,
}

impl Listening {
    pub(super) fn new(codec: CodecKind, sweep: Option<Sweep>) -> Self {
        let decoder = match codec {
            CodecKind::Pcmu => Decoding::G711(Law::Mu),
            CodecKind::Pcma => Decoding::G711(Law::A),
            other => Decoding::Other(Box::new(Decoder::new(other))),
        };
        let markers = sweep.map(Watch::new);
        Self { codec, decoder, audible: false, packets: 0, gap: true, markers }
    }

    /// Goes on with what was heard before, in another codec.
    pub(super) fn replace(&mut self, mut next: Self) {
        next.audible = self.audible;
        next.markers = self.markers.take();
        *self = next;
    }

    pub(super) fn codec(&self) -> CodecKind {
        self.codec
    }

    pub(super) fn is_audible(&self) -> bool {
        self.audible
    }

    /// A marker will be sent at `at_us`, in [`MARKER_AHEAD`] frames: what comes is to be decoded from
    /// the silence before it on.
    pub(super) fn marker_comes(&mut self, at_us: u64) {
        if let Some(watch) = &mut self.markers {
            watch.expect(at_us);
        }
    }

    /// A marker was sent.
    pub(super) fn marker_sent(&mut self, at_us: u64) {
        if let Some(watch) = &mut self.markers {
            watch.sent(at_us);
        }
    }

    /// Takes an audio packet that came in order, `missing` packets after the one before it.
    pub(super) fn packet(
        &mut self,
        arrival_us: u64,
        missing: bool,
        payload: &[u8],
        pcm: &mut [i16],
    ) -> Found {
        self.packets += 1;
        if !self.wants(arrival_us) {
            self.gap = true;
            return Found::default();
        }
        let Some(samples) = self.decode(payload, pcm) else { return Found::default() };
        let sound = !self.audible && is_audible(&pcm[..samples]);
        self.audible |= sound;
        let gap = std::mem::take(&mut self.gap);
        let round_trip_us = self.markers.as_mut().and_then(|watch| {
            if gap {
                watch.finder.restart();
            } else if missing {
                watch.finder.interrupt();
            }
            let samples = to_finder_rate(&mut pcm[..samples], self.codec);
            watch.hear(arrival_us, &pcm[..samples])
        });
        Found { sound, round_trip_us }
    }

    fn wants(&self, arrival_us: u64) -> bool {
        if matches!(self.decoder, Decoding::G711(_)) {
            return !self.audible || self.markers.is_some();
        }
        let looks = self.packets < LOOKED_AT_FIRST || self.packets % LOOK_EVERY < LOOK_FOR;
        (!self.audible && looks)
            || self.markers.as_ref().is_some_and(|watch| watch.window.contains(&arrival_us))
    }

    fn decode(&mut self, payload: &[u8], pcm: &mut [i16]) -> Option<usize> {
        match &mut self.decoder {
            Decoding::G711(law) => Some(law.expand_slice(payload, pcm)),
            Decoding::Other(decoder) => decoder.decode(payload, pcm).ok(),
        }
    }
}

impl Watch {
    fn new(sweep: Sweep) -> Self {
        Self {
            finder: Finder::new(sweep),
            sent: [0; 4],
            count: 0,
            round_trip_us: None,
            missed: 0,
            window: 0..0,
        }
    }

    fn sent(&mut self, at_us: u64) {
        self.sent.rotate_right(1);
        self.sent[0] = at_us;
        self.count += 1;
    }

    fn expect(&mut self, at_us: u64) {
        self.missed += 1;
        if self.missed > MISSED_MAX {
            self.round_trip_us = None;
            if !(self.count + 1).is_multiple_of(RARELY) {
                return;
            }
        }
        // The first packets behind a gap bring a decoder back to its senses, and the silence before a
        // marker must be heard for what it is.
        self.window = match self.round_trip_us {
            Some(last) => (at_us + last).saturating_sub(LEAD_US)..at_us + last + LAG_US,
            None => at_us.saturating_sub(LEAD_US)..at_us + ANYWHERE_US,
        };
    }

    fn hear(&mut self, arrival_us: u64, pcm: &[i16]) -> Option<u64> {
        let at = self.finder.push(pcm)?;
        let heard_us = arrival_us as i64 + i64::from(at) * SAMPLE_US;
        let known = &self.sent[..self.sent.len().min(self.count as usize)];
        let round_trips = known.iter().map(|&sent| heard_us - sent as i64);
        let round_trip = round_trips.filter(|&us| us > -INEXACT_US).min()?.max(0) as u64;
        self.missed = 0;
        self.round_trip_us = Some(round_trip);
        Some(round_trip)
    }
}

fn is_audible(pcm: &[i16]) -> bool {
    level::energy(pcm) > AUDIBLE_ENERGY * pcm.len() as u64
}

/// A marker is placed a little too early at times, and must not be taken for the one before it.
const INEXACT_US: i64 = 2_000;
const SAMPLE_US: i64 = 1_000_000 / FINDER_HZ as i64;
/// −50 dBov: above the noise that lines and comfort noise have, below any voice.
const AUDIBLE_ENERGY: u64 = 104 * 104;
/// Packets of a codec other than G.711 that are looked at in any case, until there is sound: 5 s.
const LOOKED_AT_FIRST: u64 = 250;
/// After that, until there is sound, some in a row each second.
const LOOK_EVERY: u64 = 50;
const LOOK_FOR: u64 = 5;
/// Markers that may be missed before only every eighth is waited for.
const MISSED_MAX: u32 = 3;
const RARELY: u64 = 8;
/// How many frames ahead a marker is announced.
pub(super) const MARKER_AHEAD: u32 = 13;
/// Ahead of a marker that is expected.
const LEAD_US: u64 = 20_000 * MARKER_AHEAD as u64;
/// Behind it: the marker, and jitter.
const LAG_US: u64 = 250_000;
/// Behind one whose way is not known.
const ANYWHERE_US: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vox_codecs::codec::PCM_SAMPLES_MAX;

    use super::*;
    use crate::generator::speech::{Markers, Payloads, Speech};

    fn marked(codec: CodecKind) -> Arc<Payloads> {
        let speech = Speech::synthetic(30.0, 8_000);
        Speech::new(speech, 8_000, Some(Markers::default())).payloads(codec)
    }

    /// Hears what it said `delay_us` later; round trips, and how many packets were decoded.
    fn echo(codec: CodecKind, delay_us: u64, seconds: u64, returns: bool) -> (Vec<u64>, u64) {
        let payloads = marked(codec);
        let mut listening = Listening::new(codec, Some(Sweep::Rising));
        let (mut trips, mut decoded) = (vec![], 0);
        let mut pcm = [0; PCM_SAMPLES_MAX];
        let late = delay_us.div_ceil(20_000);
        for n in 0..seconds * 50 + late {
            let frames = u64::from(payloads.frames());
            let ahead = payloads.marker_in(((n + u64::from(MARKER_AHEAD)) % frames) as u32);
            if let Some(into) = ahead {
                listening.marker_comes(n * 20_000 + LEAD_US + u64::from(into));
            }
            if let Some(into) = payloads.marker_in((n % frames) as u32) {
                listening.marker_sent(n * 20_000 + u64::from(into));
            }
            let Some(heard) = n.checked_sub(late) else { continue };
            let heard = (heard % u64::from(payloads.frames())) as u32;
            let payload = if returns { payloads.frame(heard) } else { payloads.silence() };
            let arrival_us = (n - late) * 20_000 + delay_us;
            decoded += u64::from(listening.wants(arrival_us));
            trips.extend(listening.packet(arrival_us, false, payload, &mut pcm).round_trip_us);
        }
        (trips, decoded)
    }

    #[test]
    fn markers_give_the_round_trip_to_a_millisecond_in_every_codec() {
        use CodecKind::{G722, L16, Opus, Pcma, Pcmu};
        for codec in [Pcmu, Pcma, G722, Opus, L16] {
            for delay_us in [0, 7_300, 33_000, 250_000, 1_400_000] {
                let (trips, decoded) = echo(codec, delay_us, 60, true);
                assert!(trips.len() >= 14, "{codec:?} {delay_us}: {} of 15", trips.len());
                for trip in trips {
                    assert!(trip.abs_diff(delay_us) <= 1_000, "{codec:?} {delay_us}: {trip}");
                }
                if matches!(codec, G722 | Opus) {
                    assert!(decoded < 700, "{codec:?} {delay_us}: {decoded} of 3000 decoded");
                }
            }
        }
    }

    #[test]
    fn where_nothing_comes_back_little_is_decoded() {
        let (trips, decoded) = echo(CodecKind::Opus, 20_000, 300, false);
        assert!(trips.is_empty(), "{trips:?}");
        assert!(decoded < 4_000, "{decoded} of 15000");
        let (trips, _) = echo(CodecKind::Pcmu, 20_000, 60, false);
        assert!(trips.is_empty(), "{trips:?}");
    }

    #[test]
    fn the_first_sound_is_found_once() {
        let mut pcm = [0; PCM_SAMPLES_MAX];
        for codec in [CodecKind::Pcmu, CodecKind::G722, CodecKind::Opus] {
            let payloads = marked(codec);
            let mut listening = Listening::new(codec, None);
            let mut hear =
                |n: u64, payload| listening.packet(n * 20_000, false, payload, &mut pcm).sound;
            assert!((0..200).all(|n| !hear(n, payloads.silence())), "{codec:?}");
            let sounds = (0..200).filter(|&n| hear(200 + u64::from(n), payloads.frame(n))).count();
            assert_eq!(sounds, 1, "{codec:?}");
        }
    }
}
