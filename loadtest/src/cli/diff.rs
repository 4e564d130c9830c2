//! `voxload diff`: two results beside each other.

use std::path::PathBuf;

use clap::Args;
use voxload::report::diff;
use voxload::results::ResultsFile;

use super::{Failure, exit, print};

/// Show two results beside each other, and which changes are more than noise.
///
/// Says first what makes the comparison unfair: other hosts, kernels, scenarios, versions. The exit
/// status is 0 whatever changed.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// JSON of the run or search before.
    before: PathBuf,
    /// JSON of the run or search after.
    after: PathBuf,
    /// Write Markdown instead of a table for a terminal.
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(args: &DiffArgs) -> Result<u8, Failure> {
    let before = ResultsFile::read(&args.before).map_err(Failure::usage)?;
    let after = ResultsFile::read(&args.after).map_err(Failure::usage)?;
    let comparison = diff::compare(&before, &after);
    print(&if args.markdown { comparison.markdown() } else { comparison.text() });
    Ok(exit::FINE)
}
