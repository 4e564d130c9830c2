use std::time::Duration;

use vox_rtp::RtpHeader;

use crate::network::{Fate, Profile};

/// A leg's bad network: decides about each packet, and keeps those that are under way.
#[derive(Debug)]
pub(super) struct Line {
    fate: Fate,
    bytes: Box<[[u8; DATAGRAM_BYTES]]>,
    lens: Box<[u16]>,
    free: Vec<u16>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journey {
    /// It never arrives.
    Lost,
    /// It arrives this much later; zero is at once.
    Arrives(Duration),
}

impl Line {
    /// `None` for a network that does nothing to packets.
    pub(super) fn new(profile: Profile) -> Option<Box<Self>> {
        let delay_max = profile.delay_max();
        if profile.loss == 0.0 && delay_max.is_zero() {
            return None;
        }
        // All packets of the longest delay, and some for one that left early.
        let packets = delay_max.as_micros().div_ceil(FRAME_US) as u16 + 3;
        let packets = if delay_max.is_zero() { 0 } else { packets };
        Some(Box::new(Self {
            fate: Fate::new(profile),
            bytes: vec![[0; DATAGRAM_BYTES]; usize::from(packets)].into(),
            lens: vec![0; usize::from(packets)].into(),
            free: (0..packets).rev().collect(),
        }))
    }

    /// How many packets can be under way.
    pub(super) fn capacity(&self) -> usize {
        self.lens.len()
    }

    /// Decides about the packet that leaves at `at` since the leg's start.
    pub(super) fn journey(&mut self, at: Duration) -> Journey {
        self.fate.arrival(at).map_or(Journey::Lost, |arrives| Journey::Arrives(arrives - at))
    }

    /// Keeps a packet that `write` makes (it gives its length); its place, or `None` when too many
    /// are under way.
    pub(super) fn keep(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> Option<u16> {
        let place = self.free.pop()?;
        let len = write(&mut self.bytes[usize::from(place)]);
        self.lens[usize::from(place)] = len as u16;
        Some(place)
    }

    /// Takes the packet at `place` off the way: it has arrived.
    pub(super) fn arrive(&mut self, place: u16) -> &[u8] {
        self.free.push(place);
        &self.bytes[usize::from(place)][..usize::from(self.lens[usize::from(place)])]
    }
}

/// A header, and Opus at more than any phone's rate.
pub(super) const DATAGRAM_BYTES: usize = RtpHeader::LEN + 1_276;
/// A talker's clock runs up to 1 % fast.
const FRAME_US: u128 = 19_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_network_is_none_and_others_hold_what_is_under_way() {
        for (profile, capacity) in [
            ("", None),
            ("drift=100ppm", None),
            ("loss=1%", Some(0)),
            ("delay=200ms", Some(14)),
            ("jitter=30ms", Some(5)),
        ] {
            let line = Line::new(profile.parse().unwrap());
            assert_eq!(line.map(|line| line.capacity()), capacity, "{profile}");
        }
    }

    #[test]
    fn packets_are_kept_until_they_arrive() {
        let mut line = Line::new("delay=20ms".parse().unwrap()).unwrap();
        let ms = Duration::from_millis;
        assert_eq!(line.journey(ms(40)), Journey::Arrives(ms(20)));
        let keep = |line: &mut Line, byte: u8| {
            line.keep(|out| {
                out[..3].fill(byte);
                3
            })
        };
        let places: Vec<_> = (0..5).map(|n| keep(&mut line, n).unwrap()).collect();
        assert_eq!(keep(&mut line, 9), None, "too many");
        assert_eq!(line.arrive(places[3]), [3; 3]);
        assert!(keep(&mut line, 9).is_some());
        assert_eq!(line.arrive(places[0]), [0; 3]);
    }
}
