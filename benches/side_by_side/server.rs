//! Who is called.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tempfile::TempDir;
use vox_benches::process::Process;
use vox_benches::worker::{BOTS, Worker};
use vox_tests::asterisk::{self, Asterisk};
use vox_tests::worker::files;

use crate::Comparison;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// A bare io_uring UDP echo, without SIP.
    Floor,
    /// Our worker's echo: jitter buffer, decode, VAD, encode.
    Vox,
    /// The same with a stereo recording.
    VoxRecord,
    /// Asterisk's `Echo()`.
    Asterisk,
    /// The same behind an adaptive jitter buffer.
    AsteriskJitter,
    /// `Echo()` with `MixMonitor()`.
    AsteriskRecord,
}

/// A running server that takes SIP.
pub(crate) enum Server {
    Vox { worker: Worker, directory: TempDir },
    Asterisk(Asterisk),
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare io_uring UDP echo, 2 ms",
            Self::Vox => "Vox, echo",
            Self::VoxRecord => "Vox, echo and stereo recording",
            Self::Asterisk => "Asterisk, Echo()",
            Self::AsteriskJitter => "Asterisk, Echo() and jitter buffer",
            Self::AsteriskRecord => "Asterisk, Echo() and MixMonitor()",
        }
    }

    pub(crate) const fn is_asterisk(self) -> bool {
        matches!(self, Self::Asterisk | Self::AsteriskJitter | Self::AsteriskRecord)
    }

    pub(crate) const fn records(self) -> bool {
        matches!(self, Self::VoxRecord | Self::AsteriskRecord)
    }

    /// Whom to call there.
    pub(crate) const fn user(self) -> &'static str {
        match self {
            Self::Floor => "",
            Self::Vox => "echo",
            Self::VoxRecord => "record",
            Self::Asterisk => asterisk::ECHO,
            Self::AsteriskJitter => asterisk::JITTER,
            Self::AsteriskRecord => asterisk::RECORD,
        }
    }
}

impl Server {
    /// One that takes `side`'s calls, so many at once.
    pub(crate) fn start(options: &Comparison, side: Side, calls: usize) -> Result<Self> {
        let core = options.server_core;
        match side {
            Side::Floor => bail!("the floor takes no SIP"),
            Side::Vox | Side::VoxRecord => {
                let directory = tempfile::tempdir()?;
                let program = options.worker();
                let worker = Worker::start(&program, core, directory.path(), BOTS, calls)?;
                Ok(Self::Vox { worker, directory })
            }
            Side::Asterisk | Side::AsteriskJitter | Side::AsteriskRecord => {
                Ok(Self::Asterisk(Asterisk::start(Some(core)).context("no Asterisk")?))
            }
        }
    }

    pub(crate) fn process(&self) -> u32 {
        match self {
            Self::Vox { worker, .. } => worker.process.id(),
            Self::Asterisk(asterisk) => asterisk.process.0.id(),
        }
    }

    pub(crate) fn sip(&self) -> SocketAddr {
        match self {
            Self::Vox { worker, .. } => worker.sip,
            Self::Asterisk(asterisk) => asterisk.sip,
        }
    }

    /// Waits until there is a recording of each call that has ended.
    pub(crate) fn recorded(&self, calls: usize) -> Result<()> {
        let limit = Instant::now() + RECORDED_MAX;
        loop {
            let recordings = self.recordings();
            let whole = recordings.iter().filter(|path| holds_something(path)).count();
            if whole == calls {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!("{whole} recordings of {calls} calls");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn recordings(&self) -> Vec<PathBuf> {
        match self {
            Self::Vox { directory, .. } => files(&directory.path().join("recordings"), "wav"),
            Self::Asterisk(asterisk) => asterisk.recordings(),
        }
    }
}

/// The floor with its callers' ports.
pub(crate) fn floor(options: &Comparison, peers: String) -> Result<Process> {
    Process::start(options.server_core, &["echo-server".into(), "--peers".into(), peers])
}

/// More than a second of µ-law's worth of PCM16.
fn holds_something(recording: &PathBuf) -> bool {
    std::fs::metadata(recording).is_ok_and(|found| found.len() > 16_000)
}

const RECORDED_MAX: Duration = Duration::from_secs(20);
