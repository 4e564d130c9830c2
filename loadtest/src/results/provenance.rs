//! Where a figure comes from.

use std::fs;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Command, day and host of a measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `voxload` and its version.
    pub tool: String,
    /// The command line, so that it can be run again.
    pub command: String,
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// Where it ran.
    pub host: Host,
}

/// The machine a generator ran on, and how it reached its target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its operating system.
    pub system: String,
    /// Kernel release.
    pub kernel: String,
    /// Model of its processors.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory.
    pub memory_bytes: u64,
    /// `loopback`, or the network interface that packets to the target leave by.
    pub network: String,
}

impl Provenance {
    /// Of this process, now; `source` is our address towards the target.
    pub fn here(source: IpAddr) -> Self {
        Self {
            tool: concat!("voxload ", env!("CARGO_PKG_VERSION")).into(),
            command: command_line(),
            began: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            host: Host::here(source),
        }
    }
}

/// How this process was started, quoted so that a shell takes it again.
pub fn command_line() -> String {
    std::env::args().map(|argument| shell_word(&argument)).collect::<Vec<_>>().join(" ")
}

impl Host {
    /// This machine; what it does not tell stays empty.
    pub fn here(source: IpAddr) -> Self {
        Self {
            name: line("/proc/sys/kernel/hostname"),
            system: value_of("/etc/os-release", "PRETTY_NAME", '=').trim_matches('"').into(),
            kernel: line("/proc/sys/kernel/osrelease"),
            cpu: value_of("/proc/cpuinfo", "model name", ':'),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes(),
            network: network(source),
        }
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The value of the first line of `path` that has `name`.
fn value_of(path: &str, name: &str, separator: char) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let found = pairs.find(|(key, _)| key.trim() == name);
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

fn memory_bytes() -> u64 {
    let total = value_of("/proc/meminfo", "MemTotal", ':');
    total.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

fn network(source: IpAddr) -> String {
    if source.is_loopback() {
        return "loopback".into();
    }
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let named = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let address = address
            .as_sockaddr_in()
            .map(|v4| IpAddr::V4(v4.ip()))
            .or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
        (address == source).then_some(interface.interface_name)
    });
    named.into_iter().next().unwrap_or_else(|| source.to_string())
}

/// `word` as a shell would have to be told.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_says_where_it_was_made() {
        let made = Provenance::here([127, 0, 0, 1].into());
        assert_eq!(made.host.network, "loopback");
        assert!(made.host.cores > 0 && made.host.memory_bytes > 0, "{made:?}");
        assert!(OffsetDateTime::parse(&made.began, &Rfc3339).is_ok(), "{made:?}");
        for text in [&made.host.name, &made.host.kernel, &made.host.system, &made.command] {
            assert!(!text.is_empty(), "{made:?}");
        }
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        for (word, quoted) in [
            ("sip:echo@127.0.0.1:5060", "sip:echo@127.0.0.1:5060"),
            ("loss<0.1%", "'loss<0.1%'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }
}
