//! The figures that are checked in.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::callgrind::Counted;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    /// What the pieces were built with.
    pub(crate) compiler: String,
    pub(crate) counted: Vec<Counted>,
}

impl Baseline {
    /// What this program counted.
    pub(crate) fn new(counted: &[Counted]) -> Self {
        Self { compiler: COMPILER.into(), counted: counted.to_vec() }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{}: `gate --accept` writes it", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let mut baseline = Self { compiler: String::new(), counted: vec![] };
        for line in lines {
            if let Some(compiler) = line.strip_prefix(BUILT_WITH) {
                baseline.compiler = compiler.trim().into();
                continue;
            }
            let (instructions, name) = line
                .trim()
                .split_once("  ")
                .with_context(|| format!("expected instructions and a name, found \"{line}\""))?;
            let instructions = instructions
                .parse()
                .with_context(|| format!("expected a count of instructions in \"{line}\""))?;
            baseline.counted.push(Counted { name: name.trim().into(), instructions });
        }
        Ok(baseline)
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}{BUILT_WITH} {}\n\n", self.compiler);
        for Counted { name, instructions } in &self.counted {
            // A string takes all of it.
            let _ = writeln!(text, "{instructions:>9}  {name}");
        }
        text
    }
}

pub(crate) const COMPILER: &str = env!("GATE_COMPILER");
const BUILT_WITH: &str = "built with:";
const HEAD: &str = "\
# Instructions for a frame of 20 ms, counted by callgrind in the release build on x86-64 with AVX2.
# `./dev gate` compares with these; `./dev gate --accept` writes them down anew.
# How much more each piece may need stands in src/pieces.rs and in the table that the gate prints.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let counted = |name: &str, instructions| Counted { name: name.into(), instructions };
        let written = Baseline {
            compiler: "rustc 1.2.3 (4567 2026-01-01)".into(),
            counted: vec![counted("PCMU encode", 12), counted("jitter, 5 % loss", 1_234_567_890)],
        };
        assert_eq!(Baseline::parse(&written.text()).unwrap(), written);
    }

    #[test]
    fn lines_that_are_none_are_named() {
        for line in ["PCMU", "x  PCMU", "-1  PCMU", "1 PCMU"] {
            let refused = Baseline::parse(line).unwrap_err().to_string();
            assert!(refused.contains(line), "{refused}");
        }
    }
}
