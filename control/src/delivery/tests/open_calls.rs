use super::*;

fn note(session_id: &str) -> OpenNote {
    OpenNote {
        webhook_url: "http://h/r".into(),
        recording_keys: vec!["20260102-s.wav".into()],
        result: crate::delivery::outbox::example(session_id),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_note_is_there_until_its_call_has_a_result() {
    let dir = tempfile::tempdir().unwrap();
    let open = OpenCalls::open(dir.path().join("open")).unwrap();
    let call = open.note(OpenId::new(), note("a/../b")).await;
    let left = open.left_over().unwrap();
    assert_eq!(left.iter().map(OpenCall::name).collect::<Vec<_>>(), [call.name()]);
    assert!(call.name().starts_with("a____b-"), "{}", call.name());
    assert_eq!(left[0].read().unwrap(), note("a/../b"));
    call.remove().unwrap();
    call.remove().unwrap();
    assert!(open.left_over().unwrap().is_empty());
}

#[tokio::test]
async fn the_same_session_twice_has_two_notes() {
    let dir = tempfile::tempdir().unwrap();
    let open = OpenCalls::open(dir.path().to_owned()).unwrap();
    let first = open.note(OpenId::new(), note("s")).await;
    open.note(OpenId::new(), note("s")).await;
    first.remove().unwrap();
    assert_eq!(open.left_over().unwrap().len(), 1);
}

#[tokio::test]
async fn a_disk_that_is_slow_writes_no_note_of_a_call_that_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let open = OpenCalls::open(dir.path().to_owned()).unwrap();
    let call = OpenCall::at(dir.path().join("s.json"));
    call.remove().unwrap();
    open.write(call, "s.json".into(), note("s")).await.unwrap();
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn a_disk_that_is_stuck_holds_no_call_up() {
    let dir = tempfile::tempdir().unwrap();
    let open = OpenCalls::open(dir.path().to_owned()).unwrap();
    let _stuck = open.at_once.acquire_many(AT_ONCE as u32).await.unwrap();
    open.note(OpenId::new(), note("s")).await;
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn a_disk_that_refuses_costs_the_note_only() {
    let dir = tempfile::tempdir().unwrap();
    let open = OpenCalls::open(dir.path().join("open")).unwrap();
    fs::remove_dir(dir.path().join("open")).unwrap();
    open.note(OpenId::new(), note("s")).await.remove().unwrap();
}
