//! Whether the generator was the limit: then nothing is said about the target.

use std::time::Duration;

use super::course::Course;
use super::ledger::Books;
use crate::results::{Distribution, GeneratorCost};

/// What the generator may be guilty of before a run says nothing about the target any more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Lateness that 99.9 % of its packets keep, ms.
    pub send_late_p999_ms: f64,
    /// Share of packets that its kernel did not take, or that were not made in time.
    pub send_dropped: f64,
    /// Share of packets that came and found no buffer.
    pub receive_dropped: f64,
    /// Share of the time in which a media thread wanted to run and could not.
    pub waiting: f64,
    /// Share of a core that a media thread may use: above it there is nothing left for bursts.
    pub thread_cores: f64,
    /// Lateness that 99 % of its calls keep when they are placed, ms.
    pub place_late_p99_ms: f64,
}

/// The limits that hold.
pub const LIMITS: Limits = Limits {
    send_late_p999_ms: 5.0,
    send_dropped: 1e-4,
    receive_dropped: 1e-4,
    waiting: 0.1,
    thread_cores: 0.95,
    place_late_p99_ms: 100.0,
};

/// How it was noticed that the generator was the limit; `None` when it was not.
pub(super) fn limit(cost: &GeneratorCost, course: &Course, books: &Books) -> Option<String> {
    died(course)
        .or_else(|| no_room(books))
        .or_else(|| dropped(cost, course))
        .or_else(|| late(cost))
        .or_else(|| starved(cost))
}

fn died(course: &Course) -> Option<String> {
    let died = course.threads.iter().any(|thread| thread.died);
    died.then(|| "one of its media threads died".into())
}

fn no_room(books: &Books) -> Option<String> {
    let calls = books.no_leg;
    (calls > 0).then(|| format!("it had no room for {calls} of its own calls"))
}

fn dropped(cost: &GeneratorCost, course: &Course) -> Option<String> {
    let share = |part: u64, of: u64| part as f64 / (part + of).max(1) as f64;
    let (sent, received) = (course.sum.sent, course.sum.received);
    let said = |part: u64, of: u64, limit: f64, what: &str| {
        let (found, limit) = (share(part, of) * 100.0, limit * 100.0);
        (found > limit).then(|| format!("{found:.3} % of {what}; {limit:.2} % may be"))
    };
    let not_sent = "its packets were not sent in time or not taken by its own kernel";
    let not_heard = "the packets to it found no buffer in its own kernel";
    said(cost.send_dropped, sent, LIMITS.send_dropped, not_sent)
        .or_else(|| said(cost.receive_dropped, received, LIMITS.receive_dropped, not_heard))
}

fn late(cost: &GeneratorCost) -> Option<String> {
    let beyond = |times: &Distribution, found: f64, limit: f64| times.count > 0 && found > limit;
    let (sends, calls) = (&cost.send_late_ms, &cost.place_late_ms);
    let (send, call) = (LIMITS.send_late_p999_ms, LIMITS.place_late_p99_ms);
    if beyond(sends, sends.p999, send) {
        let found = sends.p999;
        return Some(format!(
            "0.1 % of its packets left {found:.1} ms late or later; {send} ms may be"
        ));
    }
    beyond(calls, calls.p99, call).then(|| {
        format!("1 % of its calls were placed {:.0} ms late or later; {call} ms may be", calls.p99)
    })
}

fn starved(cost: &GeneratorCost) -> Option<String> {
    let thread = cost.media.iter().max_by(|a, b| a.waiting_cores.total_cmp(&b.waiting_cores))?;
    let waited = thread.waiting_cores;
    if waited > LIMITS.waiting {
        let (found, limit) = (waited * 100.0, LIMITS.waiting * 100.0);
        return Some(format!(
            "a media thread waited {found:.0} % of the time for a core that others used; {limit} % may be"
        ));
    }
    let thread = cost.media.iter().max_by(|a, b| a.cpu_cores.total_cmp(&b.cpu_cores))?;
    let (found, limit) = (thread.cpu_cores * 100.0, LIMITS.thread_cores * 100.0);
    (thread.cpu_cores > LIMITS.thread_cores)
        .then(|| format!("a media thread used {found:.0} % of its core; {limit} % may be"))
}

/// Cores from a time used within another.
pub(super) fn cores(used: Duration, within: Duration) -> f64 {
    used.as_secs_f64() / within.as_secs_f64().max(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::ThreadCost;

    #[test]
    fn each_way_of_being_the_limit_is_said_in_a_sentence() {
        let fine = || {
            let media = vec![ThreadCost { core: None, cpu_cores: 0.5, waiting_cores: 0.01 }];
            let send_late_ms = Distribution { count: 9, p999: 1.2, ..Distribution::default() };
            let cost = GeneratorCost { media, send_late_ms, ..GeneratorCost::default() };
            let mut course = Course::default();
            (course.sum.sent, course.sum.received) = (100_000, 100_000);
            (cost, course, Books::default())
        };
        let (cost, course, books) = fine();
        assert_eq!(limit(&cost, &course, &books), None);
        type Spoil = fn(&mut GeneratorCost, &mut Course, &mut Books);
        let rows: [(Spoil, &str); 7] = [
            (|cost, _, _| cost.send_late_ms.p999 = 7.31, "packets left 7.3 ms late"),
            (|cost, _, _| cost.send_dropped = 20, "0.020 % of its packets were not sent in time"),
            (|cost, _, _| cost.receive_dropped = 300, "0.299 % of the packets to it"),
            (|cost, _, _| cost.media[0].waiting_cores = 0.4, "waited 40 % of the time"),
            (|cost, _, _| cost.media[0].cpu_cores = 0.99, "used 99 % of its core"),
            (
                |cost, _, _| {
                    cost.place_late_ms =
                        Distribution { count: 9, p99: 420.0, ..Distribution::default() };
                },
                "1 % of its calls were placed 420 ms late",
            ),
            (|_, _, books| books.no_leg = 3, "no room for 3 of its own calls"),
        ];
        for (spoil, says) in rows {
            let (mut cost, mut course, mut books) = fine();
            spoil(&mut cost, &mut course, &mut books);
            let said = limit(&cost, &course, &books).unwrap_or_default();
            assert!(said.contains(says), "expected {says:?}, said {said:?}");
        }
    }
}
