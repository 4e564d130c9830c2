//! The built binary's answers to a wrong start.

use std::path::Path;
use std::process::{Command, Output};

fn voxcore(dir: &Path, env: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voxcore"))
        .env_clear()
        .env("VOXCORE_DATA_DIR", dir.join("data"))
        .env("VOXCORE_SOCKET", dir.join("{id}.sock"))
        .env("VOXCORE_SIP_BIND", "127.0.0.1")
        .env("VOXCORE_SIP_PORT", "0")
        .envs(env.iter().copied())
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn an_invalid_configuration_stops_the_start_with_one_line_and_status_64() {
    let dir = tempfile::tempdir().unwrap();
    let bots = dir.path().join("bots.toml");
    std::fs::write(&bots, "[bots.a]\nagent = { kind = \"ecco\" }\n").unwrap();
    let file = dir.path().join("voxcore.toml");
    std::fs::write(&file, "[worker]\nmax_call = 1\n").unwrap();
    let (bots, file) = (bots.to_str().unwrap(), file.to_str().unwrap());
    let check = |env: &[(&str, &str)], arguments: &[&str], expected: &str| {
        let output = voxcore(dir.path(), env, arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(expected), "expected {expected:?}\n   found {error:?}");
    };
    check(
        &[("MAX_CONCURRENT_CALLS", "zero")],
        &[],
        "MAX_CONCURRENT_CALLS: expected a whole number from 1 to 2048, found \"zero\"",
    );
    check(&[("VOXBRIDGE_CONFIG_URL", "backend")], &[], "VOXBRIDGE_CONFIG_URL: expected a URL");
    check(&[("MINIO_SECRET_KEY", "hidden")], &[], "MINIO_ACCESS_KEY: expected a value");
    check(&[("VOXCORE_MEDIA_CORES", "1023")], &[], "VOXCORE_MEDIA_CORES: core 1023 is not");
    check(
        &[("MAX_CONCURRENT_CALLS", "3"), ("VOXCORE_MEDIA_PORTS", "20000-20003")],
        &[],
        "VOXCORE_MEDIA_PORTS: 3 calls need 3 RTP port pairs",
    );
    check(&[("VOXCORE_BOTS", bots)], &[], "bots.toml line 2: unknown variant `ecco`");
    check(&[("VOXCORE_BOTS", "/nowhere.toml")], &[], "/nowhere.toml: cannot be read");
    check(&[], &["--config", file], "line 2: \"worker.max_call\" is no knob");
    check(&[], &["--config", "/nowhere.toml"], "/nowhere.toml: cannot be read");
}

#[test]
fn help_teaches_every_knob() {
    let dir = tempfile::tempdir().unwrap();
    let output = voxcore(dir.path(), &[], &["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for name in
        ["--config", "MAX_CONCURRENT_CALLS", "worker.max_calls", "MINIO_ENDPOINT", "exit status 64"]
    {
        assert!(text.contains(name), "{name} is missing in\n{text}");
    }
}

#[test]
fn check_says_that_a_configuration_is_valid_without_starting() {
    let dir = tempfile::tempdir().unwrap();
    assert!(voxcore(dir.path(), &[], &["--check"]).status.success());
    assert!(!dir.path().join("data").exists());
}
