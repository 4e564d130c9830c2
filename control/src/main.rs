//! `voxcore`: one worker of a voice fleet.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use voxcore::config::{Config, EXIT_CONFIG, Layers, help_text};
use voxcore::livekit::LivekitCommand;

/// One worker of a voice fleet: takes SIP calls and runs bots on them.
#[derive(Debug, Parser)]
#[command(name = "voxcore", version)]
struct Cli {
    /// TOML file with sections [worker], [http], [sip], [media], [bots], [storage], [livekit].
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Check the configuration, say what is wrong, and end.
    #[arg(long)]
    check: bool,
    /// Without one: be a worker.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tools for the LiveKit server of LIVEKIT_URL
    #[command(subcommand)]
    Livekit(LivekitCommand),
}

fn main() -> ExitCode {
    let matches = Cli::command().after_long_help(help_text()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let file = cli.config.as_deref();
    let loaded = voxcore::environment()
        .and_then(|env| Config::load(&Layers { file, env, ..Layers::default() }));
    let config = match loaded {
        Ok(config) => config,
        Err(error) => {
            eprintln!("voxcore: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if cli.check {
        return ExitCode::SUCCESS;
    }
    match cli.command {
        Some(Command::Livekit(command)) => command.run(&config),
        None => voxcore::start(config, |_| {}),
    }
}
