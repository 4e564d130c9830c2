//! Decision 0003: what a connection of the `webrtc` crate holds, and what a packet through it
//! costs, beside the same packets over bare UDP sockets, in the same run and the same runtime.
//!
//! All on 127.0.0.1: pairs of connections with one PCMU track, from the first to the second.
//! `webrtc` encrypts (SRTP) and reports (RTCP) where bare UDP does not: the difference is not all
//! overhead, but it is all cost.

mod pair;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};
use vox_alternatives::{CountingAllocator, cpu_time, descriptors, resident_bytes, threads};

use pair::Pair;

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator::new();

#[derive(Debug, Parser)]
#[command(about = "What the webrtc crate costs for a connection and for a packet")]
struct Options {
    /// Pairs of connections.
    #[arg(long, default_value_t = 25)]
    pairs: usize,
    /// How long packets flow, each time.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How often each side is measured, in turns.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
}

impl Options {
    /// In a round, of all streams.
    fn packets(&self) -> u64 {
        self.seconds * 50 * self.pairs as u64
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let received = Arc::new(AtomicU64::new(0));
    // What is made once, whoever asks first, is not any connection's.
    Pair::new(&received).await?.connect().await?.close().await?;

    let mut pairs = Vec::new();
    let start = Held::now();
    for _ in 0..options.pairs {
        pairs.push(Pair::new(&received).await?);
    }
    Held::now().print("built", &start, options.pairs * 2);
    let mut connected = Vec::new();
    for pair in pairs {
        connected.push(pair.connect().await?);
    }
    Held::now().print("connected", &start, options.pairs * 2);

    let links = bare_links(options.pairs, &received).await?;
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let idle = Spent::of(&options, round, &received, async |_| Ok(())).await?;
        let bare = Spent::of(&options, round, &received, async |sequence| {
            for link in &links {
                link.send(&packet(sequence)).await?;
            }
            Ok(())
        });
        let bare = bare.await?;
        let webrtc = Spent::of(&options, round, &received, async |sequence| {
            for pair in &connected {
                pair.send(sequence, Bytes::from_static(&PAYLOAD)).await?;
            }
            Ok(())
        });
        rounds.push([idle, bare, webrtc.await?]);
    }
    print(&options, &rounds);
    for pair in connected {
        pair.close().await?;
    }
    Ok(())
}

/// What the process holds.
struct Held {
    tasks: usize,
    descriptors: usize,
    heap_bytes: u64,
    resident_bytes: u64,
}

impl Held {
    fn now() -> Self {
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            descriptors: descriptors(),
            heap_bytes: HEAP.live_bytes(),
            resident_bytes: resident_bytes(),
        }
    }

    fn print(&self, state: &str, before: &Self, connections: usize) {
        let each = |now: f64, then: f64| (now - then) / connections as f64;
        println!(
            "{connections} connections {state}, each: {:.1} tasks, {:.1} descriptors, {:.0} KiB of heap, {:.0} KiB resident \
             ({} threads in all)",
            each(self.tasks as f64, before.tasks as f64),
            each(self.descriptors as f64, before.descriptors as f64),
            each(self.heap_bytes as f64, before.heap_bytes as f64) / 1_024.0,
            each(self.resident_bytes as f64, before.resident_bytes as f64) / 1_024.0,
            threads(),
        );
    }
}

/// What a stretch of time took of the process, both ends of all streams in it.
struct Spent {
    received: u64,
    cpu: Duration,
    allocations: u64,
}

impl Spent {
    /// Calls `send` with a sequence number every 20 ms: a packet for each stream. The numbers go on
    /// from round to round: SRTP drops what it has seen before.
    async fn of(
        options: &Options,
        round: u64,
        received: &AtomicU64,
        mut send: impl AsyncFnMut(u16) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (cpu, allocations, before) = (cpu_time(), HEAP.allocations(), received.load(Relaxed));
        let ticks_each = options.seconds * 50;
        for sequence in round * ticks_each..(round + 1) * ticks_each {
            ticks.tick().await;
            send(sequence as u16).await?;
        }
        // The last packets are on their way.
        ticks.tick().await;
        Ok(Self {
            received: received.load(Relaxed) - before,
            cpu: cpu_time() - cpu,
            allocations: HEAP.allocations() - allocations,
        })
    }
}

/// Medians over the rounds: a round that something else on the machine disturbed is left out of them.
fn print(options: &Options, rounds: &[[Spent; 3]]) {
    let [idle, bare, webrtc] = [0, 1, 2].map(|side| {
        let of = |figure: fn(&Spent) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(|round| figure(&round[side])).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let received: u64 = rounds.iter().map(|round| round[side].received).sum();
        (of(|spent| spent.cpu.as_secs_f64()), of(|spent| spent.allocations as f64), received)
    });
    let connections = (2 * options.pairs) as f64;
    let seconds = options.seconds as f64;
    println!(
        "connected, no media: {:.3} % of a core and {:.0} allocations a second for a connection",
        100.0 * idle.0 / seconds / connections,
        idle.1 / seconds / connections,
    );
    let packets = options.packets();
    for (name, (cpu, allocations, received)) in [("bare UDP", bare), ("webrtc", webrtc)] {
        println!(
            "above that, {name}: {:.1} µs and {:.1} allocations a packet ({received} of {} received)",
            1e6 * (cpu - idle.0) / packets as f64,
            (allocations - idle.1) / packets as f64,
            packets * options.rounds,
        );
    }
    println!("webrtc to bare UDP: {:.1}", (webrtc.0 - idle.0) / (bare.0 - idle.0));
}

/// Connected senders, each with a task behind it that receives and counts.
async fn bare_links(count: usize, received: &Arc<AtomicU64>) -> anyhow::Result<Vec<UdpSocket>> {
    let mut senders = Vec::new();
    for _ in 0..count {
        let receiver = UdpSocket::bind("127.0.0.1:0").await?;
        let sender = UdpSocket::bind("127.0.0.1:0").await?;
        sender.connect(receiver.local_addr()?).await?;
        senders.push(sender);
        let received = Arc::clone(received);
        tokio::spawn(async move {
            let mut buffer = [0; 2_048];
            while receiver.recv_from(&mut buffer).await.is_ok() {
                received.fetch_add(1, Relaxed);
            }
        });
    }
    Ok(senders)
}

fn packet(sequence: u16) -> [u8; 172] {
    let mut packet = [0xd5; 172];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet
}

/// 20 ms of µ-law.
static PAYLOAD: [u8; 160] = [0xd5; 160];
