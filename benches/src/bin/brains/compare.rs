//! Bridge, echo and brains in turns, and the table of all.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use vox_benches::process::Process;
use vox_benches::process_tree::CpuTime;
use vox_benches::worker::{BOTS, Worker};
use vox_benches::{median, spread};

#[derive(Debug, Args)]
pub(crate) struct Comparison {
    /// The program that runs the worker.
    #[arg(long, default_value = "target/release/vox")]
    worker: PathBuf,
    /// Calls at once, one table each.
    #[arg(long, value_delimiter = ',', default_value = "200")]
    calls: Vec<usize>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Length of one measurement, after the calls have settled.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// The worker's core.
    #[arg(long, default_value_t = 0)]
    worker_core: usize,
    /// The callers' and the brains' core.
    #[arg(long, default_value_t = 1)]
    caller_core: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Bridge,
    Bot(&'static str),
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Percent of a core for each call.
    cpu: f64,
    /// Caller → brain → caller.
    round_trip_ms: [f64; 3],
}

pub(crate) fn run(options: &Comparison) -> Result<()> {
    ensure!(
        options.worker.is_file(),
        "{} is not there: run `./dev build`, or name the worker's program with --worker",
        options.worker.display()
    );
    for &calls in &options.calls {
        let mut sides = SIDES.map(|side| (side, vec![]));
        for round in 0..options.rounds {
            // A machine that drifts hits all sides alike: each goes first in turn.
            for at in 0..sides.len() {
                let (side, measured) = &mut sides[(at + round) % SIDES.len()];
                let one = measure(options, calls, *side)
                    .with_context(|| format!("{side:?} with {calls} calls"))?;
                eprintln!("{calls} calls, round {round}: {side:?} {one:?}");
                measured.push(one);
            }
        }
        print(calls, options.rounds, &sides);
    }
    Ok(())
}

fn print(calls: usize, rounds: usize, sides: &[(Side, Vec<Measured>)]) {
    println!("{calls} calls; median (lowest-highest) of {rounds} rounds");
    println!("| | % of a core per call | beside the bridge | round trip p50 / p95 / p99 ms |");
    println!("|---|---|---|---|");
    let (_, bridge) = &sides[0];
    for (side, measured) in sides {
        let ratios = measured.iter().zip(bridge).map(|(side, bridge)| side.cpu / bridge.cpu);
        let mut cpu: Vec<_> = measured.iter().map(|one| one.cpu).collect();
        let round_trip = |at: usize| {
            median(&mut measured.iter().map(|one| one.round_trip_ms[at]).collect::<Vec<_>>())
        };
        println!(
            "| {} | {} | {} | {:.1} / {:.1} / {:.1} |",
            side.name(),
            spread(&mut cpu, 4),
            spread(&mut ratios.collect::<Vec<_>>(), 2),
            round_trip(0),
            round_trip(1),
            round_trip(2),
        );
    }
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bare bridge UDP to WebSocket, 2 ms",
            Self::Bot(name) => name,
        }
    }
}

fn measure(options: &Comparison, calls: usize, side: Side) -> Result<Measured> {
    let [worker, other] = [options.worker_core, options.caller_core];
    let mut brain = Process::start(other, &["brain".into()])?;
    let brain_port = brain.line()?;
    match side {
        Side::Bridge => {
            let mut callers = callers(other, calls, &[])?;
            let serve = [
                "bridge".into(),
                "--brain".into(),
                format!("127.0.0.1:{brain_port}"),
                "--peers".into(),
                callers.line()?,
            ];
            let mut bridge = Process::start(worker, &serve)?;
            callers.tell(&bridge.line()?)?;
            watch(options, calls, callers, &bridge)
        }
        Side::Bot(bot) => {
            let directory = tempfile::tempdir()?;
            let bots = BOTS.replace("PORT", &brain_port);
            let worker = Worker::start(&options.worker, worker, directory.path(), &bots, calls)?;
            let whom = ["--sip".into(), worker.sip.to_string(), "--user".into(), bot.into()];
            let mut callers = callers(other, calls, &whom)?;
            callers.line()?;
            watch(options, calls, callers, &worker.process)
        }
    }
}

fn callers(core: usize, calls: usize, whom: &[String]) -> Result<Process> {
    let mut args = vec!["callers".into(), "--calls".into(), calls.to_string()];
    args.extend_from_slice(whom);
    Process::start(core, &args)
}

/// Lets the calls settle, looks at the CPU of `server` for a while, ends the calls.
fn watch(
    options: &Comparison,
    calls: usize,
    mut callers: Process,
    server: &Process,
) -> Result<Measured> {
    ensure!(callers.line()? == "ready", "the callers are not ready");
    thread::sleep(WARM_UP);
    let cpu = CpuTime::start(server.id());
    thread::sleep(Duration::from_secs(options.seconds));
    let cpu = cpu.percent() / calls as f64;
    let said = callers.finish()?;
    let words: Vec<&str> = said.split(' ').collect();
    let [sent, received, p50, p95, p99] = words[..] else {
        anyhow::bail!("the callers say: {said}")
    };
    let (sent, received): (u64, u64) = (sent.parse()?, received.parse()?);
    // What is under way at the end, and what was sent before the brain was there: half a second.
    let missing = sent.saturating_sub(received);
    ensure!(missing < calls as u64 * 25, "{received} packets came back of {sent}");
    Ok(Measured { cpu, round_trip_ms: [p50.parse()?, p95.parse()?, p99.parse()?] })
}

const SIDES: [Side; 4] = [Side::Bridge, Side::Bot("echo"), Side::Bot("vox"), Side::Bot("twilio")];
const WARM_UP: Duration = Duration::from_secs(3);
