//! SIP over UDP and TCP: a user agent that answers calls for the bots, and places calls for them.
//!
//! Start reading at `uas` (what becomes of a request) and `call` (one call from INVITE to BYE).
//! `transport` reads the wire and checks what comes before the SIP stack sees it; `sdp` is offer
//! and answer, pure. Parsing, transactions and their timers are `rsipstack`'s.
//!
//! What this does not do: register anywhere, authenticate callers (that is the trunk's or the
//! proxy's business), answer a challenge to a request of ours, TLS, provisional responses that need
//! PRACK, session timers, REFER of peers.

mod border;
mod call;
mod dialog;
mod facts;
mod invite;
mod journal;
mod mailbox;
mod reply;
pub mod sdp;
mod transport;
mod uas;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use border::{Line, Switchboard};
use journal::Journal;
use mailbox::Dialogs;
use sdp::MediaPolicy;
use transport::{Stack, Wire};
use uas::Uas;

/// What the SIP side is started with.
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// UDP and TCP are bound here. Port 0 takes one that is free for both.
    pub bind: SocketAddr,
    /// The address that peers reach us at, when it is not `bind`'s: behind a NAT, or when bound to
    /// all addresses and the kernel's choice per peer is wrong.
    pub advertised: Option<IpAddr>,
    /// Codecs and who chooses.
    pub media: MediaPolicy,
    /// RFC 3261's T1: 500 ms. Tests make it shorter.
    pub t1: Duration,
    /// How long a bot's config may take before the caller is told that something goes on.
    pub ring_after: Duration,
    /// What the caller is told then.
    pub provisional: Provisional,
    /// Bounds on what peers can make us hold.
    pub limits: SipLimits,
}

/// The provisional response to a caller who waits for the bot's config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provisional {
    /// 180: the phone plays its ringing tone.
    #[default]
    Ringing,
    /// 183: the phone stays silent.
    SessionProgress,
}

/// Bounds on what peers can make us hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipLimits {
    /// TCP connections at once, from peers and to them. A trunk uses one, a phone one; each costs
    /// a descriptor and about 10 KB.
    pub connections: usize,
    /// How long a TCP connection without a call on it may say nothing.
    pub idle: Duration,
    /// From the first byte of a message on TCP to its last.
    pub message: Duration,
    /// Transactions in progress; above it requests go unanswered, and come again, but for those of
    /// calls in progress. A call start
    /// holds one for as long as the bot's config is fetched and the ACK is out, so the default is
    /// 30 s of 270 new calls a second. Some 4 KB each.
    pub transactions: usize,
    /// Answers kept for 64 × T1 to be repeated: the default is 1,000 requests a second. Some 2 KB
    /// each.
    pub answers: usize,
}

impl Default for SipLimits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            idle: Duration::from_secs(120),
            message: Duration::from_secs(10),
            transactions: 8 * 1_024,
            answers: 32 * 1_024,
        }
    }
}

impl SipConfig {
    /// Defaults for everything but the address.
    pub fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            advertised: None,
            media: MediaPolicy::default(),
            t1: Duration::from_millis(500),
            ring_after: Duration::from_millis(300),
            provisional: Provisional::default(),
            limits: SipLimits::default(),
        }
    }
}

/// The running SIP side.
pub struct SipServer {
    local: SocketAddr,
    dialogs: Dialogs,
    journal: Arc<Journal>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the SIP side has counted, for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SipCounts {
    /// Dialogs in progress.
    pub dialogs: usize,
    /// Requests answered with a failure.
    pub refused: u64,
    /// Messages that were not answered: garbage, strays, floods.
    pub dropped: u64,
}

impl SipServer {
    /// Binds and starts answering.
    pub async fn start<B: Switchboard>(config: SipConfig, board: B) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let journal = Arc::new(Journal::new());
        let mut builder = EndpointBuilder::new();
        let endpoint = builder
            .with_user_agent(dialog::SERVER)
            .with_cancel_token(stop.clone())
            .with_option(timers(config.t1))
            .build();
        let incoming = endpoint.incoming_transactions().map_err(std::io::Error::other)?;
        let dialogs = Dialogs::default();
        let stack = Stack {
            endpoint: endpoint.inner.clone(),
            journal: journal.clone(),
            limits: config.limits,
            dialogs: dialogs.clone(),
            stop: stop.clone(),
        };
        let (wire, local) = Wire::bind(config.bind, stack).await?;
        let uas = Arc::new(Uas {
            board,
            wire: wire.clone(),
            dialogs: dialogs.clone(),
            journal: journal.clone(),
            media: config.media,
            advertised: SocketAddr::new(config.advertised.unwrap_or(local.ip()), local.port()),
            ack_limit: config.t1 * 64,
            ring_after: config.ring_after,
            provisional: config.provisional,
        });
        let tasks = TaskTracker::new();
        tasks.spawn(wire.serve());
        tasks.spawn(run_timers(endpoint.inner, stop.clone()));
        tasks.spawn(uas.run(incoming, stop.clone()));
        tasks.close();
        Ok(Self { local, dialogs, journal, stop, tasks })
    }

    /// Where we listen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What was counted so far.
    pub fn counts(&self) -> SipCounts {
        (self.counter())()
    }

    /// Reads the counts whenever it is called.
    pub fn counter(&self) -> impl Fn() -> SipCounts + Send + Sync + 'static {
        let (dialogs, journal) = (self.dialogs.clone(), self.journal.clone());
        move || {
            let (refused, dropped) = journal.counts();
            SipCounts { dialogs: dialogs.len(), refused, dropped }
        }
    }

    /// Stops listening. Calls are to be ended first; for a moment their BYEs are still sent and
    /// answered.
    pub async fn stop(self) {
        let _ = tokio::time::timeout(STOP_LIMIT, self.dialogs.all_over()).await;
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn timers(t1: Duration) -> EndpointOption {
    let standard = EndpointOption::default();
    EndpointOption {
        t1,
        t2: t1 * 8,
        t4: t1 * 10,
        t1x64: t1 * 64,
        // A proxy's timer: how long our own calls may ring is the call's business.
        timerc: TIMER_C,
        // The ACK of a 2xx goes where the dialog's requests go, which the stack cannot know.
        auto_ack_2xx: false,
        ..standard
    }
}

/// The stack's timers can miss a wake-up when the first of them is set in the moment before they
/// go to sleep; looking again makes that a short delay instead of a stall.
async fn run_timers(endpoint: EndpointInnerRef, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let _ = tokio::time::timeout(LOOK_AGAIN, endpoint.process_timer()).await;
    }
}

/// How long the last BYEs may take. Peers that are there answer within a round trip; T1 and its
/// first repeats are in it.
const STOP_LIMIT: Duration = Duration::from_secs(4);
/// Longer than a call may ring.
const TIMER_C: Duration = Duration::from_secs(3_600);
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long a name in a Contact or Route may take to resolve.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);
