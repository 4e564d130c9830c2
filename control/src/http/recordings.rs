//! `GET /recordings/{key}`: a recording that is still on this machine.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path as UrlPath, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, Method, StatusCode, response};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio_util::io::ReaderStream;

use super::range::Wanted;
use super::{Desk, refusal};
use crate::delivery::RecordingKey;

/// Streams the recording, or the part of it that is asked for.
pub(super) async fn get(
    State(desk): State<Arc<Desk>>,
    method: Method,
    key: Result<UrlPath<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    // What is no key is not there: no answer tells the two apart.
    let Some(key) = key.ok().and_then(|UrlPath(key)| RecordingKey::parse(&key)) else {
        return not_found();
    };
    let opened = tokio::task::spawn_blocking(move || open(&desk, &key)).await;
    match opened.unwrap_or_else(|died| Err(io::Error::other(died))) {
        Ok(Some((file, metadata))) => {
            let wanted = wanted(&method, &headers, &metadata);
            send(file, &metadata, wanted).await.unwrap_or_else(|error| unreadable(&error))
        }
        Ok(None) => not_found(),
        Err(error) => unreadable(&error),
    }
}

/// Looks where recordings go through, in that order: one that moves on meanwhile is found in the
/// next place, and stays readable once it is open.
fn open(desk: &Desk, key: &RecordingKey) -> io::Result<Option<(File, Metadata)>> {
    let found =
        desk.recording_dirs.iter().find_map(|dir| match open_plain(&dir.join(key.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened),
        });
    found.transpose()
}

/// Opens a plain file: no link out of the directory, no FIFO that would wait for a writer.
fn open_plain(path: &Path) -> io::Result<(File, Metadata)> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn wanted(method: &Method, headers: &HeaderMap, metadata: &Metadata) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // RFC 9110 §13.1.5: a range of another version of it would be put together wrongly.
    let same = !headers.contains_key(IF_RANGE) || text(IF_RANGE) == Some(&etag(metadata));
    match text(RANGE) {
        // RFC 9110 §14.2: ranges are defined for GET only.
        Some(range) if same && method == Method::GET => Wanted::read(range, metadata.len()),
        _ => Wanted::Whole,
    }
}

async fn send(file: File, metadata: &Metadata, wanted: Wanted) -> io::Result<Response> {
    let length = metadata.len();
    let head = Response::builder().header(ACCEPT_RANGES, "bytes").header(ETAG, etag(metadata));
    let (head, first, count) = match wanted {
        Wanted::Whole => (head, 0, length),
        Wanted::Part(range) => {
            let (first, last) = (*range.start(), *range.end());
            let head = head
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, format!("bytes {first}-{last}/{length}"));
            (head, first, last - first + 1)
        }
        Wanted::Nothing => {
            let head = head
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{length}"));
            return finish(head, Body::empty());
        }
    };
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(first)).await?;
    let body = ReaderStream::with_capacity(file.take(count), CHUNK_BYTES);
    let head = head.header(CONTENT_TYPE, "audio/wav").header(CONTENT_LENGTH, count);
    finish(head, Body::from_stream(body))
}

fn finish(head: response::Builder, body: Body) -> io::Result<Response> {
    head.body(body).map_err(io::Error::other)
}

/// A complete recording is never written again: length and time tell one from another.
fn etag(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    format!("\"{:x}-{:x}\"", metadata.len(), modified.unwrap_or_default().as_nanos())
}

fn not_found() -> Response {
    refusal(StatusCode::NOT_FOUND, "not_found")
}

fn unreadable(error: &io::Error) -> Response {
    tracing::error!("a recording cannot be read: {error}");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "unreadable").into_response()
}

/// Memory of a download.
const CHUNK_BYTES: usize = 64 << 10;
