use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response as Reply};

use super::*;
use crate::calls::CallDirection;

type Seen = Arc<Mutex<Vec<String>>>;

/// A Backend that answers every config fetch with `status` and `body`, and knows one DID.
async fn backend(status: u16, body: &'static str) -> (Backend, Seen) {
    let seen = Seen::default();
    let app = Router::new()
        .fallback(async move |State(seen): State<Seen>, request: Request| -> Reply {
            let secret =
                request.headers().get(SECRET_HEADER).map(|v| v.to_str().unwrap().to_owned());
            let uri = request.uri().to_string();
            seen.lock().unwrap().push(format!("{} {uri}", secret.unwrap_or_default()));
            if uri.starts_with("/api/v1/sip/lookup") {
                return match uri.contains("number=%2B919876543210") {
                    true => {
                        r#"{"bot_id":"front desk","carrier_id":"c","did_id":"d"}"#.into_response()
                    }
                    false => StatusCode::NOT_FOUND.into_response(),
                };
            }
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        })
        .with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/config", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Backend::new(&url, Secret::new("s3cret"), Path::new("")).unwrap(), seen)
}

fn facts(dialed: &str) -> CallFacts {
    CallFacts {
        dialed: dialed.into(),
        caller: "+911112223334".into(),
        direction: CallDirection::Inbound,
        stream_id: "a b@host".into(),
        connected_event: serde_json::from_str(r#"{"crm":"1&2"}"#).unwrap(),
    }
}

const GOOD: &str = r#"{"session_id":"s","webhook_url":"http://b/r","agent":{"kind":"echo"},"x":1}"#;

#[tokio::test]
async fn a_config_is_fetched_as_the_contract_says() {
    let (backend, seen) = backend(200, GOOD).await;
    let bot = backend.config(&facts("b/o t")).await.unwrap();
    assert_eq!((bot.session_id.as_str(), &bot.extra["x"]), ("s", &1.into()));
    let expected = "s3cret /api/v1/config/b%2Fo%20t?caller_id=%2B911112223334&\
        stream_id=a+b%40host&connected_event=%7B%22crm%22%3A%221%262%22%7D";
    assert_eq!(*seen.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn a_number_is_looked_up_first() {
    let (backend, seen) = backend(200, GOOD).await;
    backend.config(&facts("919876543210")).await.unwrap();
    assert!(seen.lock().unwrap()[1].starts_with("s3cret /api/v1/config/front%20desk?"));
    let unknown = backend.config(&facts("+915555555555")).await.unwrap_err().error;
    assert_eq!(unknown, OpenError::NoSuchBot("+915555555555".into()));
}

#[tokio::test]
async fn a_trunk_is_asked_for_by_the_number_that_calls_and_its_absence_is_told_in_words() {
    let trunk = |trunk_id: &str, number: &str| OutboundTrunk {
        trunk_id: trunk_id.into(),
        number: number.into(),
        ..OutboundTrunk::default()
    };
    let rows = [
        (200, r#"{"trunk_id":"ST_1","number":"+1","carrier":{}}"#, Ok(trunk("ST_1", "+1"))),
        (200, r#"{"trunk_id":"ST_1","number":null,"transport":null}"#, Ok(trunk("ST_1", ""))),
        (404, "", Err("the Backend has none for \"+1 5\"")),
        (403, "", Err("the Backend forbids this call")),
        (500, r#"{"detail":"bug"}"#, Err("outbound-trunk: status 500: bug")),
        (200, "7", Err("outbound-trunk of +1 5: invalid")),
    ];
    for (status, body, expected) in rows {
        let (backend, seen) = backend(status, body).await;
        match (backend.trunk("+1 5").await, expected) {
            (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
            (found, expected) => assert_eq!(found, expected.map_err(str::to_owned)),
        }
        let asked = "s3cret /api/v1/sip/outbound-trunk?from_number=%2B1+5";
        assert_eq!(*seen.lock().unwrap(), [asked]);
    }
}

#[tokio::test]
async fn each_refusal_has_its_meaning() {
    let unavailable = |text: &str| OpenError::Unavailable(text.into());
    let rows = [
        (403, "", OpenError::Forbidden),
        (404, "", OpenError::NoSuchBot("bot".into())),
        (503, "outside_active_hours: 09:00-18:00", OpenError::OutsideHours("09:00-18:00".into())),
        (
            503,
            r#"{"detail":"outside_active_hours: closed on Sunday"}"#,
            OpenError::OutsideHours("closed on Sunday".into()),
        ),
        (503, "no database", unavailable("config fetch: status 503: no database")),
        (500, r#"{"detail":"bug"}"#, unavailable("config fetch: status 500: bug")),
        (302, "", unavailable("config fetch: status 302: ")),
        (
            200,
            r#"{"webhook_url":"u"}"#,
            unavailable("the Backend's config: missing field `session_id` at line 1 column 19"),
        ),
        (
            200,
            r#"{"session_id":"","webhook_url":"u"}"#,
            unavailable("the Backend's config: session_id is empty"),
        ),
    ];
    for (status, body, expected) in rows {
        let (backend, _) = backend(status, body).await;
        assert_eq!(backend.config(&facts("bot")).await.unwrap_err().error, expected);
    }
}

#[test]
fn a_result_has_an_address_whatever_the_config_says() {
    let config_url = Url::parse("http://api:8080/api/v1/config").unwrap();
    let results = "http://api:8080/api/v1/call-results";
    let rows = [
        (r#""https://b/r?x=1""#, "https://b/r?x=1"),
        (r#""/api/v1/call-results""#, results),
        (r#""hooks/end""#, "http://api:8080/hooks/end"),
        (r#""""#, results),
        (r#"" ""#, results),
        (r#""backend:8080/r""#, results),
        (r#""ftp://b/r""#, results),
        (r#""http://""#, results),
        ("null", results),
        ("7", results),
    ];
    for (given, expected) in rows {
        let body = format!(r#"{{"session_id":"s","webhook_url":{given}}}"#);
        let bot = match read_config(&config_url, body.as_bytes()) {
            Ok(bot) => bot,
            Err(no_config) => *no_config.session.unwrap(),
        };
        assert_eq!((bot.session_id.as_str(), bot.webhook_url.as_str()), ("s", expected));
    }
}

#[test]
fn a_config_that_cannot_be_read_still_names_its_session() {
    let config_url = Url::parse("http://api/api/v1/config").unwrap();
    let session = |body: &str| read_config(&config_url, body.as_bytes()).unwrap_err().session;
    let body = r#"{"session_id":"s","webhook_url":"http://b/r","bot_id":"b","timezone":5}"#;
    let expected = BotConfig { bot_id: "b".into(), ..BotConfig::new("s", "http://b/r") };
    assert_eq!(session(body).as_deref(), Some(&expected));
    for body in ["", "[]", r#"{"session_id":""#, r#"{"session_id":""}"#, r#"{"session_id":7}"#] {
        assert_eq!(session(body), None, "{body}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_secret_away() {
    let (elsewhere, seen) = backend(200, GOOD).await;
    let location = [(axum::http::header::LOCATION, elsewhere.config_url.clone())];
    let app = Router::new().fallback(async move || (StatusCode::FOUND, location));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/config", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let backend = Backend::new(&url, Secret::new("s3cret"), Path::new("")).unwrap();
    let error = backend.config(&facts("bot")).await.unwrap_err().error;
    assert_eq!(error, OpenError::Unavailable("config fetch: status 302: ".into()));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/config", listener.local_addr().unwrap());
    drop(listener);
    let backend = Backend::new(&url, Secret::new("s"), Path::new("")).unwrap();
    let error = backend.config(&facts("bot")).await.unwrap_err().error;
    assert!(matches!(&error, OpenError::Unavailable(text) if text.contains("refused")), "{error}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endless: &'static str = Box::leak("x".repeat(BODY_BYTES_MAX + 1).into_boxed_str());
    let (backend, _) = backend(200, endless).await;
    let error = backend.config(&facts("bot")).await.unwrap_err().error;
    assert!(
        matches!(&error, OpenError::Unavailable(text) if text.contains("larger than")),
        "{error}"
    );
}
