//! Rooms of a real LiveKit server that fill and empty all the time.

use std::time::Duration;

use vox_tests::churn::{BOTS, Churn};
use vox_tests::livekit::{Server, has_network};
use vox_tests::one_at_a_time;
use vox_tests::worker::Worker;

/// The long one is `cargo run --release -p vox-benches --bin rooms -- churn`.
const CHURN: Churn = Churn {
    rooms: 10,
    lasting: Duration::from_secs(30),
    call: [Duration::from_secs(2), Duration::from_secs(8)],
};

#[test]
fn rooms_that_fill_and_empty_leave_no_slot_port_descriptor_thread_or_recording_behind() {
    let _turn = one_at_a_time();
    let name = "rooms_that_fill_and_empty_leave_no_slot_port_descriptor_thread_or_recording_behind";
    if !has_network(name) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let mut environment = server.environment().to_vec();
    environment.extend([("MAX_CONCURRENT_CALLS", "20"), ("VOXCORE_LOG", "error")]);
    let worker = Worker::start(BOTS, &environment);
    let report = CHURN.run(&server, &worker);
    println!(
        "LiveKit churn: {} calls, at most {:?} at once, ended {:?}, {:+.1} MiB a minute",
        report.accepted,
        report.held.iter().max(),
        report.results,
        report.growth_mib_per_minute()
    );
    report.assert_nothing_leaked();
    assert!(report.accepted >= CHURN.rooms, "{report:?}");
    // A phone whose SDK gives up under load ends a call as well as any other.
    assert!(report.failed.len() * 10 <= report.accepted, "{report:?}");
}
