//! Rooms that fill and empty all the time.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use vox_benches::process_tree::CpuTime;
use vox_tests::churn::{BOTS, Churn};
use vox_tests::livekit::Server;
use vox_tests::worker::Worker;

use crate::measure::percentile;

#[derive(Debug, Args)]
pub(crate) struct Churned {
    /// Calls at once.
    #[arg(long, default_value_t = 50)]
    rooms: usize,
    /// From the first call to the begin of the last.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// A call's length in seconds, at least and at most.
    #[arg(long, value_delimiter = ',', default_value = "10,30")]
    seconds: Vec<u64>,
}

pub(crate) fn run(options: &Churned) -> Result<()> {
    let server = Server::start().context("LiveKit's server or SDK is missing")?;
    let capacity = (options.rooms + 10).to_string();
    let mut environment = server.environment().to_vec();
    environment.extend([("MAX_CONCURRENT_CALLS", &*capacity), ("VOXCORE_LOG", "error")]);
    let worker = Worker::start(BOTS, &environment);
    let [least, most] = options.seconds[..] else { anyhow::bail!("--seconds LEAST,MOST") };
    let churn = Churn {
        rooms: options.rooms,
        lasting: Duration::from_secs_f64(60.0 * options.minutes),
        call: [least, most].map(Duration::from_secs),
    };
    let used = [worker.process.0.id(), server.process.0.id()].map(CpuTime::start);
    let mut report = churn.run(&server, &worker);
    let [of_worker, of_server] = used.map(|used| used.percent());
    let mut held: Vec<f64> = report.held.iter().map(|calls| *calls as f64).collect();
    println!("calls accepted         {}, refused {}", report.accepted, report.refused);
    println!(
        "held at once           p50 {:.0}, most {:.0}",
        percentile(&mut held, 0.5),
        percentile(&mut held, 1.0)
    );
    let [p50, p95] = [0.5, 0.95].map(|share| percentile(&mut report.media_up_ms, share));
    println!("request → media up     p50 {p50:.0}, p95 {p95:.0} ms");
    println!("results                {:?}", report.results);
    println!(
        "recordings             {} named, {} stored",
        report.recordings[0], report.recordings[1]
    );
    println!("before                 {:?}", report.before);
    println!("after                  {:?}", report.after);
    let rss = |at: usize| report.rss_mib.get(at).map_or(0.0, |sample| sample.1);
    println!(
        "resident               {:.1} MiB at a quarter, {:.1} at half, {:.1} at the end; {:+.2} MiB a minute in the second half",
        rss(report.rss_mib.len() / 4),
        rss(report.rss_mib.len() / 2),
        rss(report.rss_mib.len().saturating_sub(1)),
        report.growth_mib_per_minute()
    );
    println!("CPU, % of a core       worker {of_worker:.0}, LiveKit's server {of_server:.0}");
    println!("phones that failed     {} {:?}", report.failed.len(), report.failed.first());
    report.assert_nothing_leaked();
    Ok(())
}
