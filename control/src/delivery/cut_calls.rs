//! Calls that a crash of the worker cut off: their results, made at the next start.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use vox_contracts::{CallEvent, Object};

use super::open_calls::{OpenCall, OpenCalls, OpenNote};
use super::{Outbox, RecordingKey, Spool, Store, outbox};

/// What an earlier process left without a result.
#[derive(Debug)]
pub struct CutCalls {
    calls: Vec<(OpenCall, OpenNote, Option<Found>)>,
}

/// A cut call's recording.
#[derive(Debug, PartialEq)]
struct Found {
    key: RecordingKey,
    /// `None` when it is in the store already.
    duration: Option<Duration>,
}

impl CutCalls {
    /// Looks what is left in `data_dir`, before anything in it moves: spool and outbox are opened
    /// afterwards. Notes of calls whose result is filed already go.
    pub async fn find(data_dir: &Path, open: &OpenCalls, store: &Store) -> io::Result<Self> {
        let (outbox, results) = (data_dir.join("outbox"), data_dir.join("results"));
        let filed = outbox::filed(&outbox)?;
        let mut calls = Vec::new();
        for call in open.left_over()? {
            let note = match call.read() {
                Ok(note) => note,
                Err(error) => {
                    tracing::error!("{} is no note of a call, set aside: {error}", call.name());
                    call.set_aside(&outbox.join("poison"))?;
                    continue;
                }
            };
            if filed.contains(&call.name()) || is_local(&note, &results) {
                call.remove()?;
                continue;
            }
            calls.push((call, note));
        }
        let mut this = Self { calls: Vec::with_capacity(calls.len()) };
        for (call, note) in calls {
            let found = recording(&note, &data_dir.join("spool"), store).await;
            this.calls.push((call, note, found));
        }
        Ok(this)
    }

    /// Files their results; gives how many. What a disk refuses is tried again at the next start.
    pub async fn file(self, outbox: &Outbox, spool: &Spool) -> u64 {
        let mut filed = 0;
        for (call, mut note, found) in self.calls {
            complete(&mut note, found, spool);
            let session_id = &note.result.session_id;
            match outbox.put(&note.webhook_url, &note.result, Some(&call)).await {
                Ok(()) => {
                    tracing::warn!(session_id, "a crash cut this call off; its result says so");
                    filed += 1;
                }
                Err(error) => tracing::error!(
                    session_id,
                    "the result of a call that a crash cut off waits for the next start: {error}"
                ),
            }
        }
        filed
    }
}

/// What only this start knows.
fn complete(note: &mut OpenNote, found: Option<Found>, spool: &Spool) {
    let mut extra = Object::new();
    let duration = found.as_ref().and_then(|found| found.duration);
    extra.insert("duration_known".into(), duration.is_some().into());
    let duration = duration.unwrap_or_default();
    let offset_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    note.result.call_duration_seconds = offset_ms as f64 / 1_000.0;
    if let Some(Found { key, .. }) = found {
        note.result.recording_url = Some(spool.url(&key));
        note.result.recording_key = Some(key.to_string());
    }
    note.result.events.push(CallEvent {
        event: WORKER_CRASHED.into(),
        // When it was found: nobody was there when it happened.
        timestamp: now(),
        offset_ms,
        extra,
    });
}

/// RFC 3339, UTC, milliseconds.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let millis = now.replace_millisecond(now.millisecond()).unwrap_or(now);
    millis.format(&Rfc3339).unwrap_or_default()
}

/// Whether the result is in the directory of results.
fn is_local(note: &OpenNote, results: &Path) -> bool {
    let name = outbox::local_name(&note.result.session_id);
    note.webhook_url.is_empty() && results.join(name).exists()
}

async fn recording(note: &OpenNote, spool: &Path, store: &Store) -> Option<Found> {
    let keys: Vec<RecordingKey> =
        note.recording_keys.iter().filter_map(|key| RecordingKey::parse(key)).collect();
    for key in keys.iter().rev() {
        for path in [spool.join("active").join(key.as_str()), spool.join(key.as_str())] {
            match length(&path) {
                Ok(Some(duration)) => {
                    return Some(Found { key: key.clone(), duration: Some(duration) });
                }
                Ok(None) => {}
                Err(error) => tracing::debug!("{}: {error}", path.display()),
            }
        }
    }
    for key in keys.into_iter().rev() {
        let held = tokio::time::timeout(STORE_LIMIT, store.holds(&key)).await;
        if matches!(held, Ok(Ok(true))) {
            return Some(Found { key, duration: None });
        }
    }
    None
}

/// How long the audio of a WAV of ours is, by its size: the header lags behind. `None` when there
/// is none.
fn length(path: &Path) -> io::Result<Option<Duration>> {
    let bytes = fs::metadata(path)?.len();
    let mut header = [0; HEADER_BYTES as usize];
    File::open(path)?.read_exact(&mut header)?;
    let rate = u32::from_le_bytes([header[24], header[25], header[26], header[27]]);
    let frame = u16::from_le_bytes([header[32], header[33]]);
    let bytes_per_second = u64::from(rate) * u64::from(frame);
    if bytes <= HEADER_BYTES || bytes_per_second == 0 {
        return Ok(None);
    }
    let data = bytes - HEADER_BYTES;
    Ok(Some(Duration::from_secs_f64(data as f64 / bytes_per_second as f64)))
}

/// Names of notes that a result was made of, from the envelopes of results.
pub(super) type Filed = HashSet<String>;

/// A WAV of no samples.
const HEADER_BYTES: u64 = 44;

/// For one question to the store, at the start.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// The event in the result.
const WORKER_CRASHED: &str = "worker_crashed";

#[cfg(test)]
#[path = "tests/cut_calls.rs"]
mod tests;
