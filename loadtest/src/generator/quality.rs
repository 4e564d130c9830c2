use std::time::Duration;

use vox_codecs::CodecKind;

use super::report::LateBuckets;
use crate::measure;
use crate::media::Counts;

/// Conversational quality of what a leg heard: as a phone with the best constant playout delay would
/// have played it. A longer one misses fewer packets and makes the conversation slower; the E-model
/// weighs both.
///
/// Mouth to ear is half the round trip (of the network and the peer; zero where it is not known), the
/// packet's own 20 ms, and the playout delay.
pub(super) fn mos(
    codec: CodecKind,
    heard: &Counts,
    late: &LateBuckets,
    round_trip: Option<Duration>,
) -> f64 {
    if heard.expected == 0 {
        return 1.0;
    }
    let on_the_way = round_trip.unwrap_or_default() / 2 + FRAME;
    let with = |playout: Duration| {
        let missed = heard.lost() + late.later_than(playout);
        let loss = missed as f64 / heard.expected as f64;
        measure::conversational_mos(codec, loss.min(1.0), on_the_way + playout)
    };
    let playouts = late.iter().map(|(upper, _)| upper).filter(|&upper| upper <= PLAYOUT_MAX);
    playouts.map(with).fold(with(Duration::ZERO), f64::max)
}

const FRAME: Duration = Duration::from_millis(20);
/// No phone waits longer.
const PLAYOUT_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_falls_with_loss_with_delay_and_with_jitter() {
        let counts =
            |lost: u64| Counts { expected: 1_000, received: 1_000 - lost, ..Counts::default() };
        let ms = Duration::from_millis;
        let spread = |up_to_us: u64| {
            let mut late = LateBuckets::default();
            (0..1_000).for_each(|n| late.record(up_to_us * n / 1_000));
            late
        };
        // Lost, jitter in µs, round trip, and the score in tenths.
        for (lost, jitter_us, round_trip, expected) in [
            (0, 0, None, 44),
            (0, 0, Some(ms(40)), 44),
            (10, 0, None, 43),
            (50, 0, None, 39),
            (0, 30_000, Some(ms(40)), 44),
            (0, 200_000, None, 42),
            (0, 0, Some(ms(400)), 43),
            (0, 0, Some(ms(1_000)), 32),
            (1_000, 0, None, 12),
        ] {
            let heard = counts(lost);
            let score = mos(CodecKind::Pcmu, &heard, &spread(jitter_us), round_trip);
            let row = (lost, jitter_us, round_trip);
            assert_eq!((score * 10.0).round() as i32, expected, "{row:?}: {score:.3}");
        }
        let nothing = mos(CodecKind::Pcmu, &Counts::default(), &LateBuckets::default(), None);
        assert_eq!(nothing, 1.0);
    }
}
