//! `voxload`: how many calls does it take?

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
