use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vox_ring::SocketKey;

use super::ear::Ear;
use super::echo::Echo;
use super::line::Line;
use super::listen::Listening;
use super::mouth::{Mouth, Voice};
use crate::generator::config::LegSpec;
use crate::generator::quality;
use crate::generator::report::LegReport;
use crate::generator::speech::Payloads;
use crate::media::{Agreed, Direction};

/// A leg as its thread holds it.
#[derive(Debug)]
pub(in crate::generator) struct LegState {
    pub(super) key: SocketKey,
    pub(super) socket: UdpSocket,
    /// Whom to send to, once that was agreed.
    pub(super) remote: Option<SocketAddr>,
    /// The socket is connected to `remote`: its packets come from where ours go to.
    pub(super) connected: bool,
    /// A receive is in flight.
    pub(super) receiving: bool,
    /// It neither sends nor reads any more.
    pub(super) vanished: bool,
    pub(super) media: Option<Box<Media>>,
    /// 20 ms of its clock, in ns.
    pub(super) period_ns: u64,
}

/// What a leg says and hears from its start on.
#[derive(Debug)]
pub(in crate::generator) struct Media {
    pub(super) ear: Ear,
    pub(super) mouth: Mouth,
    pub(super) line: Option<Box<Line>>,
    pub(super) echo: Option<Box<Echo>>,
    /// On the thread's clock: when it started, was on the grid first, and ended.
    pub(super) started_us: u64,
    pub(super) grid_us: u64,
    pub(super) ended_us: u64,
    /// Frames since the grid's first.
    pub(super) frames: u64,
    pub(super) dropped_here: u64,
}

/// What was agreed on, and all that it needs memory for.
#[derive(Debug)]
pub(in crate::generator) struct Agreement {
    pub(super) agreed: Agreed,
    pub(super) direction: Direction,
    pub(super) at: Instant,
    pub(super) payloads: Arc<Payloads>,
    pub(super) body: Body,
}

/// What an agreement brings along.
#[derive(Debug)]
pub(super) enum Body {
    /// The first one: everything.
    Start(Box<Media>),
    /// A later one.
    Change(Listening),
}

/// What is left of a leg.
#[derive(Debug)]
pub(in crate::generator) struct Ended(pub(super) Option<Box<Media>>);

impl LegState {
    pub(in crate::generator) fn new(key: SocketKey, socket: UdpSocket, spec: &LegSpec) -> Self {
        Self {
            key,
            socket,
            remote: None,
            connected: false,
            receiving: false,
            vanished: false,
            media: None,
            period_ns: spec.network.drifted(FRAME).as_nanos() as u64,
        }
    }
}

impl Agreement {
    /// Allocates all that the leg will need, and encodes its speech if it is the first in its codec.
    pub(in crate::generator) fn new(
        agreed: Agreed,
        direction: Direction,
        spec: &LegSpec,
        is_first: bool,
    ) -> Self {
        let at = Instant::now();
        let payloads = spec.speech.payloads(agreed.codec);
        let says_markers = !spec.silent && !spec.echoes;
        let sweep = spec.speech.markers().filter(|_| says_markers).map(|markers| markers.sweep);
        let listening = Listening::new(agreed.codec, sweep);
        let body = if is_first {
            Body::Start(Box::new(Media::new(&agreed, spec, payloads.clone(), listening)))
        } else {
            Body::Change(listening)
        };
        Self { agreed, direction, at, payloads, body }
    }
}

impl Media {
    fn new(agreed: &Agreed, spec: &LegSpec, payloads: Arc<Payloads>, listening: Listening) -> Self {
        let voice = Voice { payloads, repeat: spec.repeat, silent: spec.silent, seed: spec.seed };
        let mut mouth = Mouth::new(agreed, voice);
        mouth.said.speech = !spec.silent && !spec.echoes;
        Self {
            ear: Ear::new(agreed, listening),
            mouth,
            line: Line::new(spec.own_network()),
            echo: spec.echoes.then(Echo::new),
            started_us: 0,
            grid_us: 0,
            ended_us: 0,
            frames: 0,
            dropped_here: 0,
        }
    }

    /// What can wait on the wheel at once: the next frame, and packets under way.
    pub(super) fn wheel_places(&self) -> usize {
        1 + self.line.as_ref().map_or(0, |line| line.capacity())
    }
}

impl Ended {
    /// What the leg was like.
    pub(in crate::generator) fn report(self) -> LegReport {
        let Some(media) = self.0 else { return LegReport::unstarted() };
        let Media { ear, mouth, started_us, ended_us, dropped_here, .. } = *media;
        let us = |us: u64| Duration::from_micros(us);
        let since_start = |at: Option<u64>| at.map(|at| us(at.saturating_sub(started_us)));
        let heard = ear.counts();
        let codec = ear.listening.codec();
        let mos = quality::mos(codec, &heard, &ear.late, ear.round_trips.mean());
        LegReport {
            codec: Some(codec),
            duration: us(ended_us.saturating_sub(started_us)),
            said: mouth.said,
            heard,
            strangers: ear.strangers,
            dropped_here,
            jitter: ear.jitter(),
            muted: us(ear.muted_us),
            longest_gap: us(ear.longest_gap_us),
            first_packet: since_start(ear.first_packet_us),
            first_audio: since_start(ear.first_audio_us),
            sound: ear.sound(),
            round_trips: ear.round_trips,
            digits: ear.digits,
            late: ear.late,
            mos,
        }
    }
}

const FRAME: Duration = Duration::from_millis(20);
