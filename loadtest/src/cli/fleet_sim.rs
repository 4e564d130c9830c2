//! `voxload fleet-sim`: a fleet beyond one machine.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use voxload::fleet::{Deploys, Failures, Fleet, Profile, Traffic, Way, simulate};
use voxload::plan::Measured;
use voxload::plan::forecast::{percentage, seconds};
use voxload::results::{ResultsFile, command_line};
use voxload::scenario::Scenario;

use super::{Failure, exit, print};

/// Simulate a fleet of hosts with a measured capacity: refusals, use, failures, deploys.
///
/// Calls find a worker by the rule of the way in: sip (a proxy goes round and retries on 486),
/// webhook (host with the most free slots, 429 is final), attach (the same, 429 goes to the next
/// worker), socket (hosts in turn, no retry), jobs (LiveKit's worker protocol, callers wait).
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  voxload fleet-sim --report capacity.json --hosts 8 --calls-per-hour 60000 --duration 180s
  voxload fleet-sim --capacity 640 --hosts 8 --way webhook --workers-per-host 4 --calls-per-hour 60000 --duration 3m
  voxload fleet-sim --capacity 640 --hosts 8 --calls-per-hour 60000 --duration 3m --profile day \\
      --mtbf 30d --repair 10m --deploy-every 24h --drain 5m --out pages")]
pub(super) struct FleetSimArgs {
    /// JSON written by `voxload capacity`: what one host holds.
    #[arg(
        long,
        value_name = "JSON",
        required_unless_present = "capacity",
        conflicts_with = "capacity"
    )]
    report: Option<PathBuf>,
    /// Calls at once that one host holds, instead of a report.
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    capacity: Option<u64>,
    /// Share of that which a host takes.
    #[arg(long, value_name = "PERCENT", default_value = "80%", value_parser = percentage)]
    headroom: f64,
    /// Hosts.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    hosts: u64,
    /// Worker processes on each; its calls are shared out among them.
    #[arg(long, value_name = "WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    workers_per_host: u64,
    /// How calls find a worker: sip, webhook, attach, socket or jobs.
    #[arg(long, default_value = "sip")]
    way: Way,
    /// Calls to simulate.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    calls: u64,
    /// Calls in the busiest hour.
    #[arg(
        long,
        value_name = "CALLS",
        required_unless_present = "scenario",
        conflicts_with = "scenario"
    )]
    calls_per_hour: Option<u64>,
    /// Mean length of a call (exponential).
    #[arg(long, value_name = "TIME", value_parser = seconds, required_unless_present = "scenario", conflicts_with = "scenario")]
    duration: Option<f64>,
    /// Always the busiest hour (flat), or a working day (day).
    #[arg(long, default_value = "flat", conflicts_with = "scenario")]
    profile: Profile,
    /// Take arrivals and lengths of calls from a scenario.
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// From the choice of a host to the call's slot there.
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = seconds)]
    dispatch: f64,
    /// How long a caller rings where callers wait.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    patience: f64,
    /// Mean time between failures of a host, with all its calls.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    mtbf: Option<f64>,
    /// Mean time until a host that failed is back.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds, requires = "mtbf")]
    repair: f64,
    /// A deploy of all hosts begins so often.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    deploy_every: Option<f64>,
    /// Hosts that a deploy takes out at the same time.
    #[arg(long, value_name = "HOSTS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    deploy_hosts: u64,
    /// Calls may last so long into a deploy before they are cut.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
    drain: f64,
    /// From a host's last call to the first of its new version.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = seconds)]
    replace: f64,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write fleet.html and fleet.md into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &FleetSimArgs) -> Result<u8, Failure> {
    let (fleet, traffic) = (fleet(args)?, traffic(args)?);
    let began = Instant::now();
    let calls = traffic.calls(fleet.seed);
    let report = simulate(&fleet, &calls, traffic.warm_up_seconds);
    if report.placed == 0 {
        let problem = "all calls came before the fleet was warm: expected more --calls";
        return Err(Failure::usage(problem));
    }
    print(&report.text());
    let took = began.elapsed().as_secs_f64();
    print(&format!("Simulated {} calls in {took:.2} s.\n", calls.len()));
    let failed = |path: &PathBuf, error| Failure::usage(format!("{}: {error}", path.display()));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report).map_err(Failure::usage)?;
        fs::write(path, json).map_err(|error| failed(path, error))?;
    }
    if let Some(directory) = &args.out {
        let written =
            report.write(&command_line(), directory).map_err(|error| failed(directory, error))?;
        print(&format!("{}\n{}\n", written.html.display(), written.markdown.display()));
    }
    Ok(exit::FINE)
}

fn fleet(args: &FleetSimArgs) -> Result<Fleet, Failure> {
    let calls = match (&args.report, args.capacity) {
        (Some(path), _) => {
            let results = ResultsFile::read(path).map_err(Failure::usage)?;
            let measured = Measured::of(&results);
            measured.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?.calls
        }
        (None, calls) => calls.unwrap_or(0),
    };
    let taken = (calls as f64 * args.headroom) as u64 / args.workers_per_host;
    let calls_per_worker = u32::try_from(taken).unwrap_or(u32::MAX);
    if calls_per_worker == 0 {
        return Err(Failure::usage(format!(
            "{calls} calls a host leave none for each of {} workers",
            args.workers_per_host
        )));
    }
    let host_count = |hosts: u64| usize::try_from(hosts).unwrap_or(usize::MAX);
    Ok(Fleet {
        hosts: host_count(args.hosts),
        workers_per_host: host_count(args.workers_per_host),
        calls_per_worker,
        way: args.way,
        dispatch_seconds: args.dispatch,
        patience_seconds: args.patience,
        failures: args
            .mtbf
            .map(|mtbf_seconds| Failures { mtbf_seconds, repair_seconds: args.repair }),
        deploys: args.deploy_every.map(|every_seconds| Deploys {
            every_seconds,
            hosts_at_once: host_count(args.deploy_hosts),
            drain_seconds: args.drain,
            replace_seconds: args.replace,
        }),
        seed: args.seed,
    })
}

fn traffic(args: &FleetSimArgs) -> Result<Traffic, Failure> {
    if let Some(name) = &args.scenario {
        let scenario = Scenario::load(name, &[]).map_err(Failure::usage)?;
        return Traffic::of_scenario(&scenario, args.calls)
            .map_err(|problem| Failure::usage(format!("{name}: {problem}")));
    }
    let (calls, duration) = (args.calls_per_hour.unwrap_or(0), args.duration.unwrap_or(0.0));
    if calls == 0 || duration > HOLD_SECONDS_MAX {
        return Err(Failure::usage("expected calls in the busiest hour, no longer than 4h each"));
    }
    Ok(Traffic::poisson(args.calls, calls as f64 / 3_600.0, duration, args.profile))
}

/// Scenarios draw no longer times.
const HOLD_SECONDS_MAX: f64 = 4.0 * 3_600.0;
