//! Decision 0004: what linking the `livekit` SDK takes. Prints what the process holds before it has
//! done anything.

fn main() {
    println!("{:?}", livekit::ConnectionState::Disconnected);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("Threads")) {
        println!("{line}");
    }
}
