//! From the engine's events to the calls they belong to.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use vox_call::{CallId, DigitSource, Digits, Ending, Event, Reason};
use vox_codecs::CodecKind;
use vox_engine::{EngineEvent, Events, RecordingOptions};

use super::digits::Heard;
use super::journal::millis;
use super::outcome::reason_name;
use super::peer::PeerNews;
use super::silence::{Watch, watch};
use super::table::{Entry, Recording};
use super::{Calls, RECORDED_LIMIT};
use crate::agents::{AgentNews, Stop};
use crate::delivery::RecordingKey;

/// Gives [`Events`] the descriptor that tokio asks for.
struct Readable(Events);

impl AsRawFd for Readable {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Hands over events for as long as the runtime lives.
#[allow(deprecated, reason = "its successor is unsafe; the descriptor lives in what AsyncFd owns")]
pub(super) fn start(events: Events, calls: Calls) -> io::Result<()> {
    let mut events = AsyncFd::with_interest(Readable(events), Interest::READABLE)?;
    tokio::spawn(async move {
        loop {
            match events.readable_mut().await {
                Ok(mut ready) => {
                    ready.get_inner_mut().0.drain(|event| calls.dispatch(event));
                    ready.clear_ready();
                }
                Err(error) => {
                    tracing::error!("the engine's events cannot be read any more: {error}");
                    return;
                }
            }
        }
    });
    Ok(())
}

impl Calls {
    fn dispatch(&self, event: EngineEvent) {
        match event {
            EngineEvent::Call(event) => self.dispatch_call(event),
            EngineEvent::ShardDied { shard } => {
                tracing::error!(shard, "a media shard fell over, and its calls with it");
                self.0.crippled.send_replace(true);
            }
            EngineEvent::Recorded { call, path, duration, overruns, error } => {
                if let Some(error) = error {
                    tracing::error!(call_id = call.0, "recording broken off: {error}");
                    self.note(call, "recording_failed", json!({"why": error.to_string()}));
                }
                self.0.parts.counters.recorded(duration, overruns);
                self.recorded(call, path);
            }
        }
    }

    fn dispatch_call(&self, event: Event) {
        match event {
            Event::MediaStarted { call, after } => {
                self.note(call, "media_started", json!({"after_ms": millis(after)}));
            }
            Event::Digit { call, digit, duration, source } => {
                let source = match source {
                    DigitSource::TelephoneEvent => "telephone_event",
                    DigitSource::InBand => "in_band",
                };
                self.digit(call, digit, duration, Heard::Media, source);
            }
            Event::Stalled { call, silent } => {
                self.note(call, "media_stalled", json!({"silent_ms": millis(silent)}));
            }
            Event::Played { call, id, played, complete } => {
                let facts = json!({"id": id, "played_ms": millis(played), "complete": complete});
                self.note(call, "played", facts);
                self.played(call, id);
            }
            Event::Ended { call, mut ending, spent } => {
                if spent.is_none() {
                    ending.duration = self.talked(call);
                }
                let responses = spent.map_or_else(Vec::new, |spent| spent.responses().collect());
                self.0.table.with(call, |entry| entry.responses = responses);
                self.ended(call, ending);
            }
            Event::Peer { call, event } => self.peer_news(call, PeerNews::Event(event)),
            Event::Offered { call, offer } => self.peer_news(call, PeerNews::Offered(offer)),
            // What these bring was to be dropped here, off the shard.
            Event::Opened { .. }
            | Event::Renegotiated { .. }
            | Event::Spent { .. }
            | Event::Left { .. } => {}
            // Of whom nothing comes at all, other limits are for: nobody picked up, perhaps.
            Event::Report { quality, .. } if quality.packets_received == 0 => {}
            Event::Report { call, quality } => {
                self.watched(call, |watch, now| watch.heard(now, quality.speech));
            }
            Event::Speech { call, started, .. } => {
                self.watched(call, |watch, now| watch.speech(now, started));
            }
        }
    }

    /// Media was agreed, for the first time or again. The first time, gives what the bot presses.
    pub(super) fn answered(&self, call: CallId, codec: CodecKind, hears: bool) -> Option<Digits> {
        let mut legs_call = None;
        let digits = self.0.table.with(call, |entry| {
            let again = std::mem::replace(&mut entry.answered, true);
            if !again {
                entry.rate_hz = codec.rate_hz();
                entry.answered_at = Some(entry.elapsed());
                entry.watch = Some(Watch::new(&entry.bot));
            }
            if let Some(watch) = &mut entry.watch {
                watch.is_paused = !hears;
            }
            let event = if again { "renegotiated" } else { "answered" };
            entry.journal.write(event, json!({"codec": codec.sdp_name()}));
            if again {
                return None;
            }
            if let Some(of) = entry.leg_of {
                legs_call = Some(of);
            }
            tracing::info!(
                call_id = call.0,
                session_id = entry.bot.session_id,
                bot_id = entry.bot.bot_id,
                caller = entry.facts.caller,
                dialed = entry.facts.dialed,
                stream_id = entry.facts.stream_id,
                codec = codec.sdp_name(),
                "call started"
            );
            entry.bot.digits_on_answer.as_deref().and_then(Digits::new)
        });
        if let Some(of) = legs_call {
            self.note(of, "consultation_answered", json!({"codec": codec.sdp_name()}));
        }
        digits.flatten()
    }

    /// Starts the recording the bot asks for. A call goes on without one that cannot be had.
    pub(super) fn record(&self, call: CallId, rate_hz: u32) {
        self.0.table.with(call, |entry| {
            let wanted = &entry.bot.recording;
            if !wanted.enabled {
                return;
            }
            let Some((key, path)) =
                entry.note.as_ref().and_then(|note| self.recording_place(&note.recording_keys))
            else {
                return;
            };
            let rate_hz = wanted.sample_rate.unwrap_or(rate_hz);
            let options = RecordingOptions { path, rate_hz, channels: wanted.channels };
            match self.engine().record(call, Some(options)) {
                Ok(()) => entry.recording = Recording::Running(key),
                Err(refused) => {
                    tracing::error!(call_id = call.0, "this call is not recorded: {refused}");
                    entry.journal.write("recording_failed", json!({"why": refused.to_string()}));
                }
            }
        });
    }

    fn recording_place(&self, keys: &[RecordingKey]) -> Option<(RecordingKey, PathBuf)> {
        keys.iter().find_map(|key| Some((key.clone(), self.0.parts.spool.begin(key)?)))
    }

    pub(super) fn digit_from_signalling(&self, call: CallId, digit: char, duration: Duration) {
        self.digit(call, digit, duration, Heard::Signalling, "info");
    }

    pub(super) fn digit_from_socket(&self, call: CallId, digit: char, duration: Duration) {
        self.digit(call, digit, duration, Heard::Signalling, "socket");
    }

    fn digit(&self, call: CallId, digit: char, duration: Duration, heard: Heard, source: &str) {
        self.0.table.with(call, |entry| {
            if entry.digits.report(digit, heard, entry.elapsed()) {
                let facts = json!({
                    "digit": digit, "duration_ms": millis(duration), "source": source,
                });
                entry.journal.write("digit", facts);
                if let Some((watch, now)) = watch(entry) {
                    watch.pressed(now);
                }
                if let Some(agent) = &entry.agent {
                    agent.tell(AgentNews::Digit(digit));
                }
            }
        });
    }

    pub(super) fn note(&self, call: CallId, event: &str, facts: serde_json::Value) {
        self.0.table.with(call, |entry| entry.journal.write(event, facts));
    }

    /// Since the answer, by control's own clock.
    fn talked(&self, call: CallId) -> Duration {
        let talked = |entry: &mut Entry| entry.answered.then(|| entry.elapsed());
        self.0.table.with(call, talked).flatten().unwrap_or_default()
    }

    /// The slot is free from here on; the result follows when the recording is on disk.
    fn ended(&self, call: CallId, ending: Ending) {
        let leg_of = self.0.table.with(call, |entry| {
            entry.slot = None;
            if let Some(agent) = entry.agent.take() {
                agent.leave(match ending.reason {
                    Reason::WorkerStopped => Stop::WorkerStopped,
                    _ => Stop::CallEnded,
                });
            }
            entry.journal.write(reason_name(ending.reason), json!({}));
            entry.ending = Some(ending);
            entry.tell_ended.send_replace(Some(ending.reason));
            entry.leg_of
        });
        if let Some(of) = leg_of.flatten() {
            self.note(of, "consultation_ended", json!({"why": reason_name(ending.reason)}));
        }
        if !self.finish_if_complete(call) {
            let this = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(RECORDED_LIMIT).await;
                this.finish_anyway(call);
            });
        }
    }

    fn recorded(&self, call: CallId, path: PathBuf) {
        let late = path.clone();
        let known = self.0.table.with(call, |entry| {
            match std::mem::replace(&mut entry.recording, Recording::None) {
                Recording::Running(key) => entry.recording = Recording::Complete(key, path),
                other => entry.recording = other,
            }
        });
        match known {
            Some(()) => {
                self.finish_if_complete(call);
            }
            // Its result went out without waiting any longer.
            None => self.complete_late(late),
        }
    }
}
