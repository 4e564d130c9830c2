//! `voxload capacity`: the most that a target holds.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use voxload::capacity::search::Bounds;
use voxload::capacity::{Question, Tried, find};
use voxload::results::{CapacityReport, PassLine, Provenance, ResultsFile, RunReport, Verdict};
use voxload::run::{RunError, RunPlan, run as run_load};
use voxload::scenario::{Arrival, Scenario, Share};
use voxload::sip::{resolve, source_address};

use super::progress::Live;
use super::run::{WatchArgs, can_be_written, keep_file, stop_on_signal};
use super::scenario::ScenarioArgs;
use super::{Failure, exit, print};

/// Searches the most calls that a target holds: loads by steps and bisection, each for a stated time
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  voxload capacity echo --target sip:echo@192.0.2.10 --cores 2,3 --out report/
  voxload capacity echo --target sip:echo@192.0.2.10 --by rate --hold 5s --settle 10 \\
      --pass 'failed=0,setup_p99<200ms'
  voxload capacity echo --target sip:echo@127.0.0.1 --codec opus --from 20 --most 400 --seconds 20

A load breaks when it broke the pass line twice; the answer held twice. By calls, each load is built up
within five seconds (or at 20 calls a second, if that is slower); calls that last longer than run-up,
--settle and --seconds together are there all the time, shorter ones are replaced as they end. By rate,
calls stay as long as --hold says: let --settle be at least as long.

EXIT STATUS: 0 answered; 2 could not begin; 3 the generator was the limit; 64 wrong command line")]
pub(crate) struct CapacityArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// What must hold
    #[arg(
        long,
        value_name = "LINE",
        default_value = "loss<0.1%,late_p99.9<5ms,failed=0,setup_p99<100ms,mos>4.2"
    )]
    pass: PassLine,
    /// What is raised: calls at once, or calls a second
    #[arg(long, value_enum, default_value_t = By::Calls)]
    by: By,
    /// The first load to try
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// The largest load to try
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    most: u64,
    /// How exactly the answer is to be known
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    precision: Share,
    /// Write the results here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report here: report.html, report.md and results.json
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cores for media, a thread each, as in 2,3: some that the target does not use
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Our own address, when the way to the target does not tell it
    #[arg(long, value_name = "IP")]
    bind: Option<IpAddr>,
    #[command(flatten)]
    watch: WatchArgs,
}

/// What is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Calls,
    Rate,
}

pub(crate) fn run(args: &CapacityArgs) -> Result<u8, Failure> {
    let scenario = args.scenario.load()?;
    check(args, &scenario)?;
    let question = Question {
        provenance: Provenance::here(own_address(args, &scenario)?),
        pass_line: args.pass.clone(),
        bounds: Bounds { from: args.from, most: args.most, precision: args.precision.0 },
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::could_not_begin)?;
    let report = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        let measure =
            async |load| run_load(plan(args, &scenario, load, &stop), Live::new(&scenario)).await;
        find(question, measure, |tried| print(&line(args.by, &tried))).await
    });
    let report = report.map_err(|error: RunError| Failure::could_not_begin(error))?;
    print(&answer(args.by, &report));
    let limited = report.points.last().map(|point| &point.run.verdict);
    let limited = matches!(limited, Some(Verdict::GeneratorWasTheLimit { .. }));
    let file = ResultsFile::Capacity(Box::new(report));
    keep_file(&file, args.json.as_deref(), args.out.as_deref())?;
    Ok(if limited { exit::GENERATOR } else { exit::FINE })
}

fn check(args: &CapacityArgs, scenario: &Scenario) -> Result<(), Failure> {
    if args.scenario.sets_the_load() {
        return Err(Failure::usage(
            "--calls and --rate are what is searched: see --from and --most",
        ));
    }
    if scenario.callers.is_none() {
        return Err(Failure::usage(format!("{}: expected [callers]", scenario.name)));
    }
    if args.from > args.most {
        return Err(Failure::usage(format!("--from {} is above --most {}", args.from, args.most)));
    }
    args.json.as_deref().map_or(Ok(()), can_be_written)
}

fn own_address(args: &CapacityArgs, scenario: &Scenario) -> Result<IpAddr, Failure> {
    let first = scenario.target.as_ref().and_then(|target| target.uris.first());
    match (args.bind, first) {
        (Some(bind), _) => Ok(bind),
        (None, None) => Err(Failure::usage("expected --target")),
        (None, Some(called)) => {
            let peer = resolve(&called.uri).map_err(Failure::usage)?;
            source_address(peer).map_err(Failure::could_not_begin)
        }
    }
}

fn plan(args: &CapacityArgs, scenario: &Scenario, load: u64, stop: &CancellationToken) -> RunPlan {
    let mut scenario = scenario.clone();
    if let Some(callers) = &mut scenario.callers {
        callers.arrival = match args.by {
            By::Calls => Arrival::AtOnce { calls: load, rate: (load as f64 / 5.0).max(20.0) },
            By::Rate => Arrival::Rate(load as f64),
        };
    }
    let mut plan = RunPlan::new(scenario);
    plan.pass_line = Some(args.pass.clone());
    plan.cores = args.cores.clone();
    plan.bind = args.bind;
    plan.stop = stop.clone();
    args.watch.set(&mut plan);
    plan
}

/// A load that was tried.
fn line(by: By, tried: &Tried<'_>) -> String {
    let run = tried.run;
    let came = match &run.verdict {
        Verdict::Pass => "held".to_owned(),
        Verdict::Fail { broken } => match broken.first() {
            Some(broken) => format!("broke {}: {}", broken.limit, broken.found),
            None => "broke".to_owned(),
        },
        Verdict::GeneratorWasTheLimit { why } => format!("the generator was the limit: {why}"),
        Verdict::NotAsked => "not judged".to_owned(),
    };
    format!("{:>6} {}  {}  {came}\n", tried.calls, unit(by), figures(run))
}

fn figures(run: &RunReport) -> String {
    let watched =
        run.watched.as_ref().map(|watched| format!(", target {:.2} cores", watched.cpu_cores));
    format!(
        "loss {:.3} %, late p99.9 {:.1} ms, set-up p99 {:.0} ms{}",
        run.heard.loss() * 100.0,
        run.heard.late_ms.p999,
        run.calls.setup_ms.p99,
        watched.unwrap_or_default(),
    )
}

fn answer(by: By, report: &CapacityReport) -> String {
    let mut text = format!("\n{} {} held {}\n", report.calls, unit(by), report.pass_line);
    let mut row = |line: String| _ = writeln!(text, "{line}");
    if let (Some(at), Some(broken)) = (report.broken_at, report.broken.first()) {
        row(format!("{at} did not: {} was {}", broken.limit, broken.found));
    }
    if let Some(unfinished) = &report.unfinished {
        row(format!("not known further: {unfinished}"));
    }
    if let Some(cost) = &report.cost {
        row(format!(
            "a call costs {:.4} % of a core, {:.0} KiB and {:.1} descriptors",
            cost.cpu_percent,
            cost.rss_bytes / 1024.0,
            cost.descriptors
        ));
    }
    if by == By::Calls {
        for needed in &report.hosts {
            row(format!(
                "{:>6} calls need {} such hosts, none above 80 %",
                needed.calls, needed.hosts
            ));
        }
    }
    text
}

const fn unit(by: By) -> &'static str {
    match by {
        By::Calls => "calls at once",
        By::Rate => "calls a second",
    }
}
