//! What a leg costs the generator: so many G.711 legs on one core against an echo on another.
//!
//! ```text
//! cargo build --release -p vox-benches --bin floor
//! cargo run --release -p voxload --example legs -- target/release/floor 500 1000 2000
//! ```
//!
//! The echo is the `floor` of `vox-benches`: a bare io_uring UDP echo, which works in 2 ms batches.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use vox_codecs::CodecKind;
use voxload::generator::{Generator, GeneratorConfig, Interval, Leg, LegSpec, Markers, Speech};
use voxload::media::Agreed;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let floor = arguments.next().ok_or("expected: FLOOR LEGS ...")?;
    let seconds = std::env::var("SECONDS_EACH").ok().and_then(|text| text.parse().ok());
    let speech = Speech::new(Speech::synthetic(30.0, 8_000), 8_000, Some(Markers::default()));
    speech.prepare(&[CodecKind::Pcmu]);
    let speech = Arc::new(speech);
    println!(
        "| legs | % of a core | % per leg | left late p50 / p99 / p99.9, ms | skipped, dropped, overruns | came late p99.9, ms | lost | round trip p50, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for legs in arguments {
        let legs = legs.parse()?;
        let interval = measure(&floor, &speech, legs, seconds.unwrap_or(10)).await?;
        print(legs, &interval);
    }
    Ok(())
}

/// `legs` legs for `seconds`, after three of warming up.
async fn measure(
    floor: &str,
    speech: &Arc<Speech>,
    legs: usize,
    seconds: u64,
) -> Result<Interval, Box<dyn Error>> {
    let bind = Ipv4Addr::LOCALHOST.into();
    let config = GeneratorConfig { cores: vec![GENERATOR_CORE], legs_max: legs, bind };
    let generator = Generator::start(config)?;
    let open = |seed| generator.open(LegSpec::talking(speech.clone(), seed));
    let legs: Vec<Leg> = (0..legs as u32).map(open).collect::<Result<_, _>>()?;
    let mut echoes = Vec::new();
    // As many as an echo has buffers for.
    for legs in legs.chunks(500) {
        let (echo, ports) = start_echo(floor, legs)?;
        echoes.push(echo);
        for (leg, port) in legs.iter().zip(ports) {
            leg.start(Agreed {
                remote: SocketAddr::new(bind, port),
                codec: CodecKind::Pcmu,
                payload_type: 0,
                event_payload_type: None,
            });
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    generator.take().await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let interval = generator.take().await;
    for mut echo in echoes {
        drop(echo.stdin.take());
        echo.wait()?;
    }
    Ok(interval)
}

/// An echo for each leg, on a core of its own, and where it listens.
fn start_echo(floor: &str, legs: &[Leg]) -> Result<(Child, Vec<u16>), Box<dyn Error>> {
    let peers: Vec<_> = legs.iter().map(|leg| leg.local().port().to_string()).collect();
    let mut echo = Command::new("taskset")
        .args(["-c", ECHO_CORE, floor, "server", "floor", "--core", ECHO_CORE, "--peers"])
        .arg(peers.join(","))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(echo.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let ports = line.trim().split(',').map(str::parse).collect::<Result<_, _>>()?;
    Ok((echo, ports))
}

fn print(legs: usize, interval: &Interval) {
    let (thread, totals) = (&interval.threads[0], &interval.totals);
    let percent = 100.0 * thread.cpu.as_secs_f64() / thread.length.as_secs_f64();
    let ms = |micros: u64| micros as f64 / 1e3;
    let left = |quantile| ms(totals.send_late.value_at_quantile(quantile));
    println!(
        "| {legs} | {percent:.1} | {:.4} | {:.2} / {:.2} / {:.2} | {}, {}, {} | {:.2} | {} of {} | {:.2} |",
        percent / legs as f64,
        left(0.5),
        left(0.99),
        left(0.999),
        totals.skipped,
        totals.send_dropped,
        totals.receive_overruns,
        ms(totals.late.value_at_quantile(0.999)),
        totals.lost(),
        totals.expected,
        ms(totals.round_trip.value_at_quantile(0.5)),
    );
}

const GENERATOR_CORE: usize = 1;
const ECHO_CORE: &str = "0";
