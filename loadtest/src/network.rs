//! A seeded bad network in user space: what goes in comes out later, twice, or not at all.
//!
//! Sans-IO: [`Network::send`] takes a datagram and the time, [`Network::deliver`] hands out what
//! has arrived. The same seed and the same sends give the same deliveries. Who keeps its packets
//! elsewhere asks [`Fate`] only.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crate::random::Random;

/// How bad the network is. Parsed from
/// `loss=5%,delay=80ms,jitter=40ms,burst=500ms@8s,drift=200ppm,seed=7`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Share of packets lost at random, 0..=1.
    pub loss: f64,
    /// Each packet is delayed by this much ...
    pub delay: Duration,
    /// ... and by up to this much more, uniformly; packets may overtake each other.
    pub jitter: Duration,
    /// A stall: what is sent from this time on ...
    pub burst_at: Duration,
    /// ... for this long, arrives together at its end.
    pub burst: Duration,
    /// Clock drift of the talker, in parts per million; positive is fast.
    pub drift_ppm: i32,
    /// Seed of every random choice.
    pub seed: u64,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            loss: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            burst_at: Duration::ZERO,
            burst: Duration::ZERO,
            drift_ppm: 0,
            seed: 1,
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut profile = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("{part:?}: expected key=value"))?;
            match key {
                "loss" => profile.loss = percent(value)?,
                "delay" => profile.delay = duration(value)?,
                "jitter" => profile.jitter = duration(value)?,
                "burst" => {
                    let (length, at) = value.split_once('@').ok_or_else(|| {
                        format!("burst={value}: expected LENGTH@START, as in 500ms@8s")
                    })?;
                    (profile.burst, profile.burst_at) = (duration(length)?, duration(at)?);
                }
                "drift" => profile.drift_ppm = ppm(value)?,
                "seed" => {
                    profile.seed =
                        value.parse().map_err(|_| format!("seed={value}: expected a number"))?
                }
                _ => {
                    return Err(format!(
                        "{key}: expected one of loss, delay, jitter, burst, drift, seed"
                    ));
                }
            }
        }
        Ok(profile)
    }
}

fn percent(value: &str) -> Result<f64, String> {
    let number = value.strip_suffix('%').and_then(|n| n.parse::<f64>().ok());
    number
        .filter(|n| (0.0..=100.0).contains(n))
        .map(|n| n / 100.0)
        .ok_or_else(|| format!("loss={value}: expected a percentage, as in 5%"))
}

fn duration(value: &str) -> Result<Duration, String> {
    let parsed = match value.strip_suffix("ms") {
        Some(ms) => ms.parse::<f64>().ok().map(|ms| ms / 1e3),
        None => value.strip_suffix('s').and_then(|s| s.parse::<f64>().ok()),
    };
    parsed
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{value}: expected a duration, as in 40ms or 2s"))
}

fn ppm(value: &str) -> Result<i32, String> {
    let number = value.strip_suffix("ppm").and_then(|n| n.parse::<i32>().ok());
    number.filter(|n| n.abs() <= 10_000).ok_or_else(|| {
        format!("drift={value}: expected parts per million up to 10000, as in 200ppm")
    })
}

impl Profile {
    /// The longest that a packet can be under way.
    pub fn delay_max(&self) -> Duration {
        self.delay + self.jitter + self.burst
    }

    /// A packet time of the talker's clock, when a true one lasts `frame`.
    pub fn drifted(&self, frame: Duration) -> Duration {
        frame.mul_f64(1.0 - f64::from(self.drift_ppm) * 1e-6)
    }
}

/// Decides what becomes of each packet; keeps none.
#[derive(Debug)]
pub struct Fate {
    profile: Profile,
    random: Random,
    lost: u64,
}

impl Fate {
    /// The same profile and the same times give the same fates.
    pub fn new(profile: Profile) -> Self {
        Self { profile, random: Random::seeded(profile.seed), lost: 0 }
    }

    /// When a packet that is sent at `now` (since the start of the call) arrives; `None` for never.
    pub fn arrival(&mut self, now: Duration) -> Option<Duration> {
        // Both numbers are always drawn, so that loss and jitter do not shift each other's traces.
        let (chance, jitter) = (self.random.unit(), self.random.unit());
        if chance < self.profile.loss {
            self.lost += 1;
            return None;
        }
        let burst_end = self.profile.burst_at + self.profile.burst;
        let leaves =
            if (self.profile.burst_at..burst_end).contains(&now) { burst_end } else { now };
        Some(leaves + self.profile.delay + self.profile.jitter.mul_f64(jitter))
    }

    /// Packets that were lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// A network of one direction.
#[derive(Debug)]
pub struct Network {
    fate: Fate,
    /// By delivery time, then by order of sending.
    under_way: BTreeMap<(Duration, u64), Vec<u8>>,
    sent: u64,
}

impl Network {
    /// An empty network.
    pub fn new(profile: Profile) -> Self {
        Self { fate: Fate::new(profile), under_way: BTreeMap::new(), sent: 0 }
    }

    /// Takes a datagram at `now` (since the start of the call).
    pub fn send(&mut self, now: Duration, datagram: &[u8]) {
        self.sent += 1;
        if let Some(arrives) = self.fate.arrival(now) {
            self.under_way.insert((arrives, self.sent), datagram.to_vec());
        }
    }

    /// The next datagram that has arrived by `now`.
    pub fn deliver(&mut self, now: Duration) -> Option<Vec<u8>> {
        let entry = self.under_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// Datagrams that were lost.
    pub fn lost(&self) -> u64 {
        self.fate.lost()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn run(profile: &str, packets: u32) -> (Vec<(Duration, u8)>, u64) {
        let mut network = Network::new(profile.parse().unwrap());
        for n in 0..packets {
            network.send(FRAME * n, &[n as u8]);
        }
        let mut out = Vec::new();
        while let Some(at) = network.next_arrival() {
            while let Some(datagram) = network.deliver(at) {
                out.push((at, datagram[0]));
            }
        }
        (out, network.lost())
    }

    #[test]
    fn a_perfect_network_delivers_everything_at_once_and_in_order() {
        let (out, lost) = run("", 100);
        assert_eq!(lost, 0);
        assert!(out.iter().enumerate().all(|(n, got)| *got == (FRAME * n as u32, n as u8)));
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_and_about_as_many_as_asked() {
        let (first, lost) = run("loss=5%,seed=7", 2_000);
        assert_eq!(first, run("loss=5%,seed=7", 2_000).0);
        assert_ne!(first, run("loss=5%,seed=8", 2_000).0);
        assert!((60..140).contains(&lost), "{lost} of 2000 lost");
    }

    #[test]
    fn a_burst_holds_packets_back_and_loses_none() {
        let (out, lost) = run("burst=500ms@400ms", 100);
        assert_eq!((out.len(), lost), (100, 0));
        let held = out.iter().filter(|(at, _)| *at == Duration::from_millis(900)).count();
        assert_eq!(held, 26, "25 held back, and the one that was sent then");
    }

    #[test]
    fn jitter_delays_by_up_to_its_size() {
        let (out, _) = run("jitter=40ms", 100);
        let delay = |&(at, n): &(Duration, u8)| at - FRAME * u32::from(n);
        assert!(out.iter().all(|got| delay(got) <= Duration::from_millis(40)));
        assert!(out.iter().any(|got| delay(got) > Duration::from_millis(30)));
    }

    #[test]
    fn a_delay_is_the_same_for_all() {
        let (out, _) = run("delay=80ms", 100);
        let mut delays = out.iter().map(|(at, n)| *at - FRAME * u32::from(*n));
        assert!(delays.all(|delay| delay == Duration::from_millis(80)));
    }

    #[test]
    fn a_wrong_profile_says_what_was_expected() {
        for (text, expected) in [
            ("loss=5", "expected a percentage"),
            ("loss=500%", "expected a percentage"),
            ("jitter=fast", "expected a duration"),
            ("delay=80", "expected a duration"),
            ("burst=500ms", "expected LENGTH@START"),
            ("drift=2", "expected parts per million"),
            ("rain=1", "expected one of loss"),
            ("loss", "expected key=value"),
        ] {
            let error = text.parse::<Profile>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
