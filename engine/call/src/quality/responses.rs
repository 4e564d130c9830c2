//! How long the caller waits for the agent.

use std::time::Duration;

use crate::MediaTime;

/// Response times of an agent elsewhere, of the latest [`Responses::KEPT`] responses.
///
/// A response is the time from the arrival of the caller's last packet with speech to the first
/// frame of the agent's audio above the speech level. Where the agent speaks already when the
/// caller ends, or the caller speaks again before it does, there is none.
///
/// *Own* is the engine's part in it: what the caller's packet waited in the jitter buffer, and the
/// agent's audio in the port. The second is known to 20 ms only, and counted in full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Responses {
    /// Responses of the whole call.
    pub count: u32,
    /// Mean.
    pub mean: Duration,
    /// Median.
    pub p50: Duration,
    /// 95th percentile.
    pub p95: Duration,
    /// Median of the engine's own part.
    pub own_p50: Duration,
    /// 95th percentile of the engine's own part.
    pub own_p95: Duration,
}

impl Responses {
    /// Responses that figures are made from: more than a call of ten minutes has.
    pub const KEPT: usize = 256;
}

/// One response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// From the end of the caller's speech to the agent's audio.
    pub after: Duration,
    /// The engine's own part.
    pub own: Duration,
}

/// Watches who speaks, tick by tick.
#[derive(Debug)]
pub(crate) struct ResponseClock {
    /// In microseconds: whole and own. Places for [`Responses::KEPT`]; the oldest gives way.
    responses: Vec<[u32; 2]>,
    count: u32,
    /// When the caller ended; the agent has not spoken since.
    waiting: Option<Ended>,
    /// When the agent began what it says now.
    onset: Option<(MediaTime, Duration)>,
    /// Ticks since the agent was last audible.
    quiet: u32,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    at: MediaTime,
    /// What the caller's packets waited in the jitter buffer.
    buffered: Duration,
}

impl ResponseClock {
    /// Allocates all it will ever need.
    pub(crate) fn new() -> Self {
        let responses = Vec::with_capacity(Responses::KEPT);
        Self { responses, count: 0, waiting: None, onset: None, quiet: PAUSE_TICKS }
    }

    /// The caller speaks.
    pub(crate) fn speech_started(&mut self) {
        self.waiting = None;
    }

    /// The caller's last speech was played at `at`, after `buffered` in the jitter buffer.
    pub(crate) fn speech_stopped(&mut self, at: MediaTime, buffered: Duration) {
        let ended = Ended { at, buffered };
        match self.onset {
            None => self.waiting = Some(ended),
            // So fast that speech was not known to be over.
            Some((onset, waited)) if onset > at => self.take(ended, onset, waited),
            // It speaks over the caller.
            Some(_) => self.waiting = None,
        }
    }

    /// A tick of the agent's, and how long what it says lay in the port, at most; `None` when it says
    /// nothing that can be heard.
    pub(crate) fn said(&mut self, now: MediaTime, waited: Option<Duration>) {
        let Some(waited) = waited else {
            self.quiet = self.quiet.saturating_add(1);
            if self.quiet >= PAUSE_TICKS {
                self.onset = None;
            }
            return;
        };
        self.quiet = 0;
        if self.onset.is_none() {
            self.onset = Some((now, waited));
        }
        if let Some(ended) = self.waiting.take() {
            self.take(ended, now, waited);
        }
    }

    /// The kept responses, oldest first.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Response> + '_ {
        let oldest = if self.responses.len() < Responses::KEPT {
            0
        } else {
            self.count as usize % Responses::KEPT
        };
        let (newer, older) = self.responses.split_at(oldest);
        older.iter().chain(newer).map(|micros| {
            let [after, own] = micros.map(|micros| Duration::from_micros(micros.into()));
            Response { after, own }
        })
    }

    pub(crate) fn summary(&self) -> Responses {
        let [after, own] = [0, 1].map(|column| Sorted::of(&self.responses, column));
        Responses {
            count: self.count,
            mean: after.mean(),
            p50: after.percentile(50),
            p95: after.percentile(95),
            own_p50: own.percentile(50),
            own_p95: own.percentile(95),
        }
    }

    fn take(&mut self, ended: Ended, onset: MediaTime, waited: Duration) {
        let after = onset.since(ended.at);
        // The port's part lies within the wait: what came earlier waited for the caller to end.
        let own = ended.buffered + waited.min(after);
        let response = [after + ended.buffered, own]
            .map(|time| u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
        if self.responses.len() < Responses::KEPT {
            self.responses.push(response);
        } else {
            self.responses[self.count as usize % Responses::KEPT] = response;
        }
        self.count = self.count.wrapping_add(1);
    }
}

/// Durations in microseconds, on the stack.
struct Sorted {
    micros: [u32; Responses::KEPT],
    len: usize,
}

impl Sorted {
    fn of(responses: &[[u32; 2]], column: usize) -> Self {
        let mut micros = [0; Responses::KEPT];
        let len = responses.len().min(micros.len());
        for (slot, response) in micros.iter_mut().zip(responses) {
            *slot = response[column];
        }
        micros[..len].sort_unstable();
        Self { micros, len }
    }

    /// The smallest that `percent` of all do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.len * percent).div_ceil(100);
        let micros = rank.checked_sub(1).map_or(0, |at| self.micros[at]);
        Duration::from_micros(micros.into())
    }

    fn mean(&self) -> Duration {
        let sum: u64 = self.micros[..self.len].iter().copied().map(u64::from).sum();
        Duration::from_micros(sum.checked_div(self.len as u64).unwrap_or(0))
    }
}

/// Silence of the agent that ends what it says; shorter ones are between its words.
const PAUSE_TICKS: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens in a tick, by letter: `s` the caller starts, `e` ends with this tick, `E` ended
    /// five ticks ago (hang-over); `a` the agent is audible, else silent.
    fn listen(script: &str) -> ResponseClock {
        let mut clock = ResponseClock::new();
        for (tick, letters) in script.split(' ').enumerate() {
            let now = MediaTime::from_micros(1_000_000 + 20_000 * tick as u64);
            for letter in letters.chars() {
                let at = |ticks: u64| MediaTime::from_micros(now.micros() - 20_000 * ticks);
                match letter {
                    's' => clock.speech_started(),
                    'e' => clock.speech_stopped(at(0), ms(12)),
                    'E' => clock.speech_stopped(at(5), ms(12)),
                    _ => {}
                }
            }
            let audible = letters.contains('a');
            clock.said(now, audible.then_some(ms(20)));
        }
        clock
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_response_is_from_the_callers_last_to_the_agents_first_audio() {
        let rows: [(&str, &[u64]); 9] = [
            ("s . e . . a a a", &[72]),
            ("s . . . . . . E a", &[132]),
            // Before the end of speech was known, but after it.
            ("s . . . . . . a E", &[92]),
            // Before the end of speech: it speaks over the caller.
            ("s . a a a a a a E a a", &[]),
            // The caller goes on before it comes.
            ("s e . s . e . a", &[52]),
            ("s e . s . .", &[]),
            // Its pauses are no new responses.
            ("s e a . . a . a", &[32]),
            ("s e a s e a", &[32]),
            ("a a a", &[]),
        ];
        for (script, expected) in rows {
            let clock = listen(script);
            let after: Vec<_> = clock.kept().map(|r| r.after.as_millis() as u64).collect();
            assert_eq!(after, expected, "{script:?}");
            assert_eq!(clock.summary().count as usize, expected.len());
        }
    }

    #[test]
    fn the_engines_own_part_is_no_more_than_the_whole() {
        let mut clock = ResponseClock::new();
        let at = MediaTime::from_micros;
        for (after, waited, own) in [(100, 20, 32), (100, 5_000, 112), (0, 0, 12)] {
            clock.speech_stopped(at(0), ms(12));
            let now = at(after * 1_000);
            clock.said(now, Some(ms(waited)));
            let last = clock.kept().last().unwrap();
            assert_eq!((last.after, last.own), (ms(after + 12), ms(own)));
            (0..PAUSE_TICKS).for_each(|_| clock.said(now, None));
        }
    }

    #[test]
    fn figures_are_of_the_latest_responses() {
        let mut clock = ResponseClock::new();
        assert_eq!(clock.summary(), Responses::default());
        for n in 0..1_000_u64 {
            let ended = Ended { at: MediaTime::from_micros(0), buffered: Duration::ZERO };
            clock.take(ended, MediaTime::from_micros(2 * n), Duration::from_micros(n));
        }
        let us = Duration::from_micros;
        let expected = Responses {
            count: 1_000,
            mean: us(1_743),
            p50: us(2 * 871),
            p95: us(2 * 987),
            own_p50: us(871),
            own_p95: us(987),
        };
        assert_eq!(clock.summary(), expected);
        let kept: Vec<_> = clock.kept().map(|response| response.own).collect();
        assert_eq!(kept, (744..1_000).map(us).collect::<Vec<_>>());
    }
}
