use std::sync::{Arc, Mutex};

use super::example as result;
use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

/// Secret, content type and body of a post.
type Post = (String, String, Vec<u8>);

/// What a Backend saw.
#[derive(Clone, Default)]
struct Inbox {
    seen: Arc<Mutex<Vec<Post>>>,
    refuse: Arc<Mutex<u32>>,
}

impl Inbox {
    /// Refuses the first `refuse` posts with 503.
    async fn start(refuse: u32) -> (Self, String) {
        let inbox = Self { refuse: Arc::new(Mutex::new(refuse)), ..Self::default() };
        let app =
            Router::new().route("/api/v1/call-results", post(receive)).with_state(inbox.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/call-results", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (inbox, url)
    }

    fn seen(&self) -> Vec<Post> {
        self.seen.lock().unwrap().clone()
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    inbox.seen.lock().unwrap().push((header(SECRET_HEADER), header("content-type"), body.to_vec()));
    let mut refuse = inbox.refuse.lock().unwrap();
    match *refuse {
        0 => StatusCode::NO_CONTENT,
        _ => {
            *refuse -= 1;
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

fn open_outbox(dir: &Path) -> Outbox {
    let backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(5) };
    let secret = Some(Secret::new("s3cret"));
    Outbox::open(dir.join("outbox"), dir.join("results"), secret, backoff).unwrap()
}

/// Files of a directory, without its subdirectories.
fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<String> =
        files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("in time")
}

#[tokio::test]
async fn a_result_is_posted_with_the_secret_byte_for_byte_and_then_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (inbox, url) = Inbox::start(0).await;
    let outbox = open_outbox(dir.path());
    outbox.put(&url, &result("s-1"), None).await.unwrap();
    within(outbox.idle()).await;
    let body = serde_json::to_vec(&result("s-1")).unwrap();
    assert_eq!(inbox.seen(), [("s3cret".to_owned(), "application/json".to_owned(), body)]);
    assert!(files(&dir.path().join("outbox")).is_empty());
    assert_eq!(outbox.counts().delivered, 1);
}

#[tokio::test]
async fn a_refused_result_is_posted_again_until_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (inbox, url) = Inbox::start(3).await;
    let outbox = open_outbox(dir.path());
    outbox.put(&url, &result("s-1"), None).await.unwrap();
    within(outbox.idle()).await;
    assert_eq!((inbox.seen().len(), outbox.counts().failures), (4, 3));
}

#[tokio::test]
async fn a_result_survives_a_restart_while_the_backend_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/api/v1/call-results");
    {
        // A runtime of its own dies with everything that ran on it, as a killed process does.
        let (path, url) = (dir.path().to_owned(), url.clone());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let outbox = open_outbox(&path);
                outbox.put(&url, &result("s-1"), None).await.unwrap();
            });
        })
        .join()
        .unwrap();
    }
    assert_eq!(files(&dir.path().join("outbox")).len(), 1);
    let inbox = Inbox::default();
    let app = Router::new().route("/api/v1/call-results", post(receive)).with_state(inbox.clone());
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    within(open_outbox(dir.path()).idle()).await;
    assert_eq!(inbox.seen()[0].2, serde_json::to_vec(&result("s-1")).unwrap());
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_never_sent_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (inbox, url) = Inbox::start(0).await;
    open_outbox(dir.path());
    let half = dir.path().join("outbox").join(format!("{}1-s.result", disk::TEMPORARY));
    std::fs::write(&half, format!("{{\"webhook_url\":\"{url}\"}}\n{{\"sess")).unwrap();
    let outbox = open_outbox(dir.path());
    within(outbox.idle()).await;
    assert!(inbox.seen().is_empty() && !half.exists());
}

#[tokio::test]
async fn a_file_that_is_no_result_is_set_aside_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (inbox, url) = Inbox::start(0).await;
    open_outbox(dir.path());
    let bad = [
        ("1-a.result", "no envelope".to_owned()),
        ("2-b.result", "{}\n{}".to_owned()),
        ("3-c.result", "{\"webhook_url\":\"not a url\"}\n{}".to_owned()),
        ("4-d.result", "{\"webhook_url\":\"file:///etc/passwd\"}\n{}".to_owned()),
        ("5-e.result", format!("{{\"webhook_url\":\"{url}\"}}\n{{\"session_id\":")),
    ];
    for (name, text) in &bad {
        std::fs::write(dir.path().join("outbox").join(name), text).unwrap();
    }
    let outbox = open_outbox(dir.path());
    outbox.put(&url, &result("good"), None).await.unwrap();
    within(outbox.idle()).await;
    assert_eq!(inbox.seen().len(), 1);
    assert_eq!(files(&dir.path().join("outbox/poison")), bad.map(|(name, _)| name));
    assert_eq!((outbox.counts().poisoned, outbox.counts().delivered), (5, 1));
}

#[tokio::test]
async fn without_a_webhook_a_result_is_one_json_file() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_outbox(dir.path());
    outbox.put("", &result("a/b"), None).await.unwrap();
    outbox.put("", &result("c"), None).await.unwrap();
    assert_eq!(files(&dir.path().join("results")), ["a_b.json", "c.json"]);
    let text = std::fs::read(dir.path().join("results/c.json")).unwrap();
    assert_eq!(text, serde_json::to_vec(&result("c")).unwrap());
}

#[tokio::test]
async fn a_result_that_is_gone_is_not_tried_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_outbox(dir.path());
    outbox.queue.push(dir.path().join("outbox/1-s.result"), "");
    within(outbox.idle()).await;
    assert_eq!((outbox.counts().poisoned, outbox.counts().failures), (1, 0));
}

#[tokio::test]
async fn a_webhook_that_never_answers_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    // Connections are taken by the kernel, and nobody speaks.
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hole_url = format!("http://{}/r", hole.local_addr().unwrap());
    let (inbox, url) = Inbox::start(0).await;
    let outbox = open_outbox(dir.path());
    for n in 0..3 * AT_ONCE {
        outbox.put(&hole_url, &result(&format!("hole-{n}")), None).await.unwrap();
    }
    for n in 0..5 {
        outbox.put(&url, &result(&format!("good-{n}")), None).await.unwrap();
    }
    within(async {
        while outbox.counts().delivered < 5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!((inbox.seen().len(), outbox.counts().pending), (5, 3 * AT_ONCE as u64));
}
