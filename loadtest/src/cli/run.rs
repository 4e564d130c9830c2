//! `voxload run`: one load, held for a time.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio_util::sync::CancellationToken;
use voxload::report;
use voxload::results::{PassLine, ResultsFile, RunReport, Verdict};
use voxload::run::{RunPlan, run as run_load};
use voxload::target::Metrics;

use super::progress::Live;
use super::scenario::ScenarioArgs;
use super::{Failure, exit, summary};

/// Places a scenario's calls, and says what the callers heard
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  voxload run echo --target sip:echo@192.0.2.10 --calls 200 --seconds 60
  voxload run echo --target sip:echo@192.0.2.10 --calls 500 --cores 2,3 \\
      --pass 'loss<0.1%,late_p99.9<5ms,failed=0,setup_p99<100ms,mos>4.2' --json run.json
  voxload run rush-hour --target sip:a@192.0.2.10 --target sip:a@192.0.2.11 --set callers.silent=5%
  voxload run my.toml --out report/

EXIT STATUS:
  0   what had to hold, held (or nothing had to)
  1   a limit of --pass was broken
  2   the run could not begin
  3   the generator was the limit: nothing is said about the target
  64  the command line or the scenario is wrong")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// What must hold: MEASURE<BOUND, >, =, separated by commas
    #[arg(long, value_name = "LINE")]
    pass: Option<PassLine>,
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

/// What of the target is looked at meanwhile.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The target's process on this machine [default: the one that listens at its address]
    #[arg(long, value_name = "PID")]
    target_pid: Option<u32>,
    /// The target's counters, as in http://192.0.2.10:8081/metrics
    #[arg(long, value_name = "URL", value_parser = Metrics::at)]
    metrics: Option<Metrics>,
}

impl WatchArgs {
    pub(crate) fn set(&self, plan: &mut RunPlan) {
        plan.target_pid = self.target_pid;
        plan.metrics = self.metrics.clone();
    }
}

pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let mut plan = RunPlan::new(args.scenario.load()?);
    plan.pass_line = args.pass.clone();
    plan.cores = args.cores.clone();
    plan.bind = args.bind;
    args.watch.set(&mut plan);
    for path in args.json.iter() {
        can_be_written(path)?;
    }
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::could_not_begin)?;
    let live = Live::new(&plan.scenario);
    let report = runtime.block_on(async {
        tokio::spawn(stop_on_signal(plan.stop.clone()));
        run_load(plan, live).await
    });
    let report = report.map_err(Failure::could_not_begin)?;
    super::print(&summary::of(&report));
    let status = status(&report);
    keep(args, report)?;
    Ok(status)
}

fn keep(args: &RunArgs, report: RunReport) -> Result<(), Failure> {
    keep_file(&ResultsFile::Run(Box::new(report)), args.json.as_deref(), args.out.as_deref())
}

/// Writes what was found where it is wanted.
pub(super) fn keep_file(
    file: &ResultsFile,
    json: Option<&Path>,
    out: Option<&Path>,
) -> Result<(), Failure> {
    if let Some(path) = json {
        file.write(path).map_err(Failure::not_kept)?;
    }
    if let Some(directory) = out {
        let not_kept = |error| Failure::not_kept(format!("{}: {error}", directory.display()));
        let written = report::write(file, directory).map_err(not_kept)?;
        file.write(&directory.join("results.json")).map_err(Failure::not_kept)?;
        eprintln!("report: {}", written.html.display());
    }
    Ok(())
}

fn status(report: &RunReport) -> u8 {
    match report.verdict {
        Verdict::NotAsked | Verdict::Pass => exit::FINE,
        Verdict::Fail { .. } => exit::BROKEN,
        Verdict::GeneratorWasTheLimit { .. } => exit::GENERATOR,
    }
}

/// The first Ctrl-C ends the calls and reports, a second one does not wait.
pub(super) async fn stop_on_signal(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_err() {
        return;
    }
    eprintln!("ending all calls; once more to leave at once");
    stop.cancel();
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(130);
    }
}

/// Asked before the run: nobody wants to measure an hour for a file that cannot be kept.
pub(super) fn can_be_written(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let problem = match (path.is_dir(), folder.is_dir()) {
        (true, _) => "expected a file, found a folder".to_owned(),
        (false, false) => format!("there is no folder {}", folder.display()),
        (false, true) => return Ok(()),
    };
    Err(Failure::usage(format!("--json {}: {problem}", path.display())))
}
