//! Vox by itself, with as many calls as the machine carries phones for.

use anyhow::{Context, Result};
use clap::Args;
use vox_tests::livekit::Server;

use crate::measure::{measure, percentile};
use crate::side::Side;

#[derive(Debug, Args)]
pub(crate) struct Alone {
    /// Calls at once, a row each.
    #[arg(long, value_delimiter = ',', default_value = "8,16,24")]
    calls: Vec<usize>,
    /// Length of one measurement, after the calls have settled.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

pub(crate) fn run(options: &Alone) -> Result<()> {
    let server = Server::start().context("LiveKit's server or SDK is missing")?;
    println!(
        "| calls | % of a core per call | MiB per call, PSS | round trip p50 / p95 ms | chirps back, % | \
         LiveKit's server | phones |"
    );
    println!("|---|---|---|---|---|---|---|");
    for &calls in &options.calls {
        let mut one = measure(&server, Side::Vox, calls, options.seconds)
            .with_context(|| format!("{calls} calls"))?;
        let [p50, p95] = [0.5, 0.95].map(|share| percentile(&mut one.round_trips_ms, share));
        println!(
            "| {calls} | {:.3} | {:.2} | {p50:.0} / {p95:.0} | {:.1} | {:.0} % | {:.0} % |",
            one.cpu / calls as f64,
            one.pss_per_call(calls),
            100.0 * one.found,
            one.server_cpu,
            one.phones_cpu,
        );
    }
    Ok(())
}
