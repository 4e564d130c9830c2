//! Call results on their way to the Backend.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use vox_contracts::{CallResult, SECRET_HEADER};

use super::disk::{self, blocking};
use super::queue::{Backoff, Courier, Delivery, Queue, QueueCounts};
use crate::bots::explain;
use crate::config::Secret;

/// Where results go: on disk first, then to the bot's webhook, or, where it has none, into a
/// directory of results.
#[derive(Debug, Clone)]
pub struct Outbox {
    dir: PathBuf,
    results: PathBuf,
    queue: Queue,
}

/// The first line of a file in the outbox; the body, byte for byte as it is posted, follows.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    webhook_url: String,
}

impl Outbox {
    /// Opens `dir` (created when missing) and takes up what an earlier process left in it.
    pub fn open(
        dir: PathBuf,
        results: PathBuf,
        secret: Option<Secret>,
        backoff: Backoff,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        std::fs::create_dir_all(&results)?;
        disk::sweep(&dir)?;
        disk::sweep(&results)?;
        let courier = Webhook { client: client()?, secret, poison: dir.join("poison") };
        let this = Self { queue: Queue::start(courier, backoff, AT_ONCE), dir, results };
        for path in this.left_over()? {
            this.queue.push(path);
        }
        Ok(this)
    }

    /// Keeps a result for good. Returns once it is on disk; the delivery follows.
    pub async fn put(&self, webhook_url: &str, result: &CallResult) -> io::Result<()> {
        let body = serde_json::to_vec(result)?;
        let session: String = result.session_id.chars().take(150).map(plain).collect();
        if webhook_url.is_empty() {
            let results = self.results.clone();
            let name = format!("{session}.json");
            return blocking(move || disk::write_whole(&results, &name, &[&body])).await;
        }
        let millis = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let name = format!("{millis}-{session}{ENDING}");
        let mut head = serde_json::to_vec(&Envelope { webhook_url: webhook_url.to_owned() })?;
        head.push(b'\n');
        let (dir, file) = (self.dir.clone(), name.clone());
        blocking(move || disk::write_whole(&dir, &file, &[&head, &body])).await?;
        self.queue.push(self.dir.join(name));
        Ok(())
    }

    /// Resolves when everything is delivered.
    pub async fn idle(&self) {
        self.queue.idle().await;
    }

    /// For `/metrics`.
    pub fn counts(&self) -> QueueCounts {
        self.queue.counts()
    }

    /// Oldest first.
    fn left_over(&self) -> io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(&self.dir)?.collect::<io::Result<Vec<_>>>()?;
        let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(ENDING));
        paths.sort();
        Ok(paths)
    }
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }
}

fn client() -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(POST_LIMIT)
        // A redirected POST would arrive as a GET without a body.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(io::Error::other)
}

struct Webhook {
    client: reqwest::Client,
    secret: Option<Secret>,
    poison: PathBuf,
}

impl Courier for Webhook {
    const WHAT: &'static str = "result";

    async fn deliver(&self, path: &Path) -> Delivery {
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Delivery::Never("its file is gone".into());
            }
            Err(error) => return Delivery::Later(format!("the outbox cannot be read: {error}")),
        };
        let (url, body) = match open(&bytes) {
            Ok(opened) => opened,
            Err(reason) => return self.set_aside(path, reason).await,
        };
        match self.post(url, body.to_vec()).await {
            Ok(()) => forget(path).await,
            Err(failed) => failed,
        }
    }
}

impl Webhook {
    async fn post(&self, url: Url, body: Vec<u8>) -> Result<(), Delivery> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut request =
            self.client.post(url).header("content-type", "application/json").body(body);
        if let Some(secret) = &self.secret {
            request = request.header(SECRET_HEADER, secret.expose());
        }
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                let status = response.status();
                let reason = format!("{host} answers {}", status.as_u16());
                Err(match status.is_server_error() {
                    true => Delivery::Unreachable(reason),
                    false => Delivery::Later(reason),
                })
            }
            Err(error) => Err(Delivery::Unreachable(format!("{host}: {}", explain(&error)))),
        }
    }

    /// Out of the way of the others, but kept: somebody may want to know what it was.
    async fn set_aside(&self, path: &Path, reason: String) -> Delivery {
        let (from, poison) = (path.to_owned(), self.poison.clone());
        let moved = blocking(move || {
            std::fs::create_dir_all(&poison)?;
            disk::rename(&from, &poison.join(from.file_name().unwrap_or_default()))
        });
        match moved.await {
            Ok(()) => Delivery::Never(reason),
            Err(error) => Delivery::Later(format!("a bad file cannot be set aside: {error}")),
        }
    }
}

fn open(bytes: &[u8]) -> Result<(Url, &[u8]), String> {
    let end = bytes.iter().position(|&b| b == b'\n').ok_or("no envelope")?;
    let (head, body) = (&bytes[..end], &bytes[end + 1..]);
    let envelope: Envelope =
        serde_json::from_slice(head).map_err(|error| format!("bad envelope: {error}"))?;
    let url = Url::parse(&envelope.webhook_url)
        .map_err(|error| format!("bad webhook_url {:?}: {error}", envelope.webhook_url))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("bad webhook_url {:?}: expected http or https", envelope.webhook_url));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(body)
        .map_err(|error| format!("bad body: {error}"))?;
    Ok((url, body))
}

async fn forget(path: &Path) -> Delivery {
    match tokio::fs::remove_file(path).await {
        Ok(()) => Delivery::Done,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Delivery::Done,
        Err(error) => Delivery::Later(format!("the outbox cannot be cleared: {error}")),
    }
}

const ENDING: &str = ".result";

/// A Backend that is slow for all of them is not to be helped by more.
const AT_ONCE: usize = 8;

/// The Backend reconciles campaigns before it answers.
const POST_LIMIT: Duration = Duration::from_secs(20);

#[cfg(test)]
#[path = "tests/outbox.rs"]
mod tests;
