//! `voxload scenarios`: those that are built in.

use clap::Args;
use voxload::scenario::READY;

use super::{Failure, exit, print};

/// Lists the scenarios that are built in, or prints one as a start for one's own
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  voxload scenarios
  voxload scenarios rush-hour > evening.toml")]
pub(crate) struct ScenariosArgs {
    /// Print this one
    name: Option<String>,
}

pub(crate) fn run(args: &ScenariosArgs) -> Result<u8, Failure> {
    let text = match &args.name {
        None => {
            let lines = READY.map(|ready| format!("{:<14}{}\n", ready.name, ready.about()));
            lines.concat()
        }
        Some(name) => {
            let ready = READY.iter().find(|ready| ready.name == name);
            let names = READY.map(|ready| ready.name).join(", ");
            let none = || Failure::usage(format!("{name:?}: expected one of {names}"));
            ready.ok_or_else(none)?.toml.to_owned()
        }
    };
    print(&text);
    Ok(exit::FINE)
}
