//! How many calls one core holds, by `voxload capacity`: our worker with echo, with recordings, with
//! brains over WebSockets and with Opus, and Asterisk's `Echo()`. The target on one core, `voxload`
//! and the brains on another. A report of each is left in a folder.
//!
//! ```text
//! capacities --worker target/release/vox --voxload target/release/voxload --out docs/src/examples
//! capacities --only echo,asterisk --seconds 10 --out /tmp/reports
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use vox_benches::process::Process;
use vox_benches::worker::{BOTS, Worker};
use vox_tests::asterisk::{self, Asterisk};

#[derive(Debug, Parser)]
#[command(about = "How many calls one core holds: Vox in four ways, and Asterisk")]
struct Options {
    /// Which targets, in this order.
    #[arg(long, value_delimiter = ',', default_value = "echo,record,vox,opus,asterisk")]
    only: Vec<Target>,
    /// The worker's program.
    #[arg(long, default_value = "target/release/vox")]
    worker: PathBuf,
    /// The load generator's program.
    #[arg(long, default_value = "target/release/voxload")]
    voxload: PathBuf,
    /// Where the reports go, a folder each.
    #[arg(long)]
    out: PathBuf,
    /// How long each load is measured.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How exactly the answer is to be known.
    #[arg(long, default_value = "5%")]
    precision: String,
    /// What must hold; the usual line when there is none.
    #[arg(long)]
    pass: Option<String>,
    /// The target's core.
    #[arg(long, default_value_t = 0)]
    target_core: usize,
    /// The core of the load generator and of the brains.
    #[arg(long, default_value_t = 1)]
    caller_core: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Our worker: G.711 echo with voice detection.
    Echo,
    /// The same, recorded in stereo.
    Record,
    /// G.711 to a `vox` brain and back, with voice detection.
    Vox,
    /// Opus echo with voice detection.
    Opus,
    /// Asterisk: `Echo()`.
    Asterisk,
}

fn main() -> Result<()> {
    let options = Options::parse();
    for &target in &options.only {
        match target {
            Target::Asterisk => measure_asterisk(&options)?,
            _ => measure_worker(&options, target)?,
        }
    }
    Ok(())
}

fn measure_worker(options: &Options, target: Target) -> Result<()> {
    // Lives as long as the worker that it is the other end of.
    let (_brain, port) = match target {
        Target::Vox => brain(options.caller_core)?,
        _ => (None, String::new()),
    };
    let directory = tempfile::tempdir()?;
    let bots = BOTS.replace("PORT", &port);
    let worker =
        Worker::start(&options.worker, options.target_core, directory.path(), &bots, CALLS_MAX)?;
    let metrics = format!("http://{}/metrics", worker.http);
    let watch = ["--target-pid", &worker.process.id().to_string(), "--metrics", &metrics]
        .map(str::to_owned);
    search(options, target, worker.sip, &watch)
}

fn measure_asterisk(options: &Options) -> Result<()> {
    let Some(asterisk) = Asterisk::start(Some(options.target_core)) else {
        // It has said what is missing.
        return Ok(());
    };
    let watch = ["--target-pid".to_owned(), asterisk.process.0.id().to_string()];
    search(options, Target::Asterisk, asterisk.sip, &watch)
}

/// The brains of the bench `brains`, whose program lies beside this one, and their port.
fn brain(core: usize) -> Result<(Option<Process>, String)> {
    let program = std::env::current_exe()?.with_file_name("brains");
    ensure!(program.is_file(), "{}: build it first", program.display());
    let mut brain = Process::start_program(core, &program, &["brain".into()])?;
    let port = brain.line()?;
    Ok((Some(brain), port))
}

fn search(options: &Options, target: Target, sip: SocketAddr, watch: &[String]) -> Result<()> {
    let name = target.to_possible_value().map(|value| value.get_name().to_owned());
    let name = name.unwrap_or_default();
    let core = options.caller_core.to_string();
    let out = options.out.join(&name);
    std::fs::create_dir_all(&out)?;
    eprintln!("== {name}");
    let mut voxload = Command::new("taskset");
    voxload.args(["-c", &core]).arg(program(&options.voxload)?).args(["capacity", "echo"]);
    voxload.args(["--target", &format!("sip:{}@{sip}", target.user()), "--cores", &core]);
    voxload.args(["--settle", "3", "--seconds", &options.seconds.to_string()]);
    voxload.args(["--precision", &options.precision, "--from", "100", "--most", "2000"]);
    voxload.arg("--out").arg(&out).args(watch);
    if target == Target::Opus {
        voxload.args(["--codec", "opus"]);
    }
    if let Some(pass) = &options.pass {
        voxload.args(["--pass", pass]);
    }
    let status = voxload.status().context("taskset (package util-linux) cannot be run")?;
    // 3: the generator was the limit, which the report says as well.
    ensure!(matches!(status.code(), Some(0 | 3)), "{name}: voxload ended with {status}");
    Ok(())
}

/// Without a folder it would be looked for in the search path.
fn program(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("{}: build it first", path.display()))
}

impl Target {
    /// Whom to call.
    const fn user(self) -> &'static str {
        match self {
            Self::Echo | Self::Opus => "echo",
            Self::Record => "record",
            Self::Vox => "vox",
            Self::Asterisk => asterisk::ECHO,
        }
    }
}

/// What a shard has room for.
const CALLS_MAX: usize = 2_000;
