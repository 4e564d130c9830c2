use std::io::{self, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{Desk, range};
use crate::delivery::RecordingKey;

/// `GET /recordings/{key}`: a recording that is still on this host.
pub(super) async fn serve(
    State(desk): State<Arc<Desk>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !desk.knows_secret(&headers) {
        return (StatusCode::FORBIDDEN, r#"{"detail":"forbidden"}"#).into_response();
    }
    let missing = || (StatusCode::NOT_FOUND, r#"{"detail":"not_found"}"#).into_response();
    let Some(key) = RecordingKey::parse(&key) else { return missing() };
    let Some(file) = desk.find(&key).await else { return missing() };
    match answer(file, &headers).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!("recording {key} cannot be read: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Desk {
    async fn find(&self, key: &RecordingKey) -> Option<File> {
        for dir in &self.recording_dirs {
            let opened = File::open(dir.join(key.as_str())).await;
            if let Ok(file) = opened
                && file.metadata().await.is_ok_and(|meta| meta.is_file())
            {
                return Some(file);
            }
        }
        None
    }
}

async fn answer(file: File, headers: &HeaderMap) -> io::Result<Response> {
    let length = file.metadata().await?.len();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    match asked.and_then(|asked| range::parse(asked, length)) {
        None => part(file, 0..length, StatusCode::OK).await,
        Some(Ok(range)) => {
            let content = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            let mut response = part(file, range, StatusCode::PARTIAL_CONTENT).await?;
            response.headers_mut().insert(header::CONTENT_RANGE, value(&content));
            Ok(response)
        }
        Some(Err(range::Unsatisfiable)) => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            let content = format!("bytes */{length}");
            response.headers_mut().insert(header::CONTENT_RANGE, value(&content));
            Ok(response)
        }
    }
}

async fn part(mut file: File, range: Range<u64>, status: StatusCode) -> io::Result<Response> {
    file.seek(SeekFrom::Start(range.start)).await?;
    let length = range.end - range.start;
    let body = Body::from_stream(ReaderStream::new(file.take(length)));
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

/// Digits and ASCII punctuation always make a header value.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
