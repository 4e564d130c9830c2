//! What a talking brain asks of the allocator: the turns of one call's session, with a real socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tungstenite::Message;
use vox_call::pipeline::{Agent, AgentLine, PortOptions, agent_port};
use vox_call::{
    Call, CallSetup, Command, Direction, Input, Limits, MediaSession, MediaTime, Output,
    PacketMemory, RxBuf, Shard, TxSlot,
};
use vox_codecs::{CodecKind, Decoder, Encoder};
use vox_contracts::{AgentProtocol, Object};
use vox_heap::{touched, watch};

use crate::agents::session::Session;
use crate::agents::socket::Room;
use crate::agents::*;

#[global_allocator]
static ALLOCATOR: vox_heap::Counting = vox_heap::Counting;

#[test]
fn a_vox_brain_that_hears_and_speaks_touches_the_allocator_for_no_frame() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let brain = thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let mut frames = 0;
        while let Ok(message) = socket.read() {
            if let Message::Binary(_) = message {
                frames += 1;
                socket.send(message).unwrap();
            }
        }
        frames
    });

    let (mut world, line) = World::new();
    let plan = plan(port);
    let deadline = Instant::now() + Duration::from_secs(60);
    let at = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let socket = connect::connect(&plan.address, &at, None, deadline).unwrap();
    let mut session = Session::new(1, CallId(1), plan, StartFacts::default(), Arc::default());
    let (asked, mut asks) = mpsc::channel(16);
    let (mut leaving, mut room) = (vec![], Room::default());
    session.connected(Ok(socket));
    session.answered(line, "PCMU");

    for frame in 1..=WARM_UP + FRAMES {
        world.tick();
        let mut turn = || {
            session.speak(&mut room);
            // Until the brain has said it back.
            while session.said_so_far() < frame * 160 {
                session.ready(true);
                assert!(session.listen(Instant::now(), &asked, &mut leaving, &mut room).is_none());
                assert!(Instant::now() < deadline, "the brain says nothing");
            }
        };
        if frame > WARM_UP { watch(turn) } else { turn() }
    }
    assert_eq!(touched(), 0, "in {FRAMES} frames each way");
    assert!(matches!(asks.try_recv(), Ok(Asked { what: Ask::Note("agent_connected", _), .. })));
    drop(session);
    assert_eq!(brain.join().unwrap(), WARM_UP + FRAMES);
}

/// A shard with one call, whose agent is elsewhere.
struct World {
    shard: Shard,
    slots: Slots,
}

impl World {
    fn new() -> (Self, AgentLine) {
        let mut world = Self { shard: Shard::new(1), slots: Slots([0; 1_500]) };
        let limit = Duration::from_secs(600);
        let limits = Limits { answer: limit, no_audio: limit, duration: limit };
        let (call, cname) = (CallId(1), [b'c'; 16]);
        let setup = CallSetup { call, limits, seed: 1, cname, tap: None, vad: None };
        let ahead_max = Duration::from_secs(600);
        let (port, line) = agent_port(PortOptions { rate_hz: 8_000, barge_in: None, ahead_max });
        world.handle(Input::Command(Command::Open(Call::new(setup))));
        let agent = Box::new(Agent::port(port));
        world.handle(Input::Command(Command::Attach { call, agent }));
        let session = Box::new(MediaSession {
            remote: SocketAddr::from(([192, 0, 2, 7], 4_000)),
            remote_rtcp: None,
            rtcp_mux: false,
            payload_type: 0,
            event_payload_type: None,
            noise_payload_type: None,
            direction: Direction::SendRecv,
            ptime_ms: 20,
            encoder: Encoder::new(CodecKind::Pcmu),
            decoder: Decoder::new(CodecKind::Pcmu),
        });
        world.handle(Input::Command(Command::Answer { call, session }));
        (world, line)
    }

    fn tick(&mut self) {
        self.handle(Input::Tick);
    }

    fn handle(&mut self, input: Input) {
        let now = self.shard.next_tick().unwrap_or(MediaTime::from_micros(1_000_000));
        self.shard.handle(now, input, &mut self.slots);
        while !matches!(self.shard.poll(), Output::Idle(_)) {}
    }
}

/// Nothing is received; what is sent goes nowhere.
struct Slots([u8; 1_500]);

impl PacketMemory for Slots {
    fn received(&self, _: &RxBuf) -> &[u8] {
        &[]
    }

    fn received_mut(&mut self, _: &RxBuf) -> &mut [u8] {
        &mut []
    }

    fn release(&mut self, _: RxBuf) {}

    fn acquire(&mut self) -> Option<TxSlot> {
        Some(TxSlot(0))
    }

    fn slot(&mut self, _: &TxSlot) -> &mut [u8] {
        &mut self.0
    }

    fn discard(&mut self, _: TxSlot) {}
}

fn plan(port: u16) -> SocketPlan {
    let limit = Duration::from_secs(600);
    SocketPlan {
        address: Address::parse(&format!("ws://127.0.0.1:{port}"), &Object::new()).unwrap(),
        protocol: AgentProtocol::Vox,
        sample_rate: None,
        barge_in: None,
        custom_parameters: Object::new(),
        session: Object::new(),
        limits: SocketLimits { connect: limit, reconnects: 0, idle: limit, ahead: limit },
        on_gone: OnGone::GoOn,
    }
}

/// Until buffers have their size.
const WARM_UP: u64 = 50;
const FRAMES: u64 = 500;
