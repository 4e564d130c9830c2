use std::mem;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use vox_codecs::codec::PCM_SAMPLES_MAX;
use vox_ring::sys::{self, EventFd};
use vox_ring::{Completion, Received, Ring, Sizes, SocketKey, Token, Wait};
use vox_rtp::memory::{PacketMemory, TxSlot};

use super::legs::Legs;
use super::line::{DATAGRAM_BYTES, Journey};
use super::listen::MARKER_AHEAD;
use super::mouth::{self, Mouth};
use super::state::{Agreement, Body, Ended, LegState, Media};
use super::wheel::Wheel;
use crate::generator::config::StartError;
use crate::generator::interval::Totals;
use crate::generator::link::{LinkEnds, Order, Taken};

/// A thread at work.
pub(super) struct Worker {
    ring: Ring,
    legs: Legs,
    wheel: Wheel<Due>,
    /// Legs on each millisecond of the 20 ms grid.
    phases: [u32; FRAME_TICKS as usize],
    orders: Receiver<Order>,
    wake: Arc<EventFd>,
    epoch: Instant,
    totals: Box<Totals>,
    /// Packets queued since the last submission.
    queued: u64,
    completions: Vec<Completion>,
    /// Sockets whose receive ended and must be armed again.
    ended: Vec<SocketKey>,
    pcm: Box<[i16; PCM_SAMPLES_MAX]>,
    scratch: Box<[u8; DATAGRAM_BYTES]>,
    quitting: bool,
}

/// What is due at a tick.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// The next frame of a leg.
    Frame(SocketKey),
    /// A packet of a leg, out of its bad network.
    Arrival(SocketKey, u16),
}

/// The two clocks at one instant: the thread's, and the one that the kernel stamps packets with.
#[derive(Debug, Clone, Copy)]
struct Now {
    us: u64,
    system: Duration,
}

impl Worker {
    /// To be called on the thread itself.
    pub(super) fn new(ends: LinkEnds) -> Result<Self, StartError> {
        if let Some(core) = ends.core {
            sys::pin_to(core).map_err(StartError::Thread)?;
        }
        // What else runs on its core would make packets late; where that cannot be asked for, they say so.
        let _ = sys::prefer_this_thread();
        // Where it is not there, the time spent on the run queue is not known.
        if let Ok(task) = std::fs::read_link("/proc/thread-self") {
            let _ = ends.task.set(format!("/proc/{}/schedstat", task.display()));
        }
        let sizes = sizes(ends.rows);
        let mut ring = Ring::new(sizes, ends.wake.clone(), Vec::new())?;
        ring.arm_wake();
        Ok(Self {
            ring,
            legs: Legs::new(ends.rows, ends.freed),
            wheel: Wheel::new(),
            phases: [0; FRAME_TICKS as usize],
            orders: ends.orders,
            wake: ends.wake,
            epoch: Instant::now(),
            totals: Box::default(),
            queued: 0,
            completions: Vec::with_capacity(sizes.completions as usize),
            ended: Vec::with_capacity(ends.rows),
            pcm: Box::new([0; PCM_SAMPLES_MAX]),
            scratch: Box::new([0; DATAGRAM_BYTES]),
            quitting: false,
        })
    }

    pub(super) fn run(&mut self) {
        while self.step() {
            self.wait();
        }
    }

    /// Everything there is to do now; `false` when that was the last.
    fn step(&mut self) -> bool {
        self.turn_wheel();
        self.take_completions();
        self.take_orders();
        self.rearm();
        !self.quitting
    }

    /// Does what is due, each millisecond's packets in one submission.
    fn turn_wheel(&mut self) {
        // Not what becomes due meanwhile: what has arrived must have its turn, too.
        let until = self.now_us() / TICK_US;
        self.wheel.jump(until);
        while self.wheel.tick() <= until {
            let now_us = self.now_us();
            while let Some(due) = self.wheel.take() {
                match due {
                    Due::Frame(key) => self.frame(key, now_us),
                    Due::Arrival(key, place) => self.arrival(key, place),
                }
            }
            self.submit(self.wheel.tick() * TICK_US);
            self.wheel.advance();
        }
    }

    /// 20 ms of a leg.
    fn frame(&mut self, key: SocketKey, now_us: u64) {
        let tick = self.wheel.tick();
        let Some(leg) = self.legs.get(key).filter(|leg| !leg.vanished) else {
            self.phases[phase(tick)] -= 1;
            return;
        };
        let period_ns = leg.period_ns;
        let Some(media) = &mut leg.media else { return };
        media.frames += 1;
        let next = (media.grid_us * 1_000 + media.frames * period_ns).div_ceil(TICK_US * 1_000);
        if !media.mouth.sends {
            media.mouth.skip();
        } else if now_us > tick * TICK_US + SKIP_US {
            media.mouth.skip();
            media.mouth.said.skipped += 1;
            self.totals.skipped += 1;
        } else {
            self.speak(key, now_us);
        }
        self.phases[phase(tick)] -= 1;
        self.phases[phase(next)] += 1;
        self.wheel.insert(next, Due::Frame(key));
    }

    /// Says a leg's next packet, through its network if it has one.
    fn speak(&mut self, key: SocketKey, now_us: u64) {
        let Self { legs, ring, wheel, totals, queued, scratch, .. } = self;
        let Some(leg) = legs.get(key) else { return };
        let to = leg.remote.filter(|_| !leg.connected);
        let Some(media) = &mut leg.media else { return };
        let Media { mouth, line, echo, ear, frames, .. } = &mut **media;
        let journey = match line {
            Some(line) => line.journey(FRAME * (*frames as u32 - 1)),
            None => Journey::Arrives(Duration::ZERO),
        };
        let packet = match (journey, line) {
            (Journey::Lost, _) => {
                mouth.said.lost_on_purpose += 1;
                totals.lost_on_purpose += 1;
                mouth.speak(&mut scratch[..], echo.as_deref_mut())
            }
            (Journey::Arrives(later), Some(line)) if !later.is_zero() => {
                let mut packet = mouth::Packet::default();
                let place = line.keep(|out| {
                    packet = mouth.speak(out, echo.as_deref_mut());
                    packet.len
                });
                if let Some(place) = place {
                    let ticks = (later.as_micros() as u64).div_ceil(TICK_US);
                    wheel.insert(wheel.tick() + ticks, Due::Arrival(key, place));
                }
                packet
            }
            _ => {
                let Some(slot) = acquire(ring) else { return };
                let packet = mouth.speak(ring.packets().slot(&slot), echo.as_deref_mut());
                let sent = ring.send(key, slot, packet.len as u16, to);
                count(sent, mouth, totals, queued);
                packet
            }
        };
        if let Some(into_us) = packet.marker_ahead_us {
            let ahead_us = u64::from(MARKER_AHEAD) * FRAME_TICKS * TICK_US;
            ear.listening.marker_comes(now_us + ahead_us + u64::from(into_us));
        }
        if let Some(into_us) = packet.marker_us {
            ear.listening.marker_sent(now_us + u64::from(into_us));
        }
    }

    /// A packet comes out of a leg's bad network.
    fn arrival(&mut self, key: SocketKey, place: u16) {
        let Self { legs, ring, totals, queued, .. } = self;
        let Some(leg) = legs.get(key) else { return };
        let to = leg.remote.filter(|_| !leg.connected);
        let Some(media) = &mut leg.media else { return };
        let Some(line) = &mut media.line else { return };
        let bytes = line.arrive(place);
        let Some(slot) = acquire(ring) else { return };
        ring.packets().slot(&slot)[..bytes.len()].copy_from_slice(bytes);
        let sent = ring.send(key, slot, bytes.len() as u16, to);
        count(sent, &mut media.mouth, totals, queued);
    }

    /// Hands what is queued to the kernel, which has sent it when this returns.
    fn submit(&mut self, due_us: u64) {
        let sent = mem::take(&mut self.queued);
        if sent > 0 {
            self.ring.flush();
            let late = self.now_us().saturating_sub(due_us);
            self.totals.send_late.saturating_record_n(late, sent);
        }
    }

    fn take_completions(&mut self) {
        let now = Now {
            us: self.now_us(),
            system: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        };
        let mut completions = mem::take(&mut self.completions);
        self.ring.completions(&mut completions);
        for (at, completion) in completions.iter().enumerate() {
            if let Some(Token::Receive(soon)) = completions.get(at + 3).map(|next| next.token) {
                self.legs.expect(soon);
            }
            match completion.token {
                Token::Receive(key) => self.received(key, completion, now),
                Token::Send(key) => self.send_failed(key, completion.result),
                Token::Wake => {
                    self.wake.clear();
                    self.ring.arm_wake();
                }
                Token::Quiet => {}
            }
        }
        completions.clear();
        self.completions = completions;
    }

    fn received(&mut self, key: SocketKey, completion: &Completion, now: Now) {
        if let Some(buffer) = completion.buffer {
            let filled = completion.result.max(0) as usize;
            if let Received::Whole { source, buf, stamp } = self.ring.received(buffer, filled) {
                if let Some(leg) = self.legs.get(key) {
                    let datagram = self.ring.packets().received(&buf);
                    hear(leg, now.arrival(stamp), datagram, &mut self.totals, &mut self.pcm[..]);
                    if leg.remote == Some(source) && !leg.connected {
                        // From now on the kernel finds the way once instead of for each packet.
                        leg.connected = sys::connect(&leg.socket, leg.remote).is_ok();
                    }
                }
                self.ring.packets().release(buf);
            }
        }
        self.totals.receive_overruns += u64::from(completion.result == -ENOBUFS);
        if !completion.more && self.legs.ended(key, &mut self.ring) {
            self.ended.push(key);
        }
    }

    /// A send that was counted has failed.
    fn send_failed(&mut self, key: SocketKey, result: i32) {
        // A peer whose port is closed is not our kernel's refusal.
        let dropped = !matches!(-result, ECONNREFUSED | EHOSTUNREACH | ENETUNREACH);
        self.totals.sent = self.totals.sent.saturating_sub(1);
        self.totals.send_dropped += u64::from(dropped);
        if let Some(media) = self.legs.get(key).and_then(|leg| leg.media.as_mut()) {
            media.mouth.said.sent -= 1;
            media.mouth.said.skipped += u64::from(dropped);
        }
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Open(leg) => self.legs.open(leg, &mut self.ring),
                Order::Agree(key, agreement) => self.agree(key, *agreement),
                Order::Digits(key, digits) => {
                    if let Some(media) = self.legs.get(key).and_then(|leg| leg.media.as_mut()) {
                        media.mouth.presses.press(&digits);
                    }
                }
                Order::Vanish(key) => self.vanish(key),
                Order::Stop(key, answer) => {
                    let ended = self.stop(key);
                    if let Some((answer, ended)) = answer.zip(ended) {
                        // Who asked may have gone.
                        let _ = answer.send(ended);
                    }
                }
                Order::Take(fresh, answer) => {
                    let totals = mem::replace(&mut self.totals, fresh);
                    let cpu = sys::thread_cpu_time().unwrap_or_default();
                    let _ = answer.send(Taken { totals, cpu });
                }
                Order::Quit => self.quitting = true,
            }
        }
    }

    fn agree(&mut self, key: SocketKey, agreement: Agreement) {
        let Agreement { agreed, direction, at, payloads, body } = agreement;
        let now_us = self.now_us();
        let Some(leg) = self.legs.get(key) else { return };
        if leg.connected && leg.remote != Some(agreed.remote) {
            leg.connected = sys::connect(&leg.socket, Some(agreed.remote)).is_ok();
        }
        leg.remote = Some(agreed.remote);
        match body {
            Body::Start(mut media) => {
                let at_us = at.saturating_duration_since(self.epoch).as_micros() as u64;
                // The phase with the fewest legs, of the next 20 ms.
                let ticks = now_us / TICK_US + 1..=now_us / TICK_US + FRAME_TICKS;
                let tick = ticks.min_by_key(|&tick| self.phases[phase(tick)]).unwrap_or_default();
                (media.started_us, media.grid_us) = (at_us, tick * TICK_US);
                self.phases[phase(tick)] += 1;
                self.wheel.reserve(media.wheel_places());
                self.wheel.insert(tick, Due::Frame(key));
                leg.media = Some(media);
            }
            Body::Change(listening) => {
                let Some(media) = &mut leg.media else { return };
                media.mouth.agree(&agreed, payloads);
                media.ear.agree(&agreed, listening);
            }
        }
        if let Some(media) = leg.media.as_mut().filter(|_| !leg.vanished) {
            media.mouth.sends = direction.sends();
            media.ear.direct(direction, now_us);
        }
    }

    fn vanish(&mut self, key: SocketKey) {
        let now_us = self.now_us();
        let Some(leg) = self.legs.get(key).filter(|leg| !leg.vanished) else { return };
        leg.vanished = true;
        if leg.receiving {
            self.ring.stop_receiving(key);
        }
        if let Some(media) = &mut leg.media {
            media.ear.end(now_us, &mut self.totals);
            media.ended_us = now_us;
        }
    }

    fn stop(&mut self, key: SocketKey) -> Option<Ended> {
        let now_us = self.now_us();
        let leg = self.legs.get(key)?;
        let (vanished, dropped) = (leg.vanished, sys::dropped(&leg.socket).unwrap_or_default());
        let mut media = self.legs.close(key, &mut self.ring);
        if let Some(media) = &mut media {
            self.wheel.unreserve(media.wheel_places());
            media.dropped_here = dropped;
            self.totals.dropped_here += dropped;
            if !vanished {
                media.ear.end(now_us, &mut self.totals);
                media.ended_us = now_us;
            }
        }
        Some(Ended(media))
    }

    /// Receives again where that had ended, as part of the next submission, once there are buffers.
    fn rearm(&mut self) {
        if self.ended.is_empty() || !self.ring.packets().can_receive() {
            return;
        }
        for key in self.ended.drain(..) {
            self.legs.rearm(key, &mut self.ring);
        }
    }

    /// Until the next millisecond; with no leg, until somebody rings.
    fn wait(&mut self) {
        let entered = if self.legs.open_legs() == 0 {
            self.ring.enter(Wait::ForAnything)
        } else {
            let due_us = self.wheel.tick() * TICK_US;
            let entered = match due_us.saturating_sub(self.now_us()) {
                0 => self.ring.enter(Wait::No),
                left => self.ring.enter(Wait::Batch(Duration::from_micros(left))),
            };
            let late = self.now_us() > due_us + LATE_WAKE_UP_US;
            self.totals.late_wake_ups += u64::from(late);
            entered
        };
        // Not known to happen; a pause keeps a broken ring from burning the core.
        if entered.is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }
}

impl Now {
    /// When a packet arrived that the kernel has stamped.
    fn arrival(self, stamp: Option<Duration>) -> u64 {
        // The system's clock may step, the thread's does not: only the packet's age is taken from it.
        let age = stamp.map_or(Duration::ZERO, |stamp| self.system.saturating_sub(stamp));
        self.us.saturating_sub(age.as_micros() as u64)
    }
}

fn hear(leg: &mut LegState, at: u64, datagram: &[u8], totals: &mut Totals, pcm: &mut [i16]) {
    if let Some(media) = leg.media.as_mut().filter(|_| !leg.vanished) {
        media.ear.hear(at, datagram, media.echo.as_deref_mut(), totals, pcm);
    }
}

/// A send slot; what is queued leaves first when there is none.
fn acquire(ring: &mut Ring) -> Option<TxSlot> {
    if let Some(slot) = ring.packets().acquire() {
        return Some(slot);
    }
    ring.flush();
    ring.packets().acquire()
}

fn count(sent: bool, mouth: &mut Mouth, totals: &mut Totals, queued: &mut u64) {
    if sent {
        mouth.said.sent += 1;
        totals.sent += 1;
        *queued += 1;
    } else {
        mouth.said.skipped += 1;
        totals.send_dropped += 1;
    }
}

const fn phase(tick: u64) -> usize {
    (tick % FRAME_TICKS) as usize
}

/// How large a thread's ring is.
///
/// - `provided`, `buffers`: a look finds a twentieth of the legs' packets; all of them may come at
///   once. None is held beyond its look.
/// - `slots`: a millisecond's packets; when there are more, the first ones leave ahead.
/// - `completions`: everything provided may be used, every send fail, every receive end.
fn sizes(rows: usize) -> Sizes {
    let provided = rows.next_power_of_two().clamp(256, 8_192) as u16;
    let slots = 1_024;
    let submissions = 2 * u32::from(slots);
    Sizes {
        files: rows as u32,
        submissions,
        completions: (u32::from(provided) + submissions + 2 * rows as u32).next_power_of_two(),
        buffers: provided,
        provided,
        slots,
        stamps: true,
    }
}

const FRAME: Duration = Duration::from_millis(20);
/// How often a thread looks.
const TICK_US: u64 = 1_000;
const FRAME_TICKS: u64 = 20;
/// A packet this late is not made any more: a thread that cannot keep up must not fall ever further
/// behind.
const SKIP_US: u64 = 200_000;
const LATE_WAKE_UP_US: u64 = 2_000;
const ENOBUFS: i32 = Errno::ENOBUFS as i32;
const ECONNREFUSED: i32 = Errno::ECONNREFUSED as i32;
const EHOSTUNREACH: i32 = Errno::EHOSTUNREACH as i32;
const ENETUNREACH: i32 = Errno::ENETUNREACH as i32;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use vox_codecs::CodecKind;

    use super::*;
    use crate::generator::config::LegSpec;
    use crate::generator::leg::Leg;
    use crate::generator::link::Link;
    use crate::generator::speech::{Markers, Speech};
    use crate::media::Agreed;

    #[test]
    fn a_thread_neither_allocates_nor_frees_while_its_legs_talk() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        let echo = std::thread::spawn(move || {
            let mut bytes = [0; 2_000];
            peer.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            while let Ok((len, from)) = peer.recv_from(&mut bytes) {
                peer.send_to(&bytes[..len], from).unwrap();
            }
        });
        let (link, ends) = Link::new(None, 20).unwrap();
        let link = Arc::new(link);
        let mut worker = Worker::new(ends).unwrap();
        let markers = Markers { every: Duration::from_secs(1), ..Markers::default() };
        let speech = Arc::new(Speech::new(Speech::synthetic(3.0, 8_000), 8_000, Some(markers)));
        let legs: Vec<_> = (0..20u32)
            .map(|n| {
                let codec = [CodecKind::Pcmu, CodecKind::G722, CodecKind::Opus][n as usize % 3];
                let network = ["", "loss=10%,delay=40ms,jitter=30ms"][n as usize % 2];
                let echoes = n % 5 == 0;
                let talking = LegSpec::talking(speech.clone(), n);
                let spec = LegSpec { network: network.parse().unwrap(), echoes, ..talking };
                let key = link.take_row().unwrap();
                let leg = Leg::open(link.clone(), key, remote.ip(), spec).unwrap();
                leg.start(Agreed {
                    remote,
                    codec,
                    payload_type: 96,
                    event_payload_type: Some(101),
                });
                leg.digits("1").unwrap();
                leg
            })
            .collect();
        let mut work = |length| {
            let start = Instant::now();
            while start.elapsed() < length {
                worker.step();
                worker.wait();
            }
            (worker.totals.sent, worker.totals.received, worker.totals.round_trip.len())
        };
        let before = work(Duration::from_millis(500));
        let mut after = before;
        let touches = vox_heap::touches(|| after = work(Duration::from_millis(2_500)));
        assert_eq!(touches, 0, "allocations and frees");
        assert!(after.0 > before.0 + 1_500 && after.1 > before.1 + 1_500, "{before:?} {after:?}");
        assert!(after.2 > before.2 + 10, "markers came back, too: {before:?} {after:?}");
        drop(legs);
        echo.join().unwrap();
    }
}
