//! A note on disk for every call that has no result yet, so that a crash of the worker does not
//! swallow the call's outcome.
//!
//! ```text
//! outbox/open/SESSION-ID.json   written before the caller is answered, gone once the result is filed
//! ```
//!
//! What is found at the next start becomes a result: see [`CutCalls`](super::CutCalls).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;
use vox_contracts::CallResult;

use super::disk::{self, blocking};
use super::outbox::plain_session;

/// The directory of notes.
#[derive(Debug, Clone)]
pub struct OpenCalls {
    dir: PathBuf,
    /// Notes being written.
    at_once: Arc<Semaphore>,
}

/// What a crash would leave of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenNote {
    /// Where the result goes; empty for the directory of results.
    pub webhook_url: String,
    /// Names that the recording may have, the likelier last.
    pub recording_keys: Vec<String>,
    /// The result of a call that a crash cuts off, without what only the next start can know.
    pub result: CallResult,
}

/// The note of one call. It stays on disk until the result is filed: dropping this leaves a
/// call that still owes a result.
#[derive(Debug, Clone)]
pub struct OpenCall {
    path: PathBuf,
    /// Held while the note is written or removed; whether it is removed.
    removed: Arc<Mutex<bool>>,
}

impl OpenCalls {
    /// Opens `dir`, created when missing.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        disk::sweep(&dir)?;
        Ok(Self { dir, at_once: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Writes a call's note. Waits for the disk, but not for long: a disk that is stuck or full
    /// costs the note, which is logged, and never the call.
    pub async fn note(&self, id: OpenId, note: OpenNote) -> OpenCall {
        let session = &note.result.session_id;
        let name = format!("{}-{}{ENDING}", plain_session(session), id.0.simple());
        let call = OpenCall::at(self.dir.join(&name));
        match tokio::time::timeout(NOTE_LIMIT, self.write(call.clone(), name, note)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("a crash would lose a call's result: {error}"),
            Err(_) => tracing::error!(
                "a crash would lose a call's result: the disk takes longer than {} ms",
                NOTE_LIMIT.as_millis()
            ),
        }
        call
    }

    async fn write(&self, call: OpenCall, name: String, note: OpenNote) -> io::Result<()> {
        let place = self.at_once.clone().acquire_owned().await.map_err(io::Error::other)?;
        let dir = self.dir.clone();
        blocking(move || {
            let _place = place;
            let removed = call.removed.lock().unwrap_or_else(PoisonError::into_inner);
            // The call may be over by now, when the disk was slow.
            if *removed {
                return Ok(());
            }
            disk::write_whole(&dir, &name, &[&serde_json::to_vec(&note)?])
        })
        .await
    }

    /// Notes of calls without a result.
    pub(super) fn left_over(&self) -> io::Result<Vec<OpenCall>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths.into_iter().map(OpenCall::at).collect())
    }
}

impl OpenCall {
    fn at(path: PathBuf) -> Self {
        Self { path, removed: Arc::default() }
    }

    /// The note's name, unique for ever.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn read(&self) -> io::Result<OpenNote> {
        Ok(serde_json::from_slice(&fs::read(&self.path)?)?)
    }

    /// The result is filed: the note goes, and stays away also when the power goes. Blocks.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        *removed = true;
        match fs::remove_file(&self.path) {
            Ok(()) => self.path.parent().map_or(Ok(()), disk::sync_dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// There will be no result: the note goes.
    pub async fn withdraw(self) -> io::Result<()> {
        blocking(move || self.remove()).await
    }

    /// A file that is no note leaves the way, but is kept. Blocks.
    pub(super) fn set_aside(&self, poison: &Path) -> io::Result<()> {
        fs::create_dir_all(poison)?;
        disk::rename(&self.path, &poison.join(self.name()))
    }
}

/// Tells one call from another, also where their session is the same.
#[derive(Debug, Clone, Copy)]
pub struct OpenId(Uuid);

impl OpenId {
    /// One that was never there before.
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }

    /// The session's name for a recording where that of the session alone is taken.
    pub fn own_session(self, session_id: &str) -> String {
        format!("{session_id}-{}", self.0.simple())
    }
}

impl Default for OpenId {
    fn default() -> Self {
        Self::new()
    }
}

const ENDING: &str = ".json";

/// Notes that are written at the same time: their syncs share the disk's commits.
const AT_ONCE: usize = 64;

/// What a caller waits for a disk at most.
const NOTE_LIMIT: Duration = Duration::from_millis(250);

#[cfg(test)]
#[path = "tests/open_calls.rs"]
mod tests;
