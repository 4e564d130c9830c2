//! This program once more, under callgrind, and what that wrote down.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What a piece needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted {
    pub(crate) name: String,
    /// Instructions for a frame of 20 ms.
    pub(crate) instructions: u64,
}

/// Counts all pieces.
pub(crate) fn count() -> Result<Vec<Counted>> {
    let directory = tempfile::tempdir()?;
    let parts = directory.path().join("part");
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--toggle-collect=*gate_counts_inside*"])
        .arg("--dump-before=*gate_piece_is_over*")
        .arg(format!("--callgrind-out-file={}", parts.display()))
        .arg(std::env::current_exe()?)
        .arg(crate::UNDER_CALLGRIND)
        .output()
        .context("valgrind cannot be run: `./dev gate` installs it (Debian package valgrind)")?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success(),
        "counting ended with {}:\n{said}{}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
    let pieces = said.lines().enumerate();
    pieces.map(|(at, line)| counted(line, &directory.path().join(part(at + 1)))).collect()
}

/// Parts are numbered from 1; the last one, without a number, is what came after all pieces.
fn part(number: usize) -> String {
    format!("part.{number}")
}

fn counted(line: &str, part: &Path) -> Result<Counted> {
    let (frames, name) = line.split_once('\t').with_context(|| format!("a line says: {line}"))?;
    let written = fs::read_to_string(part)
        .with_context(|| format!("{name}: callgrind wrote no {}", part.display()))?;
    let total = written.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.with_context(|| format!("{name}: no total"))?.trim().parse()?;
    ensure!(total > 0, "{name}: callgrind counted nothing");
    let frames: u64 = frames.parse()?;
    Ok(Counted { name: name.into(), instructions: (total + frames / 2) / frames })
}
