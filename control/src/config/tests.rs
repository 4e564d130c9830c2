use std::collections::HashMap;

use super::*;

fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(&Layers { env: env(pairs), ..Layers::default() })
}

fn load_file(text: &str, pairs: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("voxcore.toml");
    std::fs::write(&path, text).unwrap();
    let layers = Layers { file: Some(&path), env: env(pairs), ..Layers::default() };
    Config::load(&layers).map_err(|error| error.0.replace(&path.display().to_string(), "FILE"))
}

#[test]
fn nothing_set_is_a_valid_configuration() {
    let config = load(&[]).unwrap();
    assert_eq!(config.worker.id, "1");
    assert_eq!(config.http.socket, PathBuf::from("/tmp/voxcore_1.sock"));
    assert_eq!(config.media.ports, 16_384..=32_767);
    assert!(config.http.listen.is_none() && config.livekit.is_none());
    assert!(matches!(config.bots, BotsConfig::BuiltIn));
    assert!(matches!(config.storage, StorageConfig::Directory(ref dir)
        if dir == &PathBuf::from("/var/lib/voxcore/1/recordings")));
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let file =
        "[worker]\nmax_calls = 7\nid = \"2\"\n[sip]\ncodecs = [\"PCMA\", \"opus\"]\nport = 5070\n";
    let config =
        load_file(file, &[("MAX_CONCURRENT_CALLS", "9"), ("VOXCORE_SIP_PORT", "")]).unwrap();
    assert_eq!((config.worker.max_calls, config.sip.port), (9, 5070));
    assert_eq!(config.sip.codecs, [CodecKind::Pcma, CodecKind::Opus]);
    assert_eq!(config.http.socket, PathBuf::from("/tmp/voxcore_2.sock"));

    let layers = Layers {
        defaults: &[("sip.port", "5062".into()), ("worker.max_calls", "3".into())],
        env: env(&[("MAX_CONCURRENT_CALLS", "4")]),
        flags: &[("sip.port", "5064".into())],
        ..Layers::default()
    };
    let config = Config::load(&layers).unwrap();
    assert_eq!((config.worker.max_calls, config.sip.port), (4, 5064));
}

#[test]
fn a_worker_knows_its_neighbours_sockets() {
    let config = load(&[("VOXCORE_WORKERS", "3"), ("VOXCORE_WORKER_ID", "2")]).unwrap();
    let expected = [("1", "/tmp/voxcore_1.sock"), ("3", "/tmp/voxcore_3.sock")];
    assert_eq!(config.http.neighbours, expected.map(|(id, p)| (id.to_owned(), PathBuf::from(p))));
    let dirs = ["/var/lib/voxcore/1", "/var/lib/voxcore/3"].map(PathBuf::from);
    assert_eq!(config.worker.neighbour_dirs, dirs);
    let config = load(&[("VOXCORE_WORKERS", "3"), ("VOXCORE_SOCKET", "/run/one.sock")]).unwrap();
    assert!(config.http.neighbours.is_empty());
}

#[test]
fn minio_and_the_backend_are_taken_from_the_contracts_variables() {
    let config = load(&[
        ("VOXBRIDGE_CONFIG_URL", "https://api.example/api/v1/config/"),
        ("VOXCORE_SECRET", "s3cret"),
        ("MINIO_ACCESS_KEY", "a"),
        ("MINIO_SECRET_KEY", "hidden"),
        ("MINIO_SECURE", "True"),
    ])
    .unwrap();
    assert!(matches!(&config.bots, BotsConfig::Backend { config_url, .. }
        if config_url == "https://api.example/api/v1/config"));
    assert!(matches!(&config.storage, StorageConfig::Bucket { endpoint, bucket, .. }
        if endpoint == "https://localhost:9000" && bucket == "recordings"));
    let debug = format!("{config:?}");
    assert!(!debug.contains("s3cret") && !debug.contains("hidden"), "{debug}");
}

#[test]
fn livekit_is_watched_and_gives_no_jobs_unless_told_otherwise() {
    let keys = [("LIVEKIT_URL", "ws://h"), ("LIVEKIT_API_KEY", "k"), ("LIVEKIT_API_SECRET", "s")];
    let livekit =
        |more: &[(&str, &str)]| load(&[&keys[..], more].concat()).unwrap().livekit.unwrap();
    let watch = livekit(&[]).watch.unwrap();
    assert_eq!((watch.period, watch.room_prefix.as_str()), (Duration::from_secs(1), "call-"));
    assert_eq!(livekit(&[]).agent_name, None);
    assert_eq!(livekit(&[("VOXCORE_LIVEKIT_WATCH_SECONDS", "0")]).watch, None);
    let more = [("LIVEKIT_AGENT_NAME", "vox"), ("VOXCORE_LIVEKIT_ROOM_PREFIX", "in_")];
    assert_eq!(livekit(&more).agent_name.as_deref(), Some("vox"));
    assert_eq!(livekit(&more).watch.unwrap().room_prefix, "in_");
    assert!(load(&[]).unwrap().livekit.is_none());
}

#[test]
fn an_invalid_value_is_named_with_what_was_expected_and_found() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let error = load(pairs).unwrap_err().0;
        assert_eq!(error, expected);
        assert_eq!(error.lines().count(), 1);
    };
    check(
        &[("MAX_CONCURRENT_CALLS", "0")],
        "MAX_CONCURRENT_CALLS: expected a whole number from 1 to 2048, found \"0\"",
    );
    check(
        &[("MAX_CONCURRENT_CALLS", "many")],
        "MAX_CONCURRENT_CALLS: expected a whole number from 1 to 2048, found \"many\"",
    );
    check(
        &[("VOXCORE_WORKERS", "-1")],
        "VOXCORE_WORKERS: expected a whole number from 1 to 1000, found \"-1\"",
    );
    check(
        &[("VOXCORE_WORKER_ID", "../x")],
        "VOXCORE_WORKER_ID: expected up to 32 letters, digits and dashes, found \"../x\"",
    );
    check(
        &[("VOXCORE_SIP_PORT", "70000")],
        "VOXCORE_SIP_PORT: expected a whole number from 0 to 65535, found \"70000\"",
    );
    check(
        &[("VOXCORE_SIP_BIND", "localhost")],
        "VOXCORE_SIP_BIND: expected an IP address, found \"localhost\"",
    );
    check(
        &[("VOXCORE_SIP_PREFER", "mine")],
        "VOXCORE_SIP_PREFER: expected theirs or ours, found \"mine\"",
    );
    check(
        &[("VOXCORE_SECRET", "two\nlines")],
        "VOXCORE_SECRET: expected one line without control characters",
    );
    check(&[("MINIO_SECURE", "maybe")], "MINIO_SECURE: expected true or false, found \"maybe\"");
    check(
        &[("VOXCORE_SIP_CODECS", "opus,G729")],
        "VOXCORE_SIP_CODECS: expected a list of opus, G722, PCMU, PCMA, each at most once, found \"opus,G729\"",
    );
    check(
        &[("VOXCORE_SIP_CODECS", "PCMU,pcmu")],
        "VOXCORE_SIP_CODECS: expected a list of opus, G722, PCMU, PCMA, each at most once, found \"PCMU,pcmu\"",
    );
    check(
        &[("VOXCORE_MEDIA_PORTS", "20000")],
        "VOXCORE_MEDIA_PORTS: expected a range like 16384-32767, from 1024 up, with room for an even/odd pair, found \"20000\"",
    );
    check(
        &[("VOXCORE_MEDIA_PORTS", "20001-20002")],
        "VOXCORE_MEDIA_PORTS: expected a range like 16384-32767, from 1024 up, with room for an even/odd pair, found \"20001-20002\"",
    );
    check(
        &[("VOXCORE_MEDIA_CORES", "1,1")],
        "VOXCORE_MEDIA_CORES: expected a list of distinct cores like 2,3, found \"1,1\"",
    );
    check(
        &[("VOXCORE_HTTP_LISTEN", "8081")],
        "VOXCORE_HTTP_LISTEN: expected an address like 127.0.0.1:8081, found \"8081\"",
    );
    check(
        &[("VOXCORE_LOG", "a=b=c")],
        "VOXCORE_LOG: expected a log filter like info or voxcore=debug, found \"a=b=c\"",
    );
    check(
        &[("VOXBRIDGE_CONFIG_URL", "backend/api/v1/config")],
        "VOXBRIDGE_CONFIG_URL: expected a URL that begins with http:// or https://, found \"backend/api/v1/config\"",
    );
    check(
        &[("VOXBRIDGE_CONFIG_URL", "http://b/api")],
        "VOXBRIDGE_CONFIG_URL: expected a URL that ends in /api/v1/config, found \"http://b/api\"",
    );
    check(
        &[("VOXBRIDGE_CONFIG_URL", "http://b/api/v1/config")],
        "VOXCORE_SECRET: expected the secret shared with the Backend, because VOXBRIDGE_CONFIG_URL is set; found none",
    );
    check(
        &[("MINIO_ACCESS_KEY", "a")],
        "MINIO_SECRET_KEY: expected a value, because MINIO_ACCESS_KEY is set, found nothing",
    );
    check(
        &[("MINIO_ENDPOINT", "http://h:9000")],
        "MINIO_ENDPOINT: expected host:port without a scheme; MINIO_SECURE chooses https, found \"http://h:9000\"",
    );
    check(
        &[("MINIO_BUCKET", "A b")],
        "MINIO_BUCKET: expected 3 to 63 lower-case letters, digits, dots and dashes, found \"A b\"",
    );
    let watch = [
        ("LIVEKIT_URL", "ws://h"),
        ("LIVEKIT_API_KEY", "k"),
        ("LIVEKIT_API_SECRET", "s"),
        ("VOXCORE_LIVEKIT_WATCH_SECONDS", "often"),
    ];
    check(
        &watch,
        "VOXCORE_LIVEKIT_WATCH_SECONDS: expected a whole number from 0 to 3600, found \"often\"",
    );
    check(
        &[("LIVEKIT_URL", "ws://h")],
        "LIVEKIT_API_KEY: expected a value, because LIVEKIT_URL is set, found nothing",
    );
}

#[test]
fn a_bad_file_is_named_with_its_line() {
    let check =
        |text: &str, expected: &str| assert_eq!(load_file(text, &[]).unwrap_err(), expected);
    check(
        "[worker]\nmax_calls = 0\n",
        "FILE line 2: worker.max_calls: expected a whole number from 1 to 2048, found \"0\"",
    );
    check(
        "[sip]\n\nprot = 5060\n",
        "FILE line 3: \"sip.prot\" is no knob; `voxcore --help` lists them",
    );
    check(
        "sip = 1\n",
        "FILE line 1: expected a section like [worker] or [sip], found the key \"sip\"",
    );
    check(
        "[sip]\nport = { a = 1 }\n",
        "FILE line 2: sip.port: expected a string, number, boolean or list of these",
    );
    let error = load_file("[sip\nport = 1\n", &[]).unwrap_err();
    assert!(error.starts_with("FILE line 1: "), "{error}");
}

#[test]
fn every_knob_has_one_name_and_is_explained() {
    for (at, knob) in KNOBS.iter().enumerate() {
        let before = &KNOBS[..at];
        assert!(
            before.iter().all(|other| other.key != knob.key && other.env != knob.env),
            "{knob:?}"
        );
        assert!(help_text().contains(knob.help));
    }
}
