//! Vox and `livekit-agents` in turn.

use anyhow::{Context, Result};
use clap::Args;
use vox_benches::spread;
use vox_tests::livekit::Server;

use crate::measure::{Measured, measure, percentile};
use crate::side::Side;

#[derive(Debug, Args)]
pub(crate) struct Comparison {
    /// Calls at once, one table each.
    #[arg(long, value_delimiter = ',', default_value = "1,4,8")]
    calls: Vec<usize>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Length of one measurement, after the calls have settled.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

pub(crate) fn run(options: &Comparison) -> Result<()> {
    let server = Server::start().context("LiveKit's server or SDK is missing")?;
    for &calls in &options.calls {
        let mut sides = [(Side::Vox, vec![]), (Side::Python, vec![])];
        for round in 0..options.rounds {
            // A machine that drifts hits both alike: each goes first in turn.
            for at in 0..2 {
                let (side, measured) = &mut sides[(at + round) % 2];
                let one = measure(&server, *side, calls, options.seconds)
                    .with_context(|| format!("{} with {calls} calls", side.name()))?;
                eprintln!(
                    "{calls} calls, round {round}: {} {:.2} % of a core, LiveKit's server {:.1}, phones {:.1}",
                    side.name(),
                    one.cpu,
                    one.server_cpu,
                    one.phones_cpu
                );
                measured.push(one);
            }
        }
        let [(_, vox), (_, python)] = sides;
        print(calls, vox, python);
    }
    Ok(())
}

fn print(calls: usize, mut vox: Vec<Measured>, mut python: Vec<Measured>) {
    println!("\n{calls} calls; median (lowest-highest) of {} rounds", vox.len());
    println!("| | Vox | livekit-agents | beside it |");
    println!("|---|---|---|---|");
    let row = |name: &str, digits: usize, of: &dyn Fn(&Measured) -> f64| {
        let [mut ours, mut theirs] =
            [&vox, &python].map(|side| side.iter().map(of).collect::<Vec<_>>());
        let mut ratios: Vec<_> =
            theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
        println!(
            "| {name} | {} | {} | 1/{} |",
            spread(&mut ours, digits),
            spread(&mut theirs, digits),
            spread(&mut ratios, 1)
        );
    };
    row("% of a core per call, all told", 2, &|one| one.cpu / calls as f64);
    row("% of a core per call, above idle", 2, &|one| (one.cpu - one.idle_cpu) / calls as f64);
    row("MiB per call above idle, PSS", 2, &|one| one.pss_per_call(calls));
    row("MiB per call above idle, RSS", 2, &|one| one.rss_per_call(calls));
    row("MiB idle, PSS", 1, &|one| one.idle.pss_mib);
    row("MiB with all calls, PSS", 1, &|one| one.busy.pss_mib);
    let mut times = |name: &str, of: &dyn Fn(&mut Measured) -> &mut Vec<f64>| {
        let [ours, theirs] = [&mut vox, &mut python].map(|side| {
            let mut all: Vec<f64> = side.iter_mut().flat_map(|one| of(one).clone()).collect();
            let [p50, p95] = [0.5, 0.95].map(|share| percentile(&mut all, share));
            format!("{p50:.0} / {p95:.0} of {}", all.len())
        });
        println!("| {name}, p50 / p95 ms | {ours} | {theirs} | |");
    };
    times("request → media up at the phone", &|one| &mut one.media_up_ms);
    times("phone → room → echo → phone", &|one| &mut one.round_trips_ms);
    let found = |side: &[Measured]| {
        100.0 * side.iter().map(|one| one.found).sum::<f64>() / side.len() as f64
    };
    println!("| chirps that came back, % | {:.1} | {:.1} | |", found(&vox), found(&python));
}
