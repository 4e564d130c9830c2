//! Who gets a call: the platform's rules, one for each way in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hosts::{Hosts, Worker};
use super::tally::Missed;
use crate::random::Random;

/// How calls find a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A SIP proxy or trunk goes round all workers; one that answers 486 or 503 is passed over for
    /// the next. A call is refused when all refuse.
    Sip,
    /// LiveKit's webhook: the Backend asks all hosts and takes the one with the most free slots
    /// (ties at random); nginx there goes round its workers. A worker that is full answers 429,
    /// which is never retried: the caller is hung up.
    Webhook,
    /// `/attach`, `/livekit/dialout`, `/livekit/widget`: the host as for the webhook, but nginx
    /// tries the host's next worker on 429.
    Attach,
    /// Telephony sockets: their provider goes round the hosts without knowing their load; nginx
    /// there gives the socket to the worker with the fewest (`least_conn`, `max_conns`).
    Socket,
    /// LiveKit's worker protocol: at random among workers with room, by 1 less their reported load
    /// (0.7 × slots taken). When nobody has room, the caller rings until a worker's watcher, which
    /// looks once a second at callers who rang for 2 s, has a slot.
    Jobs,
}

/// What becomes of a call that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// This worker takes it.
    Worker(Worker),
    /// It is on its way to this host.
    Host(usize),
    /// It rings until somebody looks for it.
    Waits,
    /// Nobody takes it.
    Missed(Missed),
}

/// What the rules remember and draw.
#[derive(Debug)]
pub(super) struct Rules {
    way: Way,
    random: Random,
    next_worker: usize,
    next_host: usize,
}

impl Rules {
    pub(super) fn new(way: Way, seed: u64) -> Self {
        Self { way, random: Random::nth(seed, RULES_STREAM), next_worker: 0, next_host: 0 }
    }

    /// A call comes.
    pub(super) fn choose(&mut self, hosts: &Hosts) -> Choice {
        match self.way {
            Way::Sip => self.around_workers(hosts),
            Way::Webhook | Way::Attach => self.most_free(hosts),
            Way::Socket => self.around_hosts(hosts),
            Way::Jobs => self.by_load(hosts).map_or(Choice::Waits, Choice::Worker),
        }
    }

    /// A call reaches the host that was chosen for it.
    pub(super) fn land(&mut self, host: usize, hosts: &mut Hosts) -> Choice {
        if !hosts.takes_calls(host) {
            return Choice::Missed(Missed::HostGone);
        }
        let tries = if self.way == Way::Attach { hosts.workers_per_host() } else { 1 };
        for _ in 0..tries {
            let worker = hosts.next_in_turn(host);
            if hosts.free_of(worker) > 0 {
                return Choice::Worker(worker);
            }
        }
        match hosts.free_on(host) {
            0 => Choice::Missed(Missed::HostFull),
            _ => Choice::Missed(Missed::WorkerFull),
        }
    }

    /// The watcher looks for somebody with a slot; the emptier look first.
    pub(super) fn rescue(&self, hosts: &Hosts) -> Option<Worker> {
        let free = hosts.workers().filter(|worker| hosts.free_of(*worker) > 0);
        free.max_by_key(|worker| hosts.free_of(*worker))
    }

    /// When the watcher has found a caller who came just now: it looks once a second.
    pub(super) fn watcher_delay(&mut self) -> f64 {
        WATCHED_AFTER_SECONDS + self.random.unit() * WATCH_SECONDS
    }

    fn around_workers(&mut self, hosts: &Hosts) -> Choice {
        let all = hosts.worker_count();
        for _ in 0..all {
            let worker = hosts.worker(self.next_worker);
            self.next_worker = (self.next_worker + 1) % all;
            if hosts.free_of(worker) > 0 {
                return Choice::Worker(worker);
            }
        }
        Choice::Missed(Missed::AllFull)
    }

    fn around_hosts(&mut self, hosts: &Hosts) -> Choice {
        for _ in 0..hosts.count() {
            let host = self.next_host;
            self.next_host = (self.next_host + 1) % hosts.count();
            if hosts.takes_calls(host) {
                let workers = hosts.workers_of(host);
                let emptiest = workers.max_by_key(|worker| hosts.free_of(*worker));
                let emptiest = emptiest.filter(|worker| hosts.free_of(*worker) > 0);
                return emptiest.map_or(Choice::Missed(Missed::HostFull), Choice::Worker);
            }
        }
        Choice::Missed(Missed::AllFull)
    }

    fn most_free(&mut self, hosts: &Hosts) -> Choice {
        let (mut best, mut most, mut ties) = (None, 0, 0);
        for host in 0..hosts.count() {
            let free = hosts.free_on(host);
            if free > most {
                (best, most, ties) = (Some(host), free, 1);
            } else if free == most && free > 0 {
                ties += 1;
                // Each of the equals is as likely: the nth replaces the one before once in n.
                if self.random.unit() * f64::from(ties) < 1.0 {
                    best = Some(host);
                }
            }
        }
        best.map_or(Choice::Missed(Missed::AllFull), Choice::Host)
    }

    fn by_load(&mut self, hosts: &Hosts) -> Option<Worker> {
        let weight = |worker: Worker| match hosts.free_of(worker) {
            0 => 0.0,
            free => 1.0 - LOAD_FULL * (1.0 - f64::from(free) / f64::from(hosts.calls_per_worker())),
        };
        let total: f64 = hosts.workers().map(weight).sum();
        let mut left = self.random.unit() * total;
        let mut last = None;
        for worker in hosts.workers() {
            let weight = weight(worker);
            if weight > 0.0 {
                last = Some(worker);
                left -= weight;
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sip, Self::Webhook, Self::Attach, Self::Socket, Self::Jobs];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Webhook => "webhook",
            Self::Attach => "attach",
            Self::Socket => "socket",
            Self::Jobs => "jobs",
        }
    }

    /// The rule, in a sentence.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Sip => "round all workers; 486 or 503 sends the call on to the next",
            Self::Webhook => {
                "host with the most free slots, its workers in turn; 429 is not retried"
            }
            Self::Attach => "host with the most free slots, its workers in turn until one takes it",
            Self::Socket => "round all hosts, there the worker with the fewest sockets; no retry",
            Self::Jobs => {
                "at random among workers with room, by 1 less load; the watcher finds who is left"
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|way| way.name() == text);
        found.ok_or_else(|| format!("{text:?}: expected one of {names}"))
    }
}

/// A worker reports this times its share of taken slots as its load, so that LiveKit, which gives
/// nothing to those at 0.7, fills all slots.
const LOAD_FULL: f64 = 0.7;
/// The watcher looks for callers who rang so long.
const WATCHED_AFTER_SECONDS: f64 = 2.0;
/// And looks so often.
pub(super) const WATCH_SECONDS: f64 = 1.0;
const RULES_STREAM: u64 = 1;
