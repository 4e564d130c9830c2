//! Floor and engine in turns, and the table of both.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use vox_benches::process::Process;
use vox_benches::spread;

#[derive(Debug, Args)]
pub(crate) struct Comparison {
    /// Calls at once, one table row each.
    #[arg(long, value_delimiter = ',', default_value = "100,200")]
    calls: Vec<usize>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement, after a second of warming up.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// The servers' core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The callers' core.
    #[arg(long, default_value_t = 1)]
    caller_core: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Floor,
    Engine,
}

pub(crate) fn run(options: &Comparison) -> Result<()> {
    println!("% of one core per call, median (lowest-highest) of {} rounds", options.rounds);
    println!("| calls | bare io_uring echo, 2 ms | the engine, G.711 echo | ratio by round |");
    println!("|---|---|---|---|");
    for &calls in &options.calls {
        let (mut floor, mut engine, mut ratios) = (vec![], vec![], vec![]);
        for round in 0..options.rounds {
            // A machine that drifts hits both sides alike: each goes first every other time.
            let first = if round % 2 == 0 { Side::Floor } else { Side::Engine };
            let a = measure(options, calls, first)?;
            let b = measure(options, calls, first.other())?;
            let (f, e) = if first == Side::Floor { (a, b) } else { (b, a) };
            eprintln!("{calls} calls, round {round}: floor {f:.4} %, engine {e:.4} %");
            ratios.push(e / f);
            floor.push(f);
            engine.push(e);
        }
        println!(
            "| {calls} | {} | {} | {} |",
            spread(&mut floor, 4),
            spread(&mut engine, 4),
            spread(&mut ratios, 2)
        );
    }
    Ok(())
}

impl Side {
    pub(crate) const fn mode(self) -> &'static str {
        match self {
            Self::Floor => "echo-server",
            Self::Engine => "engine-server",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Floor => Self::Engine,
            Self::Engine => Self::Floor,
        }
    }
}

/// A server and its callers, talking.
pub(crate) struct Running {
    pub(crate) server: Process,
    callers: Process,
}

impl Running {
    pub(crate) fn start(side: Side, calls: usize, cores: [usize; 2]) -> Result<Self> {
        let [server_core, caller_core] = cores;
        let generate = ["generator".into(), "--calls".into(), calls.to_string()];
        let mut callers = Process::start(caller_core, &generate)?;
        let serve = [
            side.mode().into(),
            "--core".into(),
            server_core.to_string(),
            "--peers".into(),
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
    let (start, before) = (Instant::now(), running.server.cpu()?);
    thread::sleep(Duration::from_secs(options.seconds));
    let (elapsed, after) = (start.elapsed(), running.server.cpu()?);
    let (sent, received) = running.finish()?;
    // The engine's echo is as late as its jitter buffer is long: a quarter of a second at most.
    let missing = sent.saturating_sub(received);
    ensure!(missing < calls as u64 * 13, "{side:?}: {received} echoes of {sent} packets");
    let busy = (after - before).as_secs_f64() / elapsed.as_secs_f64();
    Ok(100.0 * busy / calls as f64)
}

const WARM_UP: Duration = Duration::from_secs(1);
