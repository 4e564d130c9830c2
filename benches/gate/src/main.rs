//! The gate: instructions that the call path's pieces need for a frame of 20 ms, beside those that
//! are checked in. Instructions, not time: a busy machine counts the same.
//!
//! ```text
//! gate              counts, prints was, is and percent, and fails when a piece needs more
//! gate --accept     counts, and writes the figures down as the new baseline
//! ```
//!
//! Valgrind's callgrind runs this very program once more, as `gate pieces`, and counts what happens
//! inside one function only ([`meter`]). Valgrind shows every program the same processor, as long as
//! the machine has AVX2, so libraries that choose code by the processor (libopus, AWS-LC, the C
//! library) choose alike.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

mod baseline;
mod callgrind;
mod meter;
mod pieces;
mod verdict;

use baseline::Baseline;

#[derive(Debug, Parser)]
#[command(about = "Instructions that the call path needs for a frame, beside the baseline")]
struct Options {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Takes what is counted as the new baseline.
    #[arg(long)]
    accept: bool,
    /// The baseline's file.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt"))]
    baseline: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Runs all pieces, for callgrind to count.
    #[command(name = UNDER_CALLGRIND)]
    Pieces,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if options.mode.is_some() {
        pieces::run();
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!cfg!(debug_assertions), "what ships is counted: build with --release");
    ensure!(cfg!(target_arch = "x86_64"), "the baseline is of x86-64; this is another processor");
    let counted = callgrind::count()?;
    if options.accept {
        Baseline::new(&counted).write(&options.baseline)?;
        println!("{}: {} pieces written down", options.baseline.display(), counted.len());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(verdict::give(&Baseline::read(&options.baseline)?, &counted))
}

const UNDER_CALLGRIND: &str = "pieces";
