use std::net::SocketAddr;
use std::time::Duration;

use vox_rtp::{Datagram, DropReason, classify};
use vox_webrtc::Peer;

use super::Context;
use super::grid::Moved;
use super::live::Live;
use super::sealed::Opened;
use crate::jitter::JitterBuffer;
use crate::leg::Leg;
use crate::pipeline::{Agent, Pipeline, Prompt, Tap};
use crate::quality::Response;
use crate::{
    CallId, CallSetup, Command, Component, Ending, Event, Limits, MediaSession, MediaTime, Outcome,
    PacketMemory, Quality, Reason, RxBuf,
};

/// One call: leg, pipeline, state. Built off the shard, handed in by `Open`, handed out by `Ended`.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    limits: Limits,
    state: State,
    /// Its slice of the grid.
    slice: usize,
    /// The frame of the shard's grid that it is to play next; `None` before the first.
    next_frame: Option<u64>,
    media: Media,
    dropped: [u32; DropReason::COUNT],
}

/// Where a call stands. Every state has a deadline; the table forgets a closed call, so there is no
/// way back from there.
///
/// ```text
///   Open            Answer                    Answer (hold, codec, address)
///  ──────► Opening ────────────────► Live ◄───┐
///             │                       │ └─────┘
///             │ Close, fault,         │ Close, fault,
///             │ limits.answer         │ limits.duration, limits.no_audio
///             └──────► closed ◄───────┘
/// ```
///
/// Draining (the recording finishes, the result is written) is the affair of those outside.
#[derive(Debug)]
enum State {
    /// Ports are open, nothing is agreed yet.
    Opening {
        /// When it came into the table.
        since: MediaTime,
    },
    /// Media is agreed.
    Live(Live),
}

/// What handles a call's packets and audio, whatever its state.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) leg: Leg,
    pub(super) jitter: JitterBuffer,
    pub(super) pipeline: Pipeline,
    /// Seals and opens packets; in the [`Context`] while the call is worked with.
    pub(super) peer: Option<Box<Peer>>,
}

impl Call {
    /// Allocates everything the call will ever need.
    pub fn new(setup: CallSetup) -> Box<Self> {
        let CallSetup { call, limits, seed, cname, tap, vad } = setup;
        Box::new(Self {
            id: call,
            limits,
            state: State::Opening { since: MediaTime::default() },
            slice: 0,
            next_frame: None,
            media: Media {
                leg: Leg::new(seed, cname),
                // Made for the right rates at the answer.
                jitter: JitterBuffer::new(8_000, 8_000),
                pipeline: Pipeline::new(tap, vad),
                peer: None,
            },
            dropped: [0; DropReason::COUNT],
        })
    }

    /// Its id.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// It is in the table now, and in this slice of the grid.
    pub(super) fn open<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, slice: usize) {
        self.slice = slice;
        self.state = State::Opening { since: ctx.now };
        ctx.listen();
        ctx.event(Event::Opened { call: self.id });
    }

    /// A datagram arrived: it is filed, or dropped and counted. Says whether it is the first audio
    /// of this call: the ticks are to follow its arrival.
    ///
    /// Only once. Each move disturbs the spacing of what we send, a peer could have its call move
    /// about at will, and another stream in the same call (a transfer, another codec) waits no
    /// longer than one in a random slice does.
    pub(super) fn datagram<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        component: Component,
        source: SocketAddr,
        buf: RxBuf,
    ) -> bool {
        ctx.peer = self.media.peer.take();
        let first = match ctx.open(source, buf) {
            Opened::Rtp(source, buf) => self.packet(ctx, component, source, buf),
            Opened::Nothing => false,
            Opened::Dropped(buf) => {
                self.count_dropped(ctx, DropReason::NotRtp);
                ctx.memory.release(buf);
                false
            }
        };
        self.media.peer = ctx.peer.take();
        first
    }

    fn packet<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        component: Component,
        source: SocketAddr,
        buf: RxBuf,
    ) -> bool {
        let was_audible = self.is_audible();
        let dropped = match &mut self.state {
            State::Opening { .. } => Err((DropReason::NotListening, Some(buf))),
            State::Live(live) => match classify(ctx.memory.received(&buf)) {
                Datagram::Rtp if component == Component::Rtp => {
                    live.rtp(ctx, &mut self.media, source, buf)
                }
                Datagram::Rtcp => live.rtcp(ctx, &mut self.media, component, source, buf),
                _ => Err((DropReason::NotRtp, Some(buf))),
            },
        };
        let Err((reason, buf)) = dropped else { return !was_audible && self.is_audible() };
        self.count_dropped(ctx, reason);
        if let Some(buf) = buf {
            ctx.memory.release(buf);
        }
        false
    }

    /// Gives up its oldest packet: others need the buffer.
    pub(super) fn shed<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>) {
        if self.media.jitter.shed(&mut ctx.memory) {
            self.count_dropped(ctx, DropReason::Overflow);
        }
    }

    /// Tells `memory` what a datagram will touch, in the call itself.
    pub(super) fn expect_datagram(&self, memory: &impl PacketMemory) {
        memory.expect(&self.state);
        self.media.leg.expect_datagram(memory);
        self.media.jitter.expect_datagram(memory);
    }

    /// The same, behind the call's pointers.
    pub(super) fn expect_filing(&self, memory: &impl PacketMemory) {
        if let State::Live(live) = &self.state {
            live.expect_session(memory);
        }
        self.media.jitter.expect_file(memory);
    }

    /// Tells `memory` what a turn will touch, in the call itself.
    pub(super) fn expect_turn(&self, memory: &impl PacketMemory) {
        memory.expect(&self.state);
        memory.expect(&self.next_frame);
        memory.expect(&self.limits);
        self.media.leg.expect_turn(memory);
        self.media.jitter.expect_turn(memory);
        self.media.pipeline.expect_turn(memory);
    }

    /// The same, behind the call's pointers.
    pub(super) fn expect_frame(&self, memory: &impl PacketMemory) {
        if let State::Live(live) = &self.state {
            live.expect_session(memory);
        }
        self.media.jitter.expect_play(memory);
        self.media.pipeline.expect(memory);
    }

    /// The same, one pointer further on.
    pub(super) fn expect_audio(&self, memory: &impl PacketMemory) {
        if let State::Live(live) = &self.state {
            live.expect_decoder(memory);
        }
        self.media.jitter.expect_packet(memory);
    }

    /// It plays in another slice from now on.
    pub(super) fn moved(&mut self, to: Moved) {
        self.slice = to.slice;
        // Frames are numbered by the grid: in an earlier slice the next turn can be in the same
        // frame as the last, which would hide a frame that the host misses just then.
        if let Some(next) = &mut self.next_frame {
            *next = to.frame;
            self.media.leg.sender.shift(to.later);
        }
    }

    /// The call's 20 ms are due. Gives a reason when it is to be closed.
    pub(super) fn tick<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        frame: u64,
    ) -> Option<Reason> {
        ctx.peer = self.media.peer.take();
        ctx.tick_peer();
        let reason = self.turn(ctx, frame);
        self.media.peer = ctx.peer.take();
        reason
    }

    fn turn<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, frame: u64) -> Option<Reason> {
        let skipped = self.next_frame.map_or(0, |next| frame.saturating_sub(next));
        let frames = skipped + 1;
        self.next_frame = Some(frame + 1);
        ctx.counters.skipped_frames += skipped;
        match &mut self.state {
            State::Opening { since } => {
                let overdue = ctx.now.since(*since) >= self.limits.answer;
                overdue.then_some(Reason::SetupTimeout)
            }
            State::Live(live) => {
                let overdue = live.overdue(ctx, &self.limits);
                if overdue.is_none() {
                    live.tick(ctx, &mut self.media, frames);
                }
                overdue
            }
        }
    }

    /// Control asks for something. Gives a reason when the call is to be closed.
    pub(super) fn command<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        command: Command,
    ) -> Option<Reason> {
        ctx.peer = self.media.peer.take();
        let reason = self.carry_out(ctx, command);
        self.media.peer = ctx.peer.take();
        reason
    }

    fn carry_out<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        command: Command,
    ) -> Option<Reason> {
        match command {
            Command::Answer { session, .. } => self.answer(ctx, session),
            Command::Attach { agent, .. } => self.attach(ctx, agent),
            Command::Play { id, prompt, .. } => self.play(ctx, id, prompt),
            Command::Record { tap, .. } => self.record(ctx, tap),
            Command::Digits { digits, .. } => {
                if !self.media.leg.keypad.press(&digits) {
                    ctx.counters.digits_refused += 1;
                }
            }
            Command::Query { call } => {
                ctx.event(Event::Report { call, quality: self.quality() });
            }
            Command::Close { reason, .. } => return Some(reason),
            Command::Join { peer, .. } => ctx.join(peer),
            Command::Negotiate { step, .. } => ctx.negotiate(step),
            // These name no call; the shard has dealt with them.
            Command::Open(_) | Command::Drain => {}
        }
        None
    }

    /// Gives back what the call holds of the shard and says goodbye to the peer.
    pub(super) fn close<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        reason: Reason,
    ) -> Ending {
        // First of all what others wait for: the recorder, the agent.
        self.media.pipeline.close_tap();
        ctx.counters.agent_frames += u64::from(self.media.pipeline.close_agent());
        ctx.prompt_over(self.media.pipeline.stop_prompt());
        // After a fault nothing more is asked of what may have broken; the shard takes the buffers
        // back by its own books.
        if reason != Reason::Fault {
            if let State::Live(live) = &mut self.state {
                live.say_bye(ctx, &mut self.media.leg);
            }
            self.media.jitter.reset(8_000, 8_000, &mut ctx.memory);
            ctx.peer = self.media.peer.take();
            ctx.leave();
            self.media.peer = ctx.peer.take();
        }
        self.ending(ctx.now, reason, self.quality())
    }

    /// What is said of an end at `now`.
    pub(super) fn ending(&self, now: MediaTime, reason: Reason, quality: Quality) -> Ending {
        let live_since = match &self.state {
            State::Opening { .. } => None,
            State::Live(live) => Some(live.since()),
        };
        let outcome = match reason {
            Reason::MediaTimeout
            | Reason::NoAck
            | Reason::AgentGone
            | Reason::SignallingFailed
            | Reason::Fault => Outcome::Failed,
            _ if live_since.is_none() => Outcome::NotAnswered,
            _ => Outcome::Completed,
        };
        let duration = live_since.map_or(Duration::ZERO, |since| now.since(since));
        Ending { outcome, reason, duration, quality }
    }

    /// How long the caller waited for an agent elsewhere, of the latest [`Responses::KEPT`](crate::quality::Responses::KEPT) times.
    pub fn responses(&self) -> impl Iterator<Item = Response> + '_ {
        self.media.pipeline.responses().kept()
    }

    pub(super) fn slice(&self) -> usize {
        self.slice
    }

    fn count_dropped<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, reason: DropReason) {
        self.dropped[reason as usize] = self.dropped[reason as usize].saturating_add(1);
        ctx.counters.dropped[reason as usize] += 1;
    }

    fn is_audible(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.is_audible())
    }

    fn answer<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, session: Box<MediaSession>) {
        let displaced = match &mut self.state {
            State::Live(live) => Some(live.renegotiate(ctx, &mut self.media, session)),
            State::Opening { .. } => {
                self.state = State::Live(Live::begin(ctx, &mut self.media, session));
                None
            }
        };
        ctx.event(Event::Renegotiated { call: self.id, displaced });
    }

    fn attach<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, agent: Box<Agent>) {
        // What is displaced may wait for somebody to drop it; its line is to know now.
        ctx.counters.agent_frames += u64::from(self.media.pipeline.close_agent());
        let agent = Some(self.media.pipeline.attach(agent));
        ctx.event(Event::Spent { call: self.id, agent, prompt: None, tap: None });
    }

    fn play<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, id: u32, prompt: Prompt) {
        let broken_off = self.media.pipeline.play(id, prompt);
        ctx.prompt_over(broken_off);
    }

    fn record<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, tap: Option<Box<Tap>>) {
        let from = match &self.state {
            State::Opening { .. } => 0,
            State::Live(live) => live.frames(),
        };
        if let Some(tap) = self.media.pipeline.record(tap, from) {
            let (call, tap) = (self.id, Some(tap));
            ctx.event(Event::Spent { call, agent: None, prompt: None, tap });
        }
    }

    fn quality(&self) -> Quality {
        let quality = Quality {
            dropped: self.dropped,
            speech: self.media.pipeline.speech(),
            responses: self.media.pipeline.responses().summary(),
            packets_sent: u64::from(self.media.leg.sender.sent().0),
            ..Quality::default()
        };
        let quality = match &self.state {
            State::Opening { .. } => quality,
            State::Live(live) => live.measure(quality, &self.media.leg),
        };
        quality.with_jitter(&self.media.jitter.stats()).scored()
    }
}
