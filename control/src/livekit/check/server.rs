//! The server itself: reachable, on time, and ours.

use std::time::{Duration, Instant};

use livekit_api::access_token::{AccessToken, VideoGrants};
use reqwest::header::DATE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::{NOT_ASKED, Piece};
use crate::bots::explain;
use crate::config::LivekitConfig;

/// `server`, `clock`, `key`.
pub(super) async fn pieces(config: &LivekitConfig) -> Vec<Piece> {
    let url = config.url.replacen("ws", "http", usize::from(config.url.starts_with("ws")));
    let url = url.trim_end_matches('/');
    let client = match client() {
        Ok(client) => client,
        Err(error) => return vec![Piece::wrong("server", error, "")],
    };
    let began = Instant::now();
    match client.get(url).send().await {
        Err(error) => vec![
            unreachable(&config.url, &error),
            Piece::unknown("clock", NOT_ASKED, ""),
            Piece::unknown("key", NOT_ASKED, ""),
        ],
        Ok(answer) => {
            let clock = clock(date_of(&answer), OffsetDateTime::now_utc());
            vec![
                server(&config.url, &answer, began.elapsed()),
                clock,
                key(&client, url, config).await,
            ]
        }
    }
}

/// livekit-sip. LiveKit's API does not tell whether one is there: it only notices when it has to
/// call out.
pub(super) async fn sip_process(health: Option<&str>) -> Piece {
    let name = "sip-process";
    let Some(url) = health else {
        return Piece::unknown(
            name,
            "LiveKit's API does not tell whether livekit-sip runs",
            "see `docker compose ps`, or give its health_port with --sip-health",
        );
    };
    let answer = match client() {
        Ok(client) => client.get(url).send().await.map_err(|error| explain(&error)),
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) if answer.status().is_success() => Piece::ok(name, format!("{url} is healthy")),
        Ok(answer) => Piece::wrong(
            name,
            format!("{url} answers {}", answer.status()),
            "livekit-sip reports itself unhealthy, as it does on a busy host: see its log, and max_cpu_utilization",
        ),
        Err(why) => {
            Piece::missing(name, format!("{url}: {why}"), "start livekit-sip, with health_port set")
        }
    }
}

/// One that is not led elsewhere with a token of ours.
pub(super) fn client() -> Result<Client, String> {
    let client = Client::builder().redirect(Policy::none()).timeout(LIMIT).build();
    client.map_err(|error| explain(&error))
}

fn unreachable(url: &str, error: &reqwest::Error) -> Piece {
    let why = match error.is_timeout() {
        true => format!("no answer within {} s", LIMIT.as_secs()),
        false => explain(error),
    };
    let remedy = "is livekit-server running there, and is LIVEKIT_URL its address?";
    Piece::wrong("server", format!("{url}: {why}"), remedy)
}

fn server(url: &str, answer: &Response, took: Duration) -> Piece {
    let status = answer.status();
    match status.is_success() {
        true => Piece::ok("server", format!("{url} answers in {} ms", took.as_millis())),
        false => Piece::wrong(
            "server",
            format!("{url} answers {status}, livekit-server 200"),
            "LIVEKIT_URL leads to something else, or a proxy before it that has lost it",
        ),
    }
}

fn date_of(answer: &Response) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(answer.headers().get(DATE)?.to_str().ok()?, &Rfc2822).ok()
}

/// Tokens and webhooks are refused when clocks differ by more than the leeway.
fn clock(theirs: Option<OffsetDateTime>, ours: OffsetDateTime) -> Piece {
    let Some(theirs) = theirs else {
        return Piece::unknown("clock", "the server does not tell its time (no Date)", "");
    };
    let ahead = (theirs - ours).whole_seconds();
    let differ = match ahead {
        -2..=2 => "the server's and ours agree".into(),
        3.. => format!("the server's is {ahead} s ahead of ours"),
        _ => format!("the server's is {} s behind ours", -ahead),
    };
    match ahead.abs() {
        0..=SKEW_MAX_SECONDS => Piece::ok("clock", differ),
        _ => Piece::wrong("clock", differ, "tokens will be refused: let both hosts follow NTP"),
    }
}

async fn key(client: &Client, url: &str, config: &LivekitConfig) -> Piece {
    let name = "key";
    let grants = VideoGrants { room_list: true, ..VideoGrants::default() };
    let token = AccessToken::with_api_key(&config.api_key, config.api_secret.expose())
        .with_grants(grants)
        .with_ttl(Duration::from_secs(60))
        .to_jwt();
    let token = match token {
        Ok(token) => token,
        Err(error) => return Piece::wrong(name, error.to_string(), "see LIVEKIT_API_SECRET"),
    };
    let request = client.post(format!("{url}/twirp/livekit.RoomService/ListRooms"));
    let answer = match request.bearer_auth(token).json(&serde_json::json!({})).send().await {
        Ok(answer) => answer,
        Err(error) => return Piece::unknown(name, explain(&error), ""),
    };
    let status = answer.status();
    match status.as_u16() {
        200 => Piece::ok(name, format!("{} is accepted", config.api_key)),
        401 | 403 => refused(config, &text(answer).await),
        404 => Piece::wrong(name, format!("{status}: no LiveKit API there"), "see LIVEKIT_URL"),
        _ => Piece::unknown(name, format!("the server answers {status}"), ""),
    }
}

/// `text` repeats the token: it is looked into, and not shown.
fn refused(config: &LivekitConfig, text: &str) -> Piece {
    let key = &config.api_key;
    let (found, remedy) = if text.contains("signature") {
        (format!("{key} has another secret at the server"), "see LIVEKIT_API_SECRET")
    } else if text.contains("API key") {
        (
            format!("the server does not know {key}"),
            "see LIVEKIT_API_KEY, and `keys` in its configuration",
        )
    } else if text.contains("expired") || text.contains("not valid yet") || text.contains("before")
    {
        ("the server takes our token for one of another time".into(), "see clock")
    } else {
        (format!("the server refuses {key}"), "see LIVEKIT_API_KEY and LIVEKIT_API_SECRET")
    };
    Piece::wrong("key", found, remedy)
}

/// The beginning of it.
async fn text(mut answer: Response) -> String {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A person waits.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// LiveKit grants 60 s, we grant webhooks 30.
const SKEW_MAX_SECONDS: i64 = 30;
const TEXT_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::super::State;
    use super::*;

    #[test]
    fn clocks_that_differ_by_more_than_tokens_bear_are_wrong() {
        let ours = datetime!(2026-11-25 12:00 UTC);
        let rows = [
            (0, State::Ok, "the server's and ours agree"),
            (30, State::Ok, "the server's is 30 s ahead of ours"),
            (-31, State::Wrong, "the server's is 31 s behind ours"),
            (90_000, State::Wrong, "the server's is 90000 s ahead of ours"),
        ];
        for (seconds, state, found) in rows {
            let piece = clock(Some(ours + Duration::seconds(seconds)), ours);
            assert_eq!((piece.state, piece.found.as_str()), (state, found));
        }
        assert_eq!(clock(None, ours).state, State::Unknown);
    }
}
