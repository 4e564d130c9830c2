//! The events, in their order.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use super::hosts::{Hosts, State, Worker};
use super::tally::{FleetReport, Lost, Missed, Tally};
use super::traffic::Call;
use super::way::{Choice, Rules, WATCH_SECONDS};
use super::{Deploys, Failures, Fleet};
use crate::random::Random;

/// Runs `calls`, which are sorted by when they come, through `fleet`; those that come before
/// `warm_up_seconds` count nowhere. Ends when the last one has come.
pub fn simulate(fleet: &Fleet, calls: &[Call], warm_up_seconds: f64) -> FleetReport {
    let mut run = Run::new(fleet, warm_up_seconds);
    for call in calls {
        run.until(call.at);
        run.comes(*call);
    }
    let end = run.now;
    let areas = run.hosts.areas(end);
    run.tally.report(fleet, calls, end, areas)
}

#[derive(Debug)]
struct Run<'a> {
    fleet: &'a Fleet,
    hosts: Hosts,
    rules: Rules,
    random: Random,
    tally: Tally,
    due: BinaryHeap<Reverse<Due>>,
    scheduled: u64,
    now: f64,
    /// Hosts that this deploy has not reached yet.
    to_deploy: VecDeque<usize>,
    /// Hosts that are out because of it.
    in_deploy: Vec<usize>,
}

/// Something that will happen.
#[derive(Debug)]
struct Due {
    at: f64,
    /// Of two at the same time the one scheduled first is first.
    nth: u64,
    what: Event,
}

#[derive(Debug)]
enum Event {
    /// A call reaches the host that was chosen for it.
    Lands {
        host: usize,
        hold: f64,
        batch: Option<u32>,
    },
    /// The watcher looks for a caller who rings since then.
    Watched {
        since: f64,
        hold: f64,
        batch: Option<u32>,
    },
    /// A call ends, if it was not lost before.
    Ends {
        worker: Worker,
        life: u32,
    },
    Fails(usize),
    Repaired(usize),
    DeployBegins,
    /// Calls of this life of the host have had their time.
    DrainEnds {
        host: usize,
        life: u32,
    },
    Replaced(usize),
}

impl<'a> Run<'a> {
    fn new(fleet: &'a Fleet, warm_up_seconds: f64) -> Self {
        let mut run = Self {
            fleet,
            hosts: Hosts::new(fleet),
            rules: Rules::new(fleet.way, fleet.seed),
            random: Random::nth(fleet.seed, FAILURE_STREAM),
            tally: Tally::new(warm_up_seconds),
            due: BinaryHeap::new(),
            scheduled: 0,
            now: 0.0,
            to_deploy: VecDeque::new(),
            in_deploy: Vec::new(),
        };
        for host in 0..fleet.hosts {
            run.schedule_failure(host);
        }
        if let Some(deploys) = fleet.deploys {
            run.schedule(deploys.every_seconds, Event::DeployBegins);
        }
        run
    }

    /// Lets happen what is due before `time`.
    fn until(&mut self, time: f64) {
        while let Some(Reverse(due)) = self.due.peek()
            && due.at <= time
        {
            let Some(Reverse(due)) = self.due.pop() else { break };
            self.advance(due.at);
            self.happen(due.what);
        }
        self.advance(time);
    }

    fn advance(&mut self, time: f64) {
        if self.tally.begins_within(self.now, time) {
            self.hosts.start_counting(self.tally.begin());
        }
        self.tally.pass(self.now, time, self.hosts.calls(), self.hosts.slots_up());
        self.now = time;
    }

    fn comes(&mut self, call: Call) {
        let batch = self.tally.placed(self.now);
        match self.rules.choose(&self.hosts) {
            Choice::Host(host) => {
                let lands = Event::Lands { host, hold: call.hold, batch };
                self.schedule(self.fleet.dispatch_seconds, lands);
            }
            Choice::Waits => {
                let delay = self.rules.watcher_delay();
                self.schedule(delay, Event::Watched { since: self.now, hold: call.hold, batch });
            }
            choice => self.settle(choice, call.hold, batch),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Lands { host, hold, batch } => {
                let choice = self.rules.land(host, &mut self.hosts);
                self.settle(choice, hold, batch);
            }
            Event::Watched { since, hold, batch } => self.watched(since, hold, batch),
            Event::Ends { worker, life } => {
                let ended = self.hosts.give_back(worker, life, self.now);
                if ended && self.hosts.state(worker.host) == State::Draining {
                    self.replace_if_empty(worker.host);
                }
            }
            Event::Fails(host) => self.fails(host),
            Event::Repaired(host) => self.is_back(host),
            Event::DeployBegins => self.deploy_begins(),
            Event::DrainEnds { host, life } => self.drain_ends(host, life),
            Event::Replaced(host) => self.is_back(host),
        }
    }

    fn settle(&mut self, choice: Choice, hold: f64, batch: Option<u32>) {
        match choice {
            Choice::Worker(worker) => {
                let life = self.hosts.take(worker, self.now);
                self.tally.taken(batch, self.hosts.calls());
                self.schedule(hold, Event::Ends { worker, life });
            }
            Choice::Missed(why) => self.tally.missed(self.now, batch, why),
            Choice::Host(_) | Choice::Waits => {}
        }
    }

    fn watched(&mut self, since: f64, hold: f64, batch: Option<u32>) {
        let waited = self.now - since;
        if waited > self.fleet.patience_seconds {
            return self.tally.missed(self.now, batch, Missed::GaveUp);
        }
        match self.rules.rescue(&self.hosts) {
            Some(worker) => {
                self.tally.waited(batch, waited);
                self.settle(Choice::Worker(worker), hold, batch);
            }
            None => self.schedule(WATCH_SECONDS, Event::Watched { since, hold, batch }),
        }
    }

    fn fails(&mut self, host: usize) {
        let Some(Failures { repair_seconds, .. }) = self.fleet.failures else { return };
        if self.hosts.state(host) == State::Down {
            // It is being replaced: the new one fails another time.
            return self.schedule_failure(host);
        }
        let lost = self.hosts.lose_calls(host, State::Down, self.now);
        self.tally.lost(self.now, Lost::HostFailed, lost);
        let repair = self.random.exponential() * repair_seconds;
        self.schedule(repair, Event::Repaired(host));
        self.schedule_failure_after(host, repair);
    }

    fn is_back(&mut self, host: usize) {
        self.hosts.set(host, State::Up);
        if let Some(at) = self.in_deploy.iter().position(|out| *out == host) {
            self.in_deploy.swap_remove(at);
            self.deploy_more();
        }
    }

    /// One that is not done is not overtaken by the next.
    fn deploy_begins(&mut self) {
        let Some(Deploys { every_seconds, .. }) = self.fleet.deploys else { return };
        if self.to_deploy.is_empty() && self.in_deploy.is_empty() {
            self.tally.deploy(self.now);
            self.to_deploy.extend(0..self.hosts.count());
            self.deploy_more();
        }
        self.schedule(every_seconds, Event::DeployBegins);
    }

    fn deploy_more(&mut self) {
        let Some(Deploys { hosts_at_once, drain_seconds, .. }) = self.fleet.deploys else { return };
        while self.in_deploy.len() < hosts_at_once
            && let Some(host) = self.to_deploy.pop_front()
        {
            // One that is down comes back as the new version.
            if self.hosts.state(host) == State::Up {
                self.in_deploy.push(host);
                self.hosts.set(host, State::Draining);
                let life = self.hosts.life(host);
                self.schedule(drain_seconds, Event::DrainEnds { host, life });
                self.replace_if_empty(host);
            }
        }
    }

    fn replace_if_empty(&mut self, host: usize) {
        if self.hosts.is_empty(host) {
            self.drain_ends(host, self.hosts.life(host));
        }
    }

    fn drain_ends(&mut self, host: usize, life: u32) {
        let Some(Deploys { replace_seconds, .. }) = self.fleet.deploys else { return };
        if self.hosts.state(host) == State::Draining && self.hosts.life(host) == life {
            let cut = self.hosts.lose_calls(host, State::Down, self.now);
            self.tally.lost(self.now, Lost::DeployCut, cut);
            self.schedule(replace_seconds, Event::Replaced(host));
        }
    }

    fn schedule_failure(&mut self, host: usize) {
        self.schedule_failure_after(host, 0.0);
    }

    fn schedule_failure_after(&mut self, host: usize, seconds: f64) {
        if let Some(Failures { mtbf_seconds, .. }) = self.fleet.failures {
            let later = seconds + self.random.exponential() * mtbf_seconds;
            self.schedule(later, Event::Fails(host));
        }
    }

    fn schedule(&mut self, after: f64, what: Event) {
        self.scheduled += 1;
        self.due.push(Reverse(Due { at: self.now + after, nth: self.scheduled, what }));
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.nth.cmp(&other.nth))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

const FAILURE_STREAM: u64 = 4;
