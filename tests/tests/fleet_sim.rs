//! What `voxload fleet-sim` predicts, and what real workers do with the same calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};
use vox_codecs::CodecKind;
use vox_tests::one_at_a_time;
use vox_tests::worker::{Worker, http_get};
use voxload::fleet::{Call, Fleet, FleetReport, Profile, Traffic, Way, simulate};
use voxload::media;
use voxload::sip::{Invite, SipError, Transport, UserAgent};

const WORKERS: usize = 3;
const SLOTS: u32 = 10;
/// As many calls as slots: one in eight finds all of them taken.
const ERLANG: f64 = 30.0;
const HOLD_SECONDS: f64 = 1.5;
/// A worker ends calls without audio after 15 s, and these have none.
const HOLD_SECONDS_MAX: f64 = 10.0;
const CALLS: u64 = 400;
/// From the answer to `/health` until the INVITE is admitted, about.
const DISPATCH_SECONDS: f64 = 0.003;
const HANG_UP_MAX: Duration = Duration::from_secs(5);

/// What real workers did.
#[derive(Debug, Default)]
struct Measured {
    taken: u64,
    refused: u64,
    /// Calls at once on each worker, on average.
    calls_mean: Vec<f64>,
}

#[test]
fn a_fleet_refuses_and_holds_what_the_simulation_predicts() {
    let _turn = one_at_a_time();
    for way in [Way::Sip, Way::Webhook] {
        let calls = calls();
        let fleet = Fleet { dispatch_seconds: DISPATCH_SECONDS, ..Fleet::new(WORKERS, SLOTS, way) };
        let predicted = simulate(&fleet, &calls, 0.0);
        let measured = measure(way, calls);
        compare(way, &predicted, &measured);
    }
}

/// The same list for the simulation and for the workers.
fn calls() -> Vec<Call> {
    let traffic = Traffic::poisson(CALLS, ERLANG / HOLD_SECONDS, HOLD_SECONDS, Profile::Flat);
    let mut calls = traffic.calls(1);
    calls.iter_mut().for_each(|call| call.hold = call.hold.min(HOLD_SECONDS_MAX));
    calls
}

fn compare(way: Way, predicted: &FleetReport, measured: &Measured) {
    let refused: u64 = predicted.missed.values().sum();
    let share = |refused: u64| refused as f64 / CALLS as f64 * 100.0;
    let mean: f64 = measured.calls_mean.iter().sum();
    println!(
        "{way}: refused {refused} predicted, {} measured ({:.1} and {:.1} %); calls at once {:.2} \
         and {mean:.2}; on each worker {:.2?} and {:.2?}",
        measured.refused,
        share(refused),
        share(measured.refused),
        predicted.calls_mean,
        predicted.calls_mean_of_hosts,
        measured.calls_mean,
    );
    assert_eq!(measured.taken + measured.refused, CALLS);
    // Far more than what answers that take some milliseconds make of it, far less than what a
    // wrong rule would.
    let off = (share(refused) - share(measured.refused)).abs();
    assert!(off < 5.0, "refused: off by {off:.1} % of the calls");
    assert!((mean / predicted.calls_mean - 1.0).abs() < 0.15, "{mean}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn measure(way: Way, calls: Vec<Call>) -> Measured {
    let slots = SLOTS.to_string();
    let workers: Vec<Worker> = (0..WORKERS)
        .map(|_| Worker::start("", &[("MAX_CONCURRENT_CALLS", &slots), ("RUST_LOG", "warn")]))
        .collect();
    let caller = Arc::new(Caller::start(way, &workers).await);
    let start = Instant::now();
    let last = start + Duration::from_secs_f64(calls.last().map_or(0.0, |call| call.at));
    let watched = tokio::spawn(watch(caller.https.clone(), last));
    let mut placed = JoinSet::new();
    for (nth, call) in calls.into_iter().enumerate() {
        sleep_until(start + Duration::from_secs_f64(call.at)).await;
        let caller = caller.clone();
        placed.spawn(async move { caller.call(nth, call).await });
    }
    let taken = placed.join_all().await;
    let mut measured =
        Measured { calls_mean: watched.await.expect("a mean"), ..Measured::default() };
    for taken in taken {
        *if taken { &mut measured.taken } else { &mut measured.refused } += 1;
    }
    measured
}

/// Calls at once on each worker, on average until `last`.
async fn watch(workers: Vec<SocketAddr>, last: Instant) -> Vec<f64> {
    let (mut sums, mut looks) = (vec![0.0; workers.len()], 0.0);
    let mut every = interval(Duration::from_millis(50));
    while Instant::now() < last {
        every.tick().await;
        for (sum, calls) in sums.iter_mut().zip(taken(&workers).await) {
            *sum += calls as f64;
        }
        looks += 1.0;
    }
    sums.into_iter().map(|sum| sum / looks).collect()
}

/// Slots taken on each worker, asked at the same time.
async fn taken(workers: &[SocketAddr]) -> Vec<u64> {
    let mut asked = JoinSet::new();
    for (nth, worker) in workers.iter().copied().enumerate() {
        asked.spawn_blocking(move || {
            let health = http_get(worker, "/health").expect("a worker that answers");
            let health: Value = serde_json::from_str(&health).expect("JSON");
            (nth, health["worker_calls"].as_u64().expect("worker_calls"))
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_unstable();
    answers.into_iter().map(|answer| answer.1).collect()
}

/// Those who call, and what stands between them and the workers.
struct Caller {
    way: Way,
    agent: UserAgent,
    /// Where the workers' audio goes; nobody listens.
    audio: UdpSocket,
    sips: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    turn: AtomicUsize,
}

impl Caller {
    async fn start(way: Way, workers: &[Worker]) -> Self {
        let local = Ipv4Addr::LOCALHOST;
        Self {
            way,
            agent: UserAgent::start(local.into(), Transport::Udp).await.expect("a socket"),
            audio: UdpSocket::bind((local, 0)).await.expect("a socket"),
            sips: workers.iter().map(|worker| worker.sip).collect(),
            https: workers.iter().map(|worker| worker.http).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Whether a worker took the call; it is over then.
    async fn call(&self, nth: usize, call: Call) -> bool {
        match self.way {
            Way::Webhook => {
                let taken = taken(&self.https).await;
                let full = taken.iter().all(|taken| *taken >= u64::from(SLOTS));
                let least = taken.iter().min().copied().unwrap_or(0);
                let emptiest: Vec<usize> =
                    (0..WORKERS).filter(|worker| taken[*worker] == least).collect();
                !full && self.place(emptiest[nth % emptiest.len()], nth, call).await
            }
            _ => {
                for _ in 0..WORKERS {
                    let worker = self.turn.fetch_add(1, Ordering::Relaxed) % WORKERS;
                    if self.place(worker, nth, call).await {
                        return true;
                    }
                }
                false
            }
        }
    }

    async fn place(&self, worker: usize, nth: usize, call: Call) -> bool {
        let local = self.audio.local_addr().expect("bound");
        let mut outgoing = self
            .agent
            .place(Invite {
                uri: format!("sip:echo@{}", self.sips[worker]),
                caller: format!("caller-{nth}"),
                call_id: format!("{nth}-{worker}-{}", local.port()),
                offer: media::offer(local, &[CodecKind::Pcmu]).into_bytes(),
            })
            .expect("an INVITE");
        match outgoing.answered().await {
            Ok(_) => {
                let live = outgoing.live();
                sleep(Duration::from_secs_f64(call.hold)).await;
                live.hang_up(HANG_UP_MAX).await.expect("a 200 to the BYE");
                true
            }
            Err(SipError::Refused { status: 486, after: Some(_), .. }) => false,
            Err(error) => panic!("call {nth}: {error}"),
        }
    }
}
