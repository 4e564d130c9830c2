//! `voxload plan`: how many hosts a traffic needs.

use std::path::PathBuf;

use clap::Args;
use voxload::plan::forecast::{percentage, seconds, yearly};
use voxload::plan::{Forecast, Growth, Measured, Plan, Wait, text};
use voxload::results::ResultsFile;

use super::{Failure, exit, print};

/// Plan hosts and workers for a traffic, from what one host was measured to hold.
///
/// Shows the busiest hour, its traffic in erlang, the channels by Erlang B (callers who find
/// nothing go away) and, with --wait, by Erlang C (callers wait), the hosts that have them, and
/// everything that was assumed.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  voxload plan --report capacity.json --calls-per-hour 12000 --duration 180s
  voxload plan --capacity 640 --calls-per-hour 12000 --duration 3m --growth 20%/year --years 2 --wait 20s/80%
  voxload plan --capacity 200,640 --calls-per-hour 1000,10000,100000 --duration 3m --table")]
pub(super) struct PlanArgs {
    /// JSON written by `voxload capacity`: what one host holds.
    #[arg(
        long,
        value_name = "JSON",
        required_unless_present = "capacity",
        conflicts_with = "capacity"
    )]
    report: Option<PathBuf>,
    /// Calls at once that one host holds, instead of a report; several for --table.
    #[arg(long, value_name = "CALLS", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    capacity: Vec<u64>,
    /// Calls in an ordinary hour; several for --table.
    #[arg(long, value_name = "CALLS", required = true, value_delimiter = ',', value_parser = calls)]
    calls_per_hour: Vec<f64>,
    /// Mean length of a call.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    duration: f64,
    /// The busiest hour has so many times the calls of an ordinary one.
    #[arg(long, value_name = "FACTOR", default_value = "1.5", value_parser = factor)]
    peak_factor: f64,
    /// Growth a year.
    #[arg(long, value_name = "PERCENT", value_parser = yearly, requires = "years")]
    growth: Option<f64>,
    /// For how many years.
    #[arg(long, value_name = "YEARS", value_parser = factor, requires = "growth")]
    years: Option<f64>,
    /// Hosts that may be gone while the others carry everything.
    #[arg(long, value_name = "HOSTS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    spare: u64,
    /// Share of what a host holds that is planned on it.
    #[arg(long, value_name = "PERCENT", default_value = "80%", value_parser = percentage)]
    headroom: f64,
    /// Share of callers who may find everything taken.
    #[arg(long, value_name = "PERCENT", default_value = "0.1%", value_parser = percentage)]
    blocking: f64,
    /// Plan for callers who wait, too: such a share is taken within such a time.
    #[arg(long, value_name = "TIME/PERCENT")]
    wait: Option<Wait>,
    /// Calls of one worker process at most (its MAX_CONCURRENT_CALLS); one worker a host if not
    /// given.
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    worker_calls: Option<u64>,
    /// Write the plan as JSON.
    #[arg(long, conflicts_with = "table")]
    json: bool,
    /// Write a Markdown table: a row for each traffic, a column for each capacity.
    #[arg(long)]
    table: bool,
}

pub(super) fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let measured = measured(args)?;
    if args.table {
        let capacities: Vec<u64> = measured.iter().map(|host| host.calls).collect();
        let table = text::sizing_table(&forecast(args, 0.0), &capacities, &args.calls_per_hour);
        print(&table.map_err(Failure::usage)?);
        return Ok(exit::FINE);
    }
    let ([host], [calls]) = (&measured[..], &args.calls_per_hour[..]) else {
        return Err(Failure::usage("several capacities or traffics: expected --table with them"));
    };
    let plan = Plan::make(&forecast(args, *calls), host).map_err(Failure::usage)?;
    match args.json {
        true => print(&(serde_json::to_string_pretty(&plan).map_err(Failure::usage)? + "\n")),
        false => print(&plan.text()),
    }
    Ok(exit::FINE)
}

fn measured(args: &PlanArgs) -> Result<Vec<Measured>, Failure> {
    if let Some(path) = &args.report {
        let results = ResultsFile::read(path).map_err(Failure::usage)?;
        let measured = Measured::of(&results)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        return Ok(vec![measured]);
    }
    let given = |calls: &u64| Measured {
        calls: *calls,
        calls_per_second: None,
        source: "as given, not measured".into(),
    };
    Ok(args.capacity.iter().map(given).collect())
}

fn forecast(args: &PlanArgs, calls_per_hour: f64) -> Forecast {
    Forecast {
        calls_per_hour,
        duration_seconds: args.duration,
        peak_factor: args.peak_factor,
        growth: Growth { per_year: args.growth.unwrap_or(0.0), years: args.years.unwrap_or(0.0) },
        spare: args.spare,
        headroom: args.headroom,
        blocking: args.blocking,
        wait: args.wait,
        worker_calls: args.worker_calls,
    }
}

fn calls(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1e12).contains(number));
    number.ok_or_else(|| format!("{text:?}: expected a number of calls"))
}

fn factor(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1_000.0);
    number.ok_or_else(|| format!("{text:?}: expected a number above 0, as in 1.5"))
}
