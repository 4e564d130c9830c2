use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{get_tcp, get_unix};
use super::*;

/// A neighbour that sends `answer` to whoever asks, whatever they ask.
fn impostor(dir: &Path, id: &str, answer: Vec<u8>) {
    let listener = UnixListener::bind(socket_of(dir, id)).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; 1_024];
            let _ = stream.read(&mut question).await;
            // Whoever had enough of it hangs up.
            let _ = stream.write_all(&answer).await;
        }
    });
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into()
}

#[tokio::test]
async fn health_is_the_contracts_body_on_both_sockets() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "3", 16, 2).await;
    let _call = worker.slots.admit().unwrap();
    let expected = format!(
        "{{\"status\":\"ok\",\"worker_calls\":1,\"worker_max\":2,\"total_capacity\":32,\
         \"total_available\":31,\"workers\":16,\"worker_id\":\"3\",\"worker_pid\":{}}}",
        std::process::id()
    );
    for answer in [get_unix(&worker.socket, "/health").await, get_tcp(worker.tcp, "/health").await]
    {
        assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    worker.server.stop().await;
}

#[tokio::test]
async fn a_lone_worker_is_its_own_fleet() {
    let dir = directory();
    let worker = Rig::start(dir.path(), "1", 1, 250).await;
    let calls: Vec<_> = (0..200).map(|_| worker.slots.admit().unwrap()).collect();
    let expected = format!(
        "{{\"status\":\"ok\",\"fleet_calls\":200,\"fleet_max\":250,\"fleet_available\":50,\
         \"workers\":[{{\"id\":\"1\",\"calls\":200,\"max\":250,\"pid\":{}}}]}}",
        std::process::id()
    );
    assert_eq!(get_unix(&worker.socket, "/health/fleet").await.text(), expected);
    drop(calls);
}

#[tokio::test]
async fn dead_and_silent_neighbours_are_unreachable_and_hold_nobody_up() {
    let dir = directory();
    let one = Rig::start(dir.path(), "1", 5, 10).await;
    let two = Rig::start(dir.path(), "2", 5, 10).await;
    let five = Rig::start(dir.path(), "5", 5, 10).await;
    // 3 died and left its file; 4 listens and never answers.
    drop(UnixListener::bind(socket_of(dir.path(), "3")).unwrap());
    let _silent = UnixListener::bind(socket_of(dir.path(), "4")).unwrap();
    let _calls =
        (one.slots.admit().unwrap(), five.slots.admit().unwrap(), five.slots.admit().unwrap());
    let pid = std::process::id();
    let expected = format!(
        "{{\"status\":\"ok\",\"fleet_calls\":3,\"fleet_max\":30,\"fleet_available\":27,\"workers\":[\
         {{\"id\":\"1\",\"calls\":1,\"max\":10,\"pid\":{pid}}},\
         {{\"id\":\"2\",\"calls\":0,\"max\":10,\"pid\":{pid}}},\
         {{\"id\":\"3\",\"status\":\"unreachable\"}},\
         {{\"id\":\"4\",\"status\":\"unreachable\"}},\
         {{\"id\":\"5\",\"calls\":2,\"max\":10,\"pid\":{pid}}}]}}"
    );
    for worker in [&one, &two, &five] {
        let asked = Instant::now();
        assert_eq!(get_tcp(worker.tcp, "/health/fleet").await.text(), expected);
        assert!(asked.elapsed() >= Duration::from_millis(490), "4 was not waited for");
    }
}

#[tokio::test]
async fn many_silent_neighbours_are_asked_at_the_same_time() {
    let dir = directory();
    let silent: Vec<_> = (2..=40)
        .map(|id: u32| UnixListener::bind(socket_of(dir.path(), &id.to_string())).unwrap())
        .collect();
    let one = Rig::start(dir.path(), "1", 40, 10).await;
    let asked = Instant::now();
    let answer = get_unix(&one.socket, "/health/fleet").await;
    assert_eq!(answer.text().matches("unreachable").count(), silent.len());
    // One after another would be 19.5 s.
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_neighbour_that_answers_nonsense_is_unreachable() {
    let whole = |calls: u64, max: u64, id: &str, status: &str| {
        format!(
            "{{\"status\":\"{status}\",\"worker_calls\":{calls},\"worker_max\":{max},\
             \"total_capacity\":20,\"total_available\":20,\"workers\":2,\"worker_id\":\"{id}\",\
             \"worker_pid\":7}}"
        )
    };
    let good = whole(1, 10, "2", "ok");
    let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    let long = ok(&good.replace("\"ok\"", &format!("\"ok\",\"more\":\"{}\"", "x".repeat(8_000))));
    let rows = [
        ("right", ok(&good), Some((1, 10))),
        ("more fields", ok(&good.replace("}", ",\"more\":1}")), Some((1, 10))),
        ("another worker", ok(&whole(1, 10, "3", "ok")), None),
        ("not ok", ok(&whole(1, 10, "2", "starting")), None),
        ("more calls than it takes", ok(&whole(11, 10, "2", "ok")), None),
        ("absurd numbers", ok(&whole(1, 4_000_000_000, "2", "ok")), None),
        ("negative numbers", ok(&good.replace(":1,", ":-1,")), None),
        ("no JSON", ok("fine, thank you"), None),
        ("empty", ok(""), None),
        (
            "an error",
            ok(&good).into_iter().map(|b| if b == b'2' { b'5' } else { b }).collect(),
            None,
        ),
        ("no HTTP", b"220 mail.example ESMTP\r\n".to_vec(), None),
        ("an endless head", endless, None),
        ("a long body", long, None),
    ];
    for (what, answer, expected) in rows {
        let dir = directory();
        impostor(dir.path(), "2", answer);
        let one = Rig::start(dir.path(), "1", 2, 5).await;
        let fleet = get_unix(&one.socket, "/health/fleet").await;
        let fleet: vox_contracts::FleetHealth = serde_json::from_slice(&fleet.body).unwrap();
        let second = match expected {
            Some((calls, max)) => {
                vox_contracts::FleetWorker::Reachable { id: "2".into(), calls, max, pid: 7 }
            }
            None => vox_contracts::FleetWorker::unreachable("2"),
        };
        assert_eq!(fleet.workers[1], second, "{what}");
        let (calls, max) = expected.unwrap_or((0, 0));
        assert_eq!((fleet.fleet_calls, fleet.fleet_max), (calls, 5 + max), "{what}");
    }
}

#[tokio::test]
async fn a_draining_worker_offers_nothing_and_still_counts_its_calls() {
    let dir = directory();
    let one = Rig::start(dir.path(), "1", 2, 10).await;
    let two = Rig::start(dir.path(), "2", 2, 10).await;
    let _calls = (one.slots.admit().unwrap(), two.slots.admit().unwrap());
    two.slots.drain();
    let health = get_unix(&two.socket, "/health").await;
    let pid = std::process::id();
    let expected = format!(
        "{{\"status\":\"ok\",\"worker_calls\":1,\"worker_max\":10,\"total_capacity\":20,\
         \"total_available\":0,\"workers\":2,\"worker_id\":\"2\",\"worker_pid\":{pid}}}"
    );
    assert_eq!(health.text(), expected);
    let expected = format!(
        "{{\"status\":\"ok\",\"fleet_calls\":2,\"fleet_max\":11,\"fleet_available\":9,\"workers\":[\
         {{\"id\":\"1\",\"calls\":1,\"max\":10,\"pid\":{pid}}},\
         {{\"id\":\"2\",\"calls\":1,\"max\":1,\"pid\":{pid}}}]}}"
    );
    for worker in [&one, &two] {
        assert_eq!(get_unix(&worker.socket, "/health/fleet").await.text(), expected);
    }
    assert!(get_tcp(two.tcp, "/metrics").await.text().contains("\nvox_draining 1\n"));
}
