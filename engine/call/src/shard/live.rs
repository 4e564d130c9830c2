//! A call while media is agreed.

use std::net::SocketAddr;
use std::time::Duration;

use vox_rtp::event::EventPacket;
use vox_rtp::{DropReason, RtpTime};

use super::Context;
use super::call::Media;
use crate::jitter::{Arrival, Content, Played};
use crate::leg::{Heard, Leg, Place, Turn};
use crate::pipeline::{self, Edge};
use crate::{
    Component, DigitSource, Direction, Event, Limits, MediaSession, MediaTime, PacketMemory,
    Quality, Reason, RxBuf,
};

/// What is known only once media is agreed.
#[derive(Debug)]
pub(super) struct Live {
    since: MediaTime,
    session: Box<MediaSession>,
    /// Frames of 20 ms since the first answer, those skipped by a late host included: the call's
    /// own clock, and the recording's.
    frames: u32,
    /// When the peer was last heard, or had to be heard again (answer, end of a hold).
    heard: MediaTime,
    /// When RTCP came last during the present hold.
    held_rtcp: Option<MediaTime>,
    /// `Stalled` was said of the present silence.
    stalled: bool,
    /// RTP packets that passed every check.
    received: u64,
    /// Audio was among them.
    audible: bool,
    digits: u32,
}

/// A refused datagram; its buffer, unless that is released already.
pub(super) type Refused = (DropReason, Option<RxBuf>);

impl Live {
    /// The first answer.
    pub(super) fn begin<M: PacketMemory>(
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        session: Box<MediaSession>,
    ) -> Self {
        let live = Self {
            since: ctx.now,
            session,
            frames: 0,
            heard: ctx.now,
            held_rtcp: None,
            stalled: false,
            received: 0,
            audible: false,
            digits: 0,
        };
        media.leg.start_reports(ctx.now);
        media.leg.signal(live.session.remote);
        media.leg.connect(ctx);
        live.restart(ctx, media);
        live
    }

    /// A later answer: hold, resume, another codec or address. Returns what is not needed any more.
    pub(super) fn renegotiate<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        session: Box<MediaSession>,
    ) -> Box<MediaSession> {
        let mut before = std::mem::replace(&mut self.session, session);
        let session = &mut *self.session;
        if before.codec() == session.codec() {
            // The streams go on, and with them what the codecs remember.
            std::mem::swap(&mut before.encoder, &mut session.encoder);
            std::mem::swap(&mut before.decoder, &mut session.decoder);
        }
        let (codec, hears) = (session.codec(), session.direction.receives());
        if before.codec() != codec {
            self.restart(ctx, media);
        } else if !hears {
            self.reset_jitter(ctx, media);
        }
        media.leg.sender.pause();
        if is_held(before.direction) {
            self.heard = ctx.now;
            self.stalled = false;
        }
        self.held_rtcp = None;
        media.leg.signal(self.session.remote);
        media.leg.connect(ctx);
        before
    }

    /// An RTP datagram.
    pub(super) fn rtp<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        source: SocketAddr,
        buf: RxBuf,
    ) -> Result<(), Refused> {
        let bytes = ctx.memory.received(&buf);
        let heard = media.leg.hear(ctx.now, source, bytes, &self.session);
        media.leg.connect(ctx);
        match heard {
            Ok(heard) => self.file(ctx, media, heard, buf),
            Err(reason) => Err((reason, Some(buf))),
        }
    }

    /// An RTCP datagram.
    pub(super) fn rtcp<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        component: Component,
        source: SocketAddr,
        buf: RxBuf,
    ) -> Result<(), Refused> {
        let bytes = ctx.memory.received(&buf);
        let told = media.leg.hear_rtcp(ctx.now, component, source, bytes, &mut self.session);
        media.leg.connect(ctx);
        if let Err(reason) = told {
            return Err((reason, Some(buf)));
        }
        ctx.memory.release(buf);
        ctx.counters.rtcp_received += 1;
        if is_held(self.session.direction) {
            self.held_rtcp = Some(ctx.now);
        }
        Ok(())
    }

    /// Says goodbye to a peer that we have sent anything to (RFC 3550 §6.3.7).
    pub(super) fn say_bye<M: PacketMemory>(&mut self, ctx: &mut Context<'_, M>, leg: &mut Leg) {
        if leg.sender.sent().0 > 0 {
            leg.report(ctx, &mut self.session, true);
        }
    }

    /// What a deadline says: close, or (at a third of it) that nothing is heard.
    pub(super) fn overdue<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        limits: &Limits,
    ) -> Option<Reason> {
        if ctx.now.since(self.since) >= limits.duration {
            return Some(Reason::MaxDuration);
        }
        if is_held(self.session.direction) {
            // Nothing has to come during a hold. But a peer that went on with RTCP and then stopped
            // is gone, too.
            let limit = limits.no_audio.max(HELD_RTCP_LIMIT);
            let gone = self.held_rtcp.is_some_and(|at| ctx.now.since(at) >= limit);
            return gone.then_some(Reason::MediaTimeout);
        }
        let silent = ctx.now.since(self.heard);
        if silent >= limits.no_audio {
            return Some(Reason::MediaTimeout);
        }
        if silent >= limits.no_audio / 3 && !self.stalled {
            self.stalled = true;
            ctx.event(Event::Stalled { call: ctx.call, silent });
        }
        None
    }

    /// The next 20 ms: hear, answer, record, send. `frames` have passed since the last ones.
    pub(super) fn tick<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        frames: u64,
    ) {
        self.frames = self.frames.wrapping_add(frames as u32);
        let is_free = media.leg.sender.advance(frames, self.session.codec());
        media.leg.tick(ctx.now);
        media.leg.connect(ctx);
        let (rate_hz, samples) =
            (self.session.codec().rate_hz(), self.session.codec().frame_samples());
        let (mut caller, mut agent) = ([0; MAX_FRAME], [0; MAX_FRAME]);
        let (caller, agent) = (&mut caller[..samples], &mut agent[..samples]);
        if self.session.direction.receives() {
            self.hear(ctx, media, caller);
        }
        let frame = self.frames.wrapping_sub(1);
        self.listen(ctx, media, frame, caller);
        if self.session.direction.sends() && is_free {
            self.speak(ctx, media, caller, agent);
        } else {
            media.leg.sender.pause();
        }
        media.pipeline.sent(agent);
        media.leg.report(ctx, &mut self.session, false);
        media.pipeline.follow(ctx.now, agent);
        media.pipeline.tap(frame, rate_hz, caller, agent);
    }

    /// Tells `memory` that the session is needed.
    pub(super) fn expect_session(&self, memory: &impl PacketMemory) {
        memory.expect(&*self.session);
    }

    /// Tells `memory` that what the decoder remembers is needed.
    pub(super) fn expect_decoder(&self, memory: &impl PacketMemory) {
        if let Some(concealer) = self.session.decoder.concealer() {
            memory.expect(concealer);
        }
    }

    /// Adds what is known here to the call's quality.
    pub(super) fn measure(&self, quality: Quality, leg: &Leg) -> Quality {
        Quality {
            codec: Some(self.session.codec()),
            packets_received: self.received,
            digits: self.digits,
            rtt: leg.rtt(),
            ..quality
        }
    }

    /// Since the first answer.
    pub(super) fn since(&self) -> MediaTime {
        self.since
    }

    /// Frames since then.
    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    /// Whether any audio came.
    pub(super) fn is_audible(&self) -> bool {
        self.audible
    }

    /// Files a packet for the tick to play.
    fn file<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        heard: Heard,
        buf: RxBuf,
    ) -> Result<(), Refused> {
        let Heard { header, content, payload, new_stream } = heard;
        ctx.counters.rtp_received += 1;
        self.heard = ctx.now;
        self.stalled = false;
        self.received += 1;
        if self.received == 1 {
            let after = ctx.now.since(self.since);
            ctx.event(Event::MediaStarted { call: ctx.call, after });
        }
        if new_stream {
            self.reset_jitter(ctx, media);
        }
        // A datagram is shorter than 65,536 bytes, and the payload lies in it.
        let payload = RxBuf {
            index: buf.index,
            offset: buf.offset + payload.start as u16,
            len: payload.len() as u16,
        };
        if content == Content::TelephoneEvent
            && let Err(reason) = self.press(ctx, media, header.time, &payload)
        {
            return Err((reason, Some(payload)));
        }
        let filed =
            media.jitter.file(ctx.now, Arrival { header, content, payload }, &mut ctx.memory);
        self.audible |= filed.is_ok() && content == Content::Speech;
        filed.map_err(|reason| (reason, None))
    }

    /// Reads a telephone-event's payload.
    fn press<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        time: RtpTime,
        payload: &RxBuf,
    ) -> Result<(), DropReason> {
        let pressed = media.leg.hear_events(time, ctx.memory.received(payload))?;
        let clock_hz = u64::from(self.session.codec().clock_hz());
        for press in pressed.into_iter().flatten() {
            let held = u64::from(press.duration) * 1_000_000 / clock_hz;
            if let Some(digit) = press.digit() {
                self.digit(ctx, digit, Duration::from_micros(held), DigitSource::TelephoneEvent);
            }
        }
        Ok(())
    }

    /// Plays the caller's next 20 ms into `caller`.
    fn hear<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        caller: &mut [i16],
    ) {
        let decoder = &mut self.session.decoder;
        let played = media.jitter.play(ctx.now, decoder, &mut ctx.memory, caller);
        if played == Played::Speech {
            media.pipeline.hear(caller);
        }
        // Only then: a caller whose keys make events does not play tones to us, and looking for
        // them costs more than all else that is done to a frame.
        let in_band = self.session.event_payload_type.is_none();
        let rate_hz = self.session.codec().rate_hz();
        if in_band && let Some(digit) = media.pipeline.detect(rate_hz, caller) {
            self.digit(ctx, digit, IN_BAND_DURATION, DigitSource::InBand);
        }
    }

    /// Lets the agent hear the caller's 20 ms, and tells who began or stopped to speak.
    fn listen<M: PacketMemory>(
        &self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        frame: u32,
        caller: &[i16],
    ) {
        let rate_hz = self.session.codec().rate_hz();
        let heard = media.pipeline.ear(rate_hz, caller);
        if let Some(edge) = heard.edge {
            let (started, frames_ago) = match edge {
                Edge::Started { frames_ago } => (true, frames_ago),
                Edge::Stopped { frames_ago } => (false, frames_ago),
            };
            let buffered = media.jitter.stats().delay_now;
            media.pipeline.turn_taken(ctx.now - FRAME * u32::from(frames_ago), started, buffered);
            let frame = frame.wrapping_sub(frames_ago.into());
            ctx.event(Event::Speech { call: ctx.call, started, frame });
        }
        let turn = pipeline::Turn { frame, rate_hz, caller, heard };
        ctx.counters.agent_frames += u64::from(media.pipeline.listen(turn));
    }

    /// Sends the next 20 ms, which are in `agent` then.
    fn speak<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        caller: &[i16],
        agent: &mut [i16],
    ) {
        let Some(to) = media.leg.destination() else { return };
        let (codec, events) = (self.session.codec(), self.session.event_payload_type);
        let time = media.leg.sender.time();
        match (media.leg.keypad.tick(codec, events.is_some(), time, agent), events) {
            (Turn::Event(EventPacket { marker, time, event }), Some(payload_type)) => {
                // Audio that waits for its packet to be full would come after the event.
                media.leg.sender.pause();
                let place = Place { payload_type, time, marker };
                return media.leg.sender.packet(ctx, to, place, |payload| event.write(payload));
            }
            (Turn::Tone, _) => {}
            _ => self.ask_agent(ctx, media, caller, agent),
        }
        media.leg.sender.audio(ctx, &mut self.session, to, agent);
    }

    /// The agent's next 20 ms, or the prompt's.
    fn ask_agent<M: PacketMemory>(
        &self,
        ctx: &mut Context<'_, M>,
        media: &mut Media,
        caller: &[i16],
        agent: &mut [i16],
    ) {
        let spoken = media.pipeline.speak(self.session.codec().rate_hz(), caller, agent);
        ctx.prompt_over(spoken.prompt);
        if let Some(over) = spoken.agent {
            let (call, played, complete) = (ctx.call, over.played, over.complete);
            ctx.event(Event::Played { call, id: 0, played, complete });
        }
    }

    fn digit<M: PacketMemory>(
        &mut self,
        ctx: &mut Context<'_, M>,
        digit: char,
        duration: Duration,
        source: DigitSource,
    ) {
        self.digits += 1;
        ctx.event(Event::Digit { call: ctx.call, digit, duration, source });
    }

    /// What is heard from now on does not go on where the last packet stopped.
    fn restart<M: PacketMemory>(&self, ctx: &mut Context<'_, M>, media: &mut Media) {
        media.leg.restart(self.session.codec().clock_hz());
        self.reset_jitter(ctx, media);
    }

    fn reset_jitter<M: PacketMemory>(&self, ctx: &mut Context<'_, M>, media: &mut Media) {
        let codec = self.session.codec();
        media.jitter.reset(codec.clock_hz(), codec.rate_hz(), &mut ctx.memory);
    }
}

/// Whether one side has put the other on hold. A peer that holds us may say `sendonly` and play
/// nothing at all: we listen, but cannot expect to hear anything.
fn is_held(direction: Direction) -> bool {
    direction != Direction::SendRecv
}

const FRAME: Duration = Duration::from_millis(20);
/// 20 ms at 16 kHz.
const MAX_FRAME: usize = 320;
/// Five of the reports that come every 5 s or so (RFC 3550 §6.3.5), and some room.
const HELD_RTCP_LIMIT: Duration = Duration::from_secs(30);
/// All that is known of a tone's length is that it was long enough to be one (Q.24).
const IN_BAND_DURATION: Duration = Duration::from_millis(40);
