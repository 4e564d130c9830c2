//! All sides in turns, and the table of them.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use vox_benches::process::Process;
use vox_benches::process_tree::CpuTime;
use vox_benches::spread;

use crate::side::Side;

#[derive(Debug, Args)]
pub(crate) struct Comparison {
    /// Calls at once, one table each.
    #[arg(long, value_delimiter = ',', default_value = "200,800")]
    calls: Vec<usize>,
    /// What is compared; what a side is measured against has to be among them.
    #[arg(long, value_delimiter = ',', default_value = "floor,echo,vad,recording")]
    sides: Vec<Side>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement, after a second of warming up.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// The servers' core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The callers' core.
    #[arg(long, default_value_t = 1)]
    caller_core: usize,
}

pub(crate) fn run(options: &Comparison) -> Result<()> {
    for side in &options.sides {
        let reference = side.reference().filter(|reference| !options.sides.contains(reference));
        if let Some(reference) = reference {
            anyhow::bail!(
                "{} is measured against {}: add it to --sides",
                side.name(),
                reference.name()
            );
        }
    }
    for &calls in &options.calls {
        let measured = rounds(options, calls)?;
        print(options, calls, &measured);
    }
    Ok(())
}

/// Percent of a core for each call, by side and round.
fn rounds(options: &Comparison, calls: usize) -> Result<Vec<Vec<f64>>> {
    let mut measured = vec![vec![]; options.sides.len()];
    for round in 0..options.rounds {
        // A machine that drifts hits all sides alike: each goes first once in a while.
        for turn in 0..options.sides.len() {
            let index = (round + turn) % options.sides.len();
            let side = options.sides[index];
            let percent = measure(options, calls, side)?;
            eprintln!("{calls} calls, round {round}: {} {percent:.4} %", side.name());
            measured[index].push(percent);
        }
    }
    Ok(measured)
}

fn print(options: &Comparison, calls: usize, measured: &[Vec<f64>]) {
    println!("{calls} calls, median (lowest-highest) of {} rounds\n", options.rounds);
    println!("| server | % of a core per call | against | ratio by round | aim |");
    println!("|---|---|---|---|---|");
    for (side, percents) in options.sides.iter().zip(measured) {
        let reference = side.reference().and_then(|reference| {
            let index = options.sides.iter().position(|side| *side == reference)?;
            let mut ratios: Vec<_> =
                percents.iter().zip(&measured[index]).map(|(a, b)| a / b).collect();
            Some((reference.name(), spread(&mut ratios, 2)))
        });
        let (against, ratio) = reference.unwrap_or_default();
        let aim = side.aim().map(|aim| format!("{aim}")).unwrap_or_default();
        let percent = spread(&mut percents.clone(), 4);
        println!("| {} | {percent} | {against} | {ratio} | {aim} |", side.name());
    }
    println!();
}

/// A server and its callers, talking.
pub(crate) struct Running {
    pub(crate) server: Process,
    callers: Process,
}

impl Running {
    pub(crate) fn start(side: Side, calls: usize, cores: [usize; 2]) -> Result<Self> {
        let [server_core, caller_core] = cores;
        let text = |text: &str| text.to_owned();
        let mut generate = vec![text("generator"), text("--calls"), calls.to_string()];
        if side == Side::Opus {
            generate.push(text("--opus"));
        }
        let mut callers = Process::start(caller_core, &generate)?;
        let serve = [
            text("server"),
            side.name(),
            text("--core"),
            server_core.to_string(),
            text("--peers"),
            callers.line()?,
        ];
        let mut server = Process::start(server_core, &serve)?;
        callers.tell(&server.line()?)?;
        thread::sleep(WARM_UP);
        Ok(Self { server, callers })
    }

    /// Ends both; packets sent and echoes received.
    pub(crate) fn finish(self) -> Result<(u64, u64)> {
        let counts = self.callers.finish()?;
        let said = self.server.finish()?;
        if !said.is_empty() && !said.starts_with("0 dropped") {
            eprintln!("the engine says: {said}");
        }
        let (sent, received) = counts.split_once(' ').context("two counts")?;
        Ok((sent.parse()?, received.parse()?))
    }
}

/// Percent of a core for each call.
fn measure(options: &Comparison, calls: usize, side: Side) -> Result<f64> {
    let cores = [options.server_core, options.caller_core];
    let running = Running::start(side, calls, cores)?;
    let cpu = CpuTime::start(running.server.id());
    thread::sleep(Duration::from_secs(options.seconds));
    let cpu = cpu.percent() / calls as f64;
    let (sent, received) = running.finish()?;
    // The engine's echo is as late as its jitter buffer is long: a quarter of a second at most.
    let missing = sent.saturating_sub(received);
    let answers = side != Side::Libopus;
    ensure!(
        !answers || missing < calls as u64 * 13,
        "{side:?}: {received} echoes of {sent} packets"
    );
    Ok(cpu)
}

const WARM_UP: Duration = Duration::from_secs(1);
