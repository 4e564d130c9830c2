//! Child processes that talk in lines of ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A program (this one in another mode, as a rule), pinned to a core.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program with `args`, all of its threads on `core`.
    pub fn start(core: usize, args: &[String]) -> Result<Self> {
        Self::start_program(core, &std::env::current_exe()?, args)
    }

    /// Starts another program.
    pub fn start_program(core: usize, program: &Path, args: &[String]) -> Result<Self> {
        let mut child = Command::new("taskset")
            .arg("-c")
            .arg(core.to_string())
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("taskset (package util-linux) cannot be run")?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("a child without stdout")?);
        Ok(Self { child, stdin, stdout })
    }

    /// The next line it prints.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stdout.read_line(&mut line)? > 0, "a child ended too early");
        Ok(line.trim().into())
    }

    /// Tells it a line.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its input is closed")?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }

    /// Closes its input, which ends it, and gives its last line.
    pub fn finish(mut self) -> Result<String> {
        self.stdin = None;
        let mut last = String::new();
        for line in self.stdout.by_ref().lines() {
            last = line?;
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "a child ended with {status}");
        Ok(last)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, unless something failed in between.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Blocks until the parent closes our input.
pub fn wait_for_parent() -> Result<()> {
    std::io::stdin().lines().try_for_each(|line| line.map(drop))?;
    Ok(())
}

/// Ports as a line.
pub fn join(ports: impl IntoIterator<Item = u16>) -> String {
    ports.into_iter().map(|port| port.to_string()).collect::<Vec<_>>().join(",")
}

/// The inverse of [`join`].
pub fn split(line: &str) -> Result<Vec<u16>> {
    line.split(',').map(|port| Ok(port.parse()?)).collect()
}
