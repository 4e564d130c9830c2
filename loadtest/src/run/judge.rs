//! Whether what was heard is what should have been.

use std::time::Duration;

use crate::generator::{LegReport, Sound};
use crate::scenario::Expect;

/// Calls shorter than this are not judged by what was heard in them.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);
/// Markers that may fail to come back, before their absence means something.
const MARKERS_MIN: u64 = 3;

/// Whether something should be heard by a party that expects `expect`. Who says nothing to an echo
/// hears nothing.
pub(super) fn should_hear(expect: Expect, silent: bool) -> bool {
    match expect {
        Expect::Silence => false,
        Expect::Echo => !silent,
        Expect::Speech => true,
    }
}

/// What is wrong with what was heard, if anything.
pub(super) fn fault(expect: Expect, silent: bool, report: &LegReport) -> Option<&'static str> {
    if report.duration < SHORTEST {
        return None;
    }
    match (expect, report.sound) {
        (Expect::Silence, Sound::Audible) => Some("audio where there should be none"),
        (Expect::Silence, _) => None,
        (_, Sound::Nothing) => Some("no audio"),
        (Expect::Echo, _) if silent => None,
        (_, Sound::Silence) => Some("only silence"),
        (Expect::Echo, Sound::Audible) => {
            let lost = report.said.markers >= MARKERS_MIN && !report.is_echoed();
            lost.then_some("audio, but not its own words")
        }
        (Expect::Speech, Sound::Audible) => report.is_echoed().then_some("its own words came back"),
    }
}
