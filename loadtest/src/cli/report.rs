//! `voxload report`: pages of results.

use std::path::PathBuf;

use clap::Args;
use voxload::report;
use voxload::results::ResultsFile;

use super::{Failure, exit, print};

/// Make the report's pages from a JSON file of results.
///
/// Writes report.html (one file, nothing to fetch, no script) and report.md.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// JSON written by `voxload run` or `voxload capacity`.
    results: PathBuf,
    /// Directory for the pages; that of the results if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> Result<u8, Failure> {
    let results = ResultsFile::read(&args.results).map_err(Failure::usage)?;
    let beside = args.results.parent().map(PathBuf::from).unwrap_or_default();
    let directory = args.out.clone().unwrap_or(beside);
    let written = report::write(&results, &directory)
        .map_err(|error| Failure::usage(format!("{}: {error}", directory.display())))?;
    print(&format!("{}\n{}\n", written.html.display(), written.markdown.display()));
    Ok(exit::FINE)
}
