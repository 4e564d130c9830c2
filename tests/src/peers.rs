//! Real peers: found, or loudly missed. With `REQUIRE_PEERS=1` a missing one is a failure.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command};

/// The program `name` from `$PEERS/bin` or `$PATH`; `None` (said on stderr) when it is not there.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = [directory().join("bin")].into_iter().chain(env::split_paths(&path));
    let found = directories.map(|directory| directory.join(name)).find(|program| program.is_file());
    if found.is_none() {
        missing(&format!("the program {name}"));
    }
    found
}

/// Where peers that are no Debian packages are kept.
pub fn directory() -> PathBuf {
    match env::var_os("PEERS") {
        Some(peers) => peers.into(),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache/vox-peers"),
    }
}

/// Says that a test cannot run, and fails it when peers are required.
pub fn missing(what: &str) {
    missing_until(what, "./dev test");
}

/// The same for what another command installs.
pub fn missing_until(what: &str, command: &str) {
    assert!(
        env::var_os("REQUIRE_PEERS").is_none_or(|value| value != "1"),
        "{what} is missing (REQUIRE_PEERS=1); `{command}` installs it"
    );
    eprintln!("SKIPPED: {what} is missing; `{command}` installs it");
}

/// A child process that is ended with the test.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?} did not start: {error}")))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // A process id of our own unreaped child: it cannot have been reused.
        let status =
            Command::new("kill").arg(format!("-{signal}")).arg(self.0.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{signal}");
    }

    /// Kills it, and waits until it is gone.
    pub fn end(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
