//! One call's brain: its line, its dialect, its socket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;
use vox_call::CallId;
use vox_call::pipeline::{AgentLine, Stirs};

use super::counts::Counts;
use super::dialect::{self, Dialect, News, Stop};
use super::leaving::Leaving;
use super::live::Live;
use super::socket::{Opened, Room};
use super::up::{End, Up};
use super::{AgentNews, Ask, Asked, SocketPlan, StartFacts};

/// A call's brain, as the hub's thread sees it.
#[derive(Debug)]
pub(super) struct Session {
    id: u64,
    call: CallId,
    plan: SocketPlan,
    facts: StartFacts,
    dialect: Box<dyn Dialect>,
    link: Link,
    live: Option<Live>,
    /// Something happened since its last turn, besides what its line has.
    due: bool,
    /// Connections that were lost in a row.
    lost: u32,
    /// Goes to control with the next turn.
    asks: VecDeque<Ask>,
    announcing: Option<Announcing>,
    /// Samples that were played, for whoever watches for silence.
    said: Arc<AtomicU64>,
    counts: Arc<Counts>,
}

/// A transfer waits for the brain to have said what it has to say.
#[derive(Debug, Clone, Copy)]
struct Announcing {
    silent_since: Instant,
    /// So long a silence is the end of it.
    quiet: Duration,
}

/// How the socket stands.
///
/// ```text
///  Connecting ──► Up ──► (lost) ──► Connecting … ──► Gone
///       └──────────────────┴──── no more tries ───────┘
/// ```
#[derive(Debug)]
enum Link {
    Connecting,
    Up(Box<Up>),
    Lost(String),
    Gone,
}

/// What a session needs from the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Another connection, after a pause.
    Connection(Duration),
}

impl Session {
    pub(super) fn new(
        id: u64,
        call: CallId,
        plan: SocketPlan,
        facts: StartFacts,
        counts: Arc<Counts>,
    ) -> Self {
        let dialect = dialect::dialect(&plan);
        let (link, asks) = (Link::Connecting, VecDeque::new());
        Self {
            id,
            call,
            plan,
            facts,
            dialect,
            link,
            live: None,
            due: true,
            lost: 0,
            asks,
            announcing: None,
            said: Arc::default(),
            counts,
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn said(&self) -> Arc<AtomicU64> {
        self.said.clone()
    }

    pub(super) fn plan(&self) -> &SocketPlan {
        &self.plan
    }

    /// The socket is open, or not.
    pub(super) fn connected(&mut self, opened: Result<Opened, String>) {
        self.due = true;
        let opened = match opened {
            Ok(opened) => opened,
            Err(why) => return self.lost(why),
        };
        self.counts.connected.fetch_add(1, Ordering::Relaxed);
        let played_before = self.live.as_ref().map_or(0, |live| live.line.played());
        let mut up = Up::new(opened, played_before);
        self.dialect.connected(&self.facts, &mut up.mail(&self.counts));
        self.asks
            .push_back(Ask::Note("agent_connected", json!({"to": self.plan.address.to_string()})));
        self.link = Link::Up(Box::new(up));
        self.start();
    }

    /// The socket is gone, or never came.
    pub(super) fn lost(&mut self, why: String) {
        self.link = Link::Lost(why);
        self.due = true;
    }

    /// It fell over: nothing more is asked of what may have broken.
    pub(super) fn broken(&mut self) {
        tracing::error!(call_id = self.call.0, "a brain's session fell over");
        self.link = Link::Gone;
        self.live = None;
        self.due = true;
        self.asks.push_back(Ask::Gone { why: "a fault of this worker's".into() });
    }

    /// The call is answered.
    pub(super) fn answered(&mut self, line: AgentLine, codec: &'static str) {
        self.due = true;
        self.facts.codec = codec;
        self.live = Some(Live::new(line, self.dialect.rate_hz()));
        self.start();
    }

    /// The kernel has something for the socket, or room again.
    pub(super) fn ready(&mut self, readable: bool) {
        self.due = true;
        if let Link::Up(up) = &mut self.link {
            up.ready(readable);
        }
    }

    /// Passes news on.
    pub(super) fn tell(&mut self, news: &AgentNews) {
        self.due = true;
        if let AgentNews::PreTransfer { message } = news {
            let quiet = if message.is_some() { ANNOUNCE_BEGIN } else { Duration::ZERO };
            self.announcing = Some(Announcing { silent_since: Instant::now(), quiet });
        }
        let Link::Up(up) = &mut self.link else { return };
        if !up.started {
            return;
        }
        let news = match news {
            AgentNews::Digit(digit) => News::Digit(*digit),
            AgentNews::Warning { seconds_left } => News::Warning { seconds_left: *seconds_left },
            AgentNews::ReEngage { attempt, message } => {
                News::ReEngage { attempt: *attempt, message }
            }
            AgentNews::PreTransfer { message: Some(message) } => News::PreTransfer { message },
            AgentNews::PreTransfer { message: None } => return,
            AgentNews::Transfer { failed } => News::Transfer { failed: failed.as_deref() },
            AgentNews::Refused { act, why } => News::Refused { act, why },
        };
        self.dialect.told(&news, &mut up.mail(&self.counts));
        up.flush();
    }

    /// Whether there is something to do besides what its line has.
    pub(super) fn take_due(&mut self) -> bool {
        std::mem::take(&mut self.due)
    }

    /// Whether its line has something.
    pub(super) fn stirs(&self) -> Option<Stirs> {
        self.live.as_ref().map(|live| live.line.stirs())
    }

    /// First half of a turn: what the caller and the call have to say goes to the brain.
    pub(super) fn speak(&mut self, room: &mut Room) {
        match (&mut self.link, &mut self.live) {
            (Link::Up(up), Some(live)) => {
                up.borrow(room);
                up.hear(live, &mut *self.dialect, &self.counts);
                up.tidings(live, &mut *self.dialect, &self.counts, &mut self.asks);
                up.flush();
                up.give_back(room);
            }
            (_, Some(live)) => {
                let lost = &self.counts.lost_frames;
                live.line.hear(|_| {
                    lost.fetch_add(1, Ordering::Relaxed);
                });
                live.line.tidings(|_| {});
            }
            (_, None) => {}
        }
    }

    /// Second half: what the brain says, and everything else that there is to do now. A socket that is
    /// done with goes to `leaving`.
    pub(super) fn listen(
        &mut self,
        now: Instant,
        asked: &mpsc::Sender<Asked>,
        leaving: &mut Vec<Leaving>,
        room: &mut Room,
    ) -> Option<Wants> {
        if let Some(end) = self.read(now, room) {
            self.over(end, now, leaving);
        }
        let wants = self.recover();
        self.announce(now);
        if let Some(live) = &self.live {
            self.said.store(live.line.played(), Ordering::Relaxed);
        }
        // What control cannot take now waits for the next turn: how much a brain may ask is limited.
        while let Some(what) = self.asks.pop_front() {
            match asked.try_reserve() {
                Ok(place) => place.send(Asked { call: self.call, what }),
                Err(_) => {
                    self.asks.push_front(what);
                    self.due = true;
                    break;
                }
            }
        }
        wants
    }

    /// Samples that the brain has said, played or not.
    #[cfg(test)]
    pub(super) fn said_so_far(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.line.played() + live.line.queued())
    }

    /// Says goodbye.
    pub(super) fn stop(&mut self, why: Stop, now: Instant) -> Option<Leaving> {
        let Link::Up(mut up) = std::mem::replace(&mut self.link, Link::Gone) else { return None };
        if up.started {
            self.dialect.stop(why, &mut up.mail(&self.counts));
        }
        let code = if why == Stop::WorkerStopped { 1_001 } else { 1_000 };
        up.close(code, "");
        Some(up.leave(now))
    }

    fn start(&mut self) {
        let (Link::Up(up), Some(live)) = (&mut self.link, &mut self.live) else { return };
        if !up.started {
            up.started = true;
            // What came before belongs to nobody.
            live.line.hear(|_| {});
            live.line.tidings(|_| {});
            self.dialect.start(&self.facts, &mut up.mail(&self.counts));
            up.flush();
        }
    }

    /// What the brain says; how the connection ends, when it does.
    fn read(&mut self, now: Instant, room: &mut Room) -> Option<End> {
        let Link::Up(up) = &mut self.link else { return None };
        up.borrow(room);
        let read =
            up.read(now, self.live.as_mut(), &mut *self.dialect, &self.counts, &mut self.asks);
        if let Err(end) = read {
            return Some(end);
        }
        if now.saturating_duration_since(up.opened_at) >= PROVEN {
            self.lost = 0;
        }
        up.flush();
        up.give_back(room);
        // Others have their turn first.
        self.due |= up.has_more();
        up.watch(now, self.plan.limits.idle).map(End::Lost)
    }

    /// The connection has ended, for us or for the brain.
    fn over(&mut self, end: End, now: Instant, leaving: &mut Vec<Leaving>) {
        if let Link::Up(mut up) = std::mem::replace(&mut self.link, Link::Gone) {
            if matches!(end, End::Failed(_)) {
                // Unless it was closed with a better reason.
                up.close(1_000, "");
            }
            leaving.push(up.leave(now));
        }
        match end {
            End::Left => self.asks.push_back(Ask::Left),
            End::Failed(why) => {
                self.lost = self.plan.limits.reconnects;
                self.lost(why);
            }
            End::Lost(why) => self.lost(why),
        }
    }

    /// Says when what is to be said before a transfer has been heard: the brain has begun, and then
    /// nothing is left of it for a moment; or it does not begin, or is not there.
    fn announce(&mut self, now: Instant) {
        let Some(announcing) = &mut self.announcing else { return };
        let speaks = self.live.as_ref().is_some_and(|live| live.line.queued() > 0);
        if speaks && matches!(self.link, Link::Up(_)) {
            let quiet = announcing.quiet.min(ANNOUNCE_PAUSE);
            *announcing = Announcing { silent_since: now, quiet };
        } else if now.saturating_duration_since(announcing.silent_since) >= announcing.quiet {
            self.announcing = None;
            self.asks.push_back(Ask::Announced);
        }
    }

    /// What comes after a loss.
    fn recover(&mut self) -> Option<Wants> {
        let Link::Lost(why) = &mut self.link else { return None };
        let why = std::mem::take(why);
        let address = self.plan.address.to_string();
        if let Some(live) = &mut self.live {
            live.forget();
        }
        if self.lost < self.plan.limits.reconnects {
            self.lost += 1;
            self.facts.reconnects += 1;
            self.counts.reconnects.fetch_add(1, Ordering::Relaxed);
            self.asks.push_back(Ask::Note("agent_lost", json!({"to": address, "why": why})));
            self.dialect = dialect::dialect(&self.plan);
            self.link = Link::Connecting;
            return Some(Wants::Connection(FIRST_PAUSE * 2u32.pow(self.lost.min(6) - 1)));
        }
        self.counts.gone.fetch_add(1, Ordering::Relaxed);
        self.asks.push_back(Ask::Gone { why: format!("{address}: {why}") });
        self.link = Link::Gone;
        None
    }
}

/// Between connections: 200 ms, 400 ms, …
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A connection that has lasted so long works: the next loss is the first in a row.
const PROVEN: Duration = Duration::from_secs(10);
/// A brain that has something to say before a transfer begins to within this,
const ANNOUNCE_BEGIN: Duration = Duration::from_secs(4);
/// and has said it when it is silent for so long.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(1_200);
