//! Asterisk 22 as a SIP server that echoes, records, or both: the peer that people compare with.
//!
//! `./dev` unpacks it from Debian sid into a tree of its own below [`peers::directory`]; it runs from
//! there with that tree's libraries, as the user who starts it, and needs no chroot.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::peers::{self, Process};
use crate::wait_for;
use crate::worker::{files, free_port};

/// A running Asterisk on loopback. Without authentication; it takes µ-law only. Whom to call there:
/// [`ECHO`], [`JITTER`], [`RECORD`].
#[derive(Debug)]
pub struct Asterisk {
    /// Its process.
    pub process: Process,
    /// Where it listens for SIP over UDP.
    pub sip: SocketAddr,
    tree: PathBuf,
    directory: TempDir,
}

/// Answers with `Echo()`: frames go back as they came.
pub const ECHO: &str = "echo";
/// The same behind an adaptive jitter buffer.
pub const JITTER: &str = "jitter";
/// `Echo()` with `MixMonitor()`: both sides mixed into one WAV.
pub const RECORD: &str = "record";

impl Asterisk {
    /// Starts one and waits until it has booted, all of its threads on `core` if one is named; `None`
    /// when it is missing.
    ///
    /// # Panics
    /// When it does not boot within 20 s.
    pub fn start(core: Option<usize>) -> Option<Self> {
        let tree = tree();
        if !program(&tree).is_file() {
            peers::missing_until(&format!("Asterisk in {}", tree.display()), "./dev asterisk");
            return None;
        }
        let directory = TempDir::new().expect("a temporary directory");
        let sip = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        configure(directory.path(), &tree, sip);
        let mut command = match core {
            Some(core) => pinned(core, &tree),
            None => Command::new(loader(&tree)),
        };
        command.args(arguments(&tree, directory.path())).args(["-f", "-n"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command);
        let mut asterisk = Self { process, sip, tree, directory };
        wait_for("Asterisk to boot", Duration::from_secs(20), || {
            let exited = asterisk.process.0.try_wait().expect("a child");
            assert!(exited.is_none(), "Asterisk ended at once: {exited:?}");
            asterisk.console("core waitfullybooted").contains("fully booted").then_some(())
        });
        Some(asterisk)
    }

    /// What its console answers to a command.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn console(&self, command: &str) -> String {
        let mut remote = Command::new(loader(&self.tree));
        remote.args(arguments(&self.tree, self.directory.path())).args(["-r", "-x", command]);
        let said = remote.output().expect("asterisk runs");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Version, as it says it.
    pub fn version(&self) -> String {
        let said = self.console("core show version");
        said.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// What was recorded so far.
    pub fn recordings(&self) -> Vec<PathBuf> {
        files(&self.directory.path().join("spool/monitor"), "wav")
    }
}

/// Where it is unpacked.
fn tree() -> PathBuf {
    peers::directory().join("asterisk")
}

fn program(tree: &Path) -> PathBuf {
    tree.join("usr/sbin/asterisk")
}

fn libraries(tree: &Path) -> PathBuf {
    tree.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
}

/// The tree's own loader, so that the tree's own C library is used.
fn loader(tree: &Path) -> PathBuf {
    let name = match std::env::consts::ARCH {
        "aarch64" => "ld-linux-aarch64.so.1",
        _ => "ld-linux-x86-64.so.2",
    };
    libraries(tree).join(name)
}

fn pinned(core: usize, tree: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(loader(tree));
    command
}

/// What the loader is told, up to Asterisk's own options.
fn arguments(tree: &Path, directory: &Path) -> [PathBuf; 5] {
    let configuration = directory.join("etc/asterisk.conf");
    ["--library-path".into(), libraries(tree), program(tree), "-C".into(), configuration]
}

fn configure(directory: &Path, tree: &Path, sip: SocketAddr) {
    for folder in ["etc", "lib", "spool", "run", "log"] {
        std::fs::create_dir(directory.join(folder)).expect("a folder of our own");
    }
    for (name, text) in CONFIGURATION {
        let text = text
            .replace("DIRECTORY", &directory.display().to_string())
            .replace("TREE", &tree.display().to_string())
            .replace("ARCHITECTURE", std::env::consts::ARCH)
            .replace("SIP_ADDRESS", &sip.to_string());
        std::fs::write(directory.join("etc").join(name), text).expect("its configuration");
    }
}

const CONFIGURATION: &[(&str, &str)] = &[
    ("asterisk.conf", include_str!("../asterisk/asterisk.conf")),
    ("cdr.conf", include_str!("../asterisk/cdr.conf")),
    ("extensions.conf", include_str!("../asterisk/extensions.conf")),
    ("logger.conf", include_str!("../asterisk/logger.conf")),
    ("modules.conf", include_str!("../asterisk/modules.conf")),
    ("pjproject.conf", ""),
    ("pjsip.conf", include_str!("../asterisk/pjsip.conf")),
    ("rtp.conf", include_str!("../asterisk/rtp.conf")),
];
