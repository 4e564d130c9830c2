//! Hosts, their workers, and the slots of these.

use super::Fleet;

/// A worker, by host and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Its host.
    pub host: usize,
    /// In `0..workers_per_host`.
    pub number: usize,
}

/// What a host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It takes calls.
    Up,
    /// It ends those it has.
    Draining,
    /// It is gone: failed, or being replaced.
    Down,
}

/// All hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    calls_per_worker: u32,
    workers_per_host: usize,
    hosts: Vec<Host>,
    /// Calls that are up.
    calls: u64,
}

#[derive(Debug)]
struct Host {
    state: State,
    /// Grows when its calls are lost at once: what was to end later is over already.
    life: u32,
    taken: Vec<u32>,
    /// Whose turn it is.
    turn: usize,
    /// Call seconds so far, up to `since`.
    area: f64,
    since: f64,
}

impl Hosts {
    pub(super) fn new(fleet: &Fleet) -> Self {
        let host = || Host {
            state: State::Up,
            life: 0,
            taken: vec![0; fleet.workers_per_host],
            turn: 0,
            area: 0.0,
            since: 0.0,
        };
        Self {
            calls_per_worker: fleet.calls_per_worker,
            workers_per_host: fleet.workers_per_host,
            hosts: (0..fleet.hosts).map(|_| host()).collect(),
            calls: 0,
        }
    }

    pub(super) fn take(&mut self, worker: Worker, now: f64) -> u32 {
        let host = &mut self.hosts[worker.host];
        host.weigh(now);
        host.taken[worker.number] += 1;
        self.calls += 1;
        host.life
    }

    /// A call ends; `false` when it was lost before. Whether its host is empty now is for
    /// [`Hosts::is_empty`].
    pub(super) fn give_back(&mut self, worker: Worker, life: u32, now: f64) -> bool {
        let host = &mut self.hosts[worker.host];
        if host.life != life {
            return false;
        }
        host.weigh(now);
        host.taken[worker.number] -= 1;
        self.calls -= 1;
        true
    }

    /// Its calls are lost, and it does what `state` says; how many they were.
    pub(super) fn lose_calls(&mut self, host: usize, state: State, now: f64) -> u64 {
        let host = &mut self.hosts[host];
        host.weigh(now);
        let lost = host.taken.iter().map(|taken| u64::from(*taken)).sum();
        host.taken.fill(0);
        host.life += 1;
        host.state = state;
        self.calls -= lost;
        lost
    }

    pub(super) fn set(&mut self, host: usize, state: State) {
        self.hosts[host].state = state;
    }

    /// The worker whose turn it is there.
    pub(super) fn next_in_turn(&mut self, host: usize) -> Worker {
        let number = self.hosts[host].turn;
        self.hosts[host].turn = (number + 1) % self.workers_per_host;
        Worker { host, number }
    }

    /// Counts call seconds from now on.
    pub(super) fn start_counting(&mut self, now: f64) {
        for host in &mut self.hosts {
            (host.area, host.since) = (0.0, now);
        }
    }

    /// Call seconds of each host.
    pub(super) fn areas(&mut self, now: f64) -> Vec<f64> {
        self.hosts
            .iter_mut()
            .map(|host| {
                host.weigh(now);
                host.area
            })
            .collect()
    }

    pub(super) fn state(&self, host: usize) -> State {
        self.hosts[host].state
    }

    pub(super) fn life(&self, host: usize) -> u32 {
        self.hosts[host].life
    }

    pub(super) fn takes_calls(&self, host: usize) -> bool {
        self.hosts[host].state == State::Up
    }

    pub(super) fn is_empty(&self, host: usize) -> bool {
        self.hosts[host].taken.iter().all(|taken| *taken == 0)
    }

    /// Slots that new calls can take.
    pub(super) fn free_of(&self, worker: Worker) -> u32 {
        let host = &self.hosts[worker.host];
        match host.state {
            State::Up => self.calls_per_worker - host.taken[worker.number],
            _ => 0,
        }
    }

    pub(super) fn free_on(&self, host: usize) -> u32 {
        self.workers_of(host).map(|worker| self.free_of(worker)).sum()
    }

    /// Slots of all hosts that take calls.
    pub(super) fn slots_up(&self) -> u64 {
        let up = self.hosts.iter().filter(|host| host.state == State::Up).count();
        (up * self.workers_per_host) as u64 * u64::from(self.calls_per_worker)
    }

    pub(super) const fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) const fn count(&self) -> usize {
        self.hosts.len()
    }

    pub(super) const fn workers_per_host(&self) -> usize {
        self.workers_per_host
    }

    pub(super) const fn calls_per_worker(&self) -> u32 {
        self.calls_per_worker
    }

    pub(super) const fn worker_count(&self) -> usize {
        self.hosts.len() * self.workers_per_host
    }

    /// The nth of all workers: hosts first, so that neighbours are on different ones.
    pub(super) const fn worker(&self, nth: usize) -> Worker {
        Worker { host: nth % self.hosts.len(), number: nth / self.hosts.len() }
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = Worker> + use<> {
        let (hosts, workers) = (self.hosts.len(), self.workers_per_host);
        (0..hosts).flat_map(move |host| (0..workers).map(move |number| Worker { host, number }))
    }

    pub(super) fn workers_of(&self, host: usize) -> impl Iterator<Item = Worker> + use<> {
        (0..self.workers_per_host).map(move |number| Worker { host, number })
    }
}

impl Host {
    fn weigh(&mut self, now: f64) {
        let taken: u32 = self.taken.iter().sum();
        self.area += f64::from(taken) * (now - self.since);
        self.since = now;
    }
}
