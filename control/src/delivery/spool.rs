//! Recordings from their first sample to the object store's receipt.
//!
//! ```text
//! spool/active/KEY   being recorded
//! spool/KEY          complete, on its way to the store
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, blocking};
use super::queue::{Backoff, Courier, Delivery, Queue, QueueCounts};
use super::{RecordingKey, Store};

/// The recordings that the store has not confirmed yet.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    store: Store,
    queue: Queue,
}

impl Spool {
    /// Opens `dir` (created when missing) and takes up what an earlier process left in it: complete
    /// recordings, and those that a crash broke off, as they are.
    pub fn open(dir: PathBuf, store: Store, backoff: Backoff) -> io::Result<Self> {
        fs::create_dir_all(dir.join(ACTIVE))?;
        let queue = Queue::start(Uploads { store: store.clone() }, backoff, AT_ONCE);
        let this = Self { dir, store, queue };
        for path in wavs(&this.dir.join(ACTIVE))? {
            tracing::warn!("recording {} was broken off by a crash; kept as it is", path.display());
            this.take_over(&path)?;
        }
        for path in wavs(&this.dir)? {
            this.queue.push(path, STORE);
        }
        Ok(this)
    }

    /// Where the recording `key` is to be written. `None` when there is one already: a session
    /// that comes twice does not overwrite the first.
    pub fn begin(&self, key: &RecordingKey) -> Option<PathBuf> {
        let taken = self.dir.join(key.as_str()).exists() || self.store.holds_locally(key);
        let path = self.dir.join(ACTIVE).join(key.as_str());
        (!taken && !path.exists()).then_some(path)
    }

    /// The recording at `path` (from [`begin`](Self::begin)) is complete on disk: hands it to the
    /// uploads. One without a sample is removed. Returns whether there is a recording.
    pub async fn complete(&self, path: PathBuf) -> io::Result<bool> {
        let this = self.clone();
        let ready = blocking(move || this.take_over(&path)).await?;
        if let Some(ready) = ready {
            self.queue.push(ready, STORE);
            return Ok(true);
        }
        Ok(false)
    }

    /// Where the recording will be found.
    pub fn url(&self, key: &RecordingKey) -> String {
        self.store.url(key)
    }

    /// Resolves when everything is in the store.
    pub async fn idle(&self) {
        self.queue.idle().await;
    }

    /// For `/metrics`.
    pub fn counts(&self) -> QueueCounts {
        self.queue.counts()
    }

    /// Out of `active`, unless it is empty.
    fn take_over(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let name = path.file_name().unwrap_or_default();
        if fs::metadata(path)?.len() <= HEADER_BYTES {
            fs::remove_file(path)?;
            return Ok(None);
        }
        let ready = self.dir.join(name);
        disk::rename(path, &ready)?;
        Ok(Some(ready))
    }
}

fn wavs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "wav"));
    paths.sort();
    Ok(paths)
}

struct Uploads {
    store: Store,
}

impl Courier for Uploads {
    const WHAT: &'static str = "recording";

    async fn deliver(&self, path: &Path) -> Delivery {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(key) = name.and_then(RecordingKey::parse) else {
            return Delivery::Never("its name is no recording key; left in the spool".into());
        };
        if matches!(path.try_exists(), Ok(false)) {
            return match self.store.holds(&key).await {
                Ok(true) => Delivery::Done,
                Ok(false) => Delivery::Never("its file is gone, and the store has none".into()),
                Err(failed) => failed,
            };
        }
        match self.store.take(&key, path).await {
            Ok(()) => Delivery::Done,
            Err(failed) => failed,
        }
    }
}

/// There is one.
const STORE: &str = "";

const ACTIVE: &str = "active";

/// A WAV of no samples.
const HEADER_BYTES: u64 = 44;

/// An upload holds up to two parts of 8 MB in memory.
const AT_ONCE: usize = 4;

#[cfg(test)]
#[path = "tests/spool.rs"]
mod tests;
