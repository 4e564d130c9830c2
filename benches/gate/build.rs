//! Tells the gate which compiler it was built with.

use std::process::Command;

fn main() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output();
    let version = version.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    println!("cargo::rustc-env=GATE_COMPILER={}", version.unwrap_or_else(|_| "unknown".into()));
    println!("cargo::rerun-if-changed=build.rs");
}
