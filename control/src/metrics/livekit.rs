use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;

use super::exposition::Page;
use crate::livekit::Counts;

/// Writes down how calls come from LiveKit.
#[derive(Debug)]
pub(super) struct LivekitExposition(pub(super) Arc<Counts>);

impl Collector for LivekitExposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = &self.0;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut page = Page(encoder);
        page.gauge(
            "livekit_registered",
            "1 while LiveKit offers this worker jobs (LIVEKIT_AGENT_NAME), else 0",
            read(&counts.registered),
        )?;
        page.counter(
            "livekit_registrations",
            "Registrations with LiveKit as a worker; grows with each lost connection",
            read(&counts.registrations),
        )?;
        page.counter(
            "livekit_jobs_offered",
            "Jobs that LiveKit has offered this worker",
            read(&counts.offered),
        )?;
        page.counter(
            "livekit_jobs_taken",
            "Jobs of LiveKit's that became calls here",
            read(&counts.taken),
        )?;
        let refused = counts.refusals();
        let refused = refused
            .iter()
            .map(|(reason, count)| ([("reason", *reason)], ConstCounter::new(*count)));
        page.each("livekit_jobs_refused", "Jobs of LiveKit's not taken, by reason", refused)?;
        page.counter(
            "livekit_messages_unreadable",
            "Messages to workers that cannot be understood",
            read(&counts.unreadable),
        )?;
        page.counter(
            "livekit_rescues",
            "Callers whom nobody was given, answered by the watcher: LiveKit or a webhook loses calls",
            read(&counts.rescues),
        )?;
        page.counter(
            "livekit_watch_failures",
            "Looks at LiveKit's rooms that failed; lost callers are not found meanwhile",
            read(&counts.watch_failures),
        )?;
        page.counter(
            "livekit_duplicates",
            "Calls that came a second way while this worker answered them",
            read(&counts.duplicates),
        )?;
        page.counter(
            "livekit_answered_elsewhere",
            "Calls left to another worker that was in the room first",
            read(&counts.elsewhere),
        )
    }
}
