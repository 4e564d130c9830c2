//! Call results on their way to the Backend.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use vox_contracts::{CallResult, SECRET_HEADER};

use super::cut_calls::Filed;
use super::disk::{self, blocking};
use super::open_calls::OpenCall;
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
    /// The note of the open call that this is the result of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<String>,
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
        for path in left_over(&this.dir)? {
            let side = envelope(&path).map(|envelope| host(&envelope.webhook_url));
            this.queue.push(path, &side.unwrap_or_default());
        }
        Ok(this)
    }

    /// Keeps a result for good. Returns once it is on disk and the note of its call is gone; the
    /// delivery follows.
    pub async fn put(
        &self,
        webhook_url: &str,
        result: &CallResult,
        open: Option<&OpenCall>,
    ) -> io::Result<()> {
        let body = serde_json::to_vec(result)?;
        let open = open.cloned();
        if webhook_url.is_empty() {
            let (results, name) = (self.results.clone(), local_name(&result.session_id));
            return blocking(move || {
                disk::write_whole(&results, &name, &[&body])?;
                forget_note(open);
                Ok(())
            })
            .await;
        }
        let millis = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let name = format!("{millis}-{}{ENDING}", plain_session(&result.session_id));
        let side = host(webhook_url);
        let (webhook_url, note) = (webhook_url.to_owned(), open.as_ref().map(OpenCall::name));
        let mut head = serde_json::to_vec(&Envelope { webhook_url, open: note })?;
        head.push(b'\n');
        let (dir, file) = (self.dir.clone(), name.clone());
        // The note goes before the result does: a crash in between leaves the result, whose
        // envelope names the note. The other way round, a crash would make a second result.
        blocking(move || {
            disk::write_whole(&dir, &file, &[&head, &body])?;
            forget_note(open);
            Ok(())
        })
        .await?;
        self.queue.push(self.dir.join(name), &side);
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
}

/// Results in `dir`, oldest first.
fn left_over(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ENDING));
    paths.sort();
    Ok(paths)
}

/// The notes of open calls whose result is in the outbox `dir`, which may not exist yet.
pub(super) fn filed(dir: &Path) -> io::Result<Filed> {
    let mut filed = Filed::new();
    for path in left_over(dir)? {
        if let Ok(envelope) = envelope(&path) {
            filed.extend(envelope.open);
        }
    }
    Ok(filed)
}

/// Where a webhook lives: results for other hosts do not wait for it.
fn host(webhook_url: &str) -> String {
    let url = Url::parse(webhook_url).ok();
    url.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// The first line of a result.
fn envelope(path: &Path) -> io::Result<Envelope> {
    let mut line = Vec::new();
    let file = std::fs::File::open(path)?;
    io::BufReader::new(file.take(ENVELOPE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

/// A note that cannot be removed would become a second result at the next start, which the
/// envelope prevents for as long as the first is not delivered.
fn forget_note(open: Option<OpenCall>) {
    if let Some(Err(error)) = open.map(|open| open.remove()) {
        tracing::error!("the note of a call that is over cannot be removed: {error}");
    }
}

/// Where a result without a webhook goes.
pub(super) fn local_name(session_id: &str) -> String {
    format!("{}.json", plain_session(session_id))
}

/// A session as a part of a file name.
pub(super) fn plain_session(session_id: &str) -> String {
    session_id.chars().take(150).map(plain).collect()
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
                Err(match status.as_u16() {
                    // Nobody there, or nobody who works: it is the same for every result. Any
                    // other answer, a 500 too, may be about this one.
                    429 | 502..=504 => Delivery::Unreachable(reason),
                    _ => Delivery::Later(reason),
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

/// A URL, and a name.
const ENVELOPE_BYTES_MAX: u64 = 64 << 10;

/// To one host: a Backend that is slow for all of them is not to be helped by more.
const AT_ONCE: usize = 8;

/// The Backend reconciles campaigns before it answers.
const POST_LIMIT: Duration = Duration::from_secs(20);

/// A result for tests.
#[cfg(test)]
pub(super) fn example(session_id: &str) -> CallResult {
    use vox_contracts::{CallDirection, DisconnectedBy, Latency, Object};
    CallResult {
        session_id: session_id.into(),
        stream_id: Some("id@host".into()),
        caller_id: None,
        from_number: None,
        call_duration_seconds: 1.5,
        disconnected_by: DisconnectedBy::Customer,
        call_direction: CallDirection::Inbound,
        transcript: Vec::new(),
        events: Vec::new(),
        intents: Vec::new(),
        recording_url: None,
        recording_key: None,
        recording_access_token: None,
        post_call_analysis: None,
        qc_analysis: None,
        latency: Latency::default(),
        latency_samples: Vec::new(),
        usage_metrics: Object::new(),
        pipeline_config: Object::new(),
        connected_event: Object::new(),
        was_transferred: false,
        transfer_destination: None,
        transfer_target: None,
        transfer_reason: None,
        transfer_method: None,
        transfer_at: None,
        transfer_failed_reason: None,
        media: None,
    }
}

#[cfg(test)]
#[path = "tests/outbox.rs"]
mod tests;
