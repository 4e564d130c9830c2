//! What the engine says about an ended call, in the contract's words.

use std::time::Duration;

use serde_json::{Value, json};
use vox_call::quality::{Quality, Response};
use vox_call::{Outcome, Reason};
use vox_contracts::{
    AgentConfig, BotConfig, CallDirection, CallEvent, CallResult, DisconnectedBy,
    JitterPercentiles, MediaQuality, Object,
};
use vox_rtp::DropReason;

use super::CallFacts;
use super::journal::millis;
use super::latency::{latency, sample};
use super::transfer::TransferFacts;
use crate::delivery::RecordingKey;

/// What is known about a call that is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) facts: CallFacts,
    pub(super) bot: BotConfig,
    pub(super) reason: Reason,
    pub(super) duration: Duration,
    /// `None` when no media was agreed.
    pub(super) quality: Option<Quality>,
    /// Oldest first.
    pub(super) responses: Vec<Response>,
    pub(super) digits: String,
    pub(super) events: Vec<CallEvent>,
    /// Key and address.
    pub(super) recording: Option<(RecordingKey, String)>,
    pub(super) transfer: TransferFacts,
}

impl Ended {
    /// The result as it is posted.
    pub(super) fn into_result(self) -> CallResult {
        let pipeline_config = pipeline(&self.facts, &self.bot);
        let (key, url) = self.recording.map(|(key, url)| (key.to_string(), url)).unzip();
        let (customer, ours) = match self.facts.direction {
            CallDirection::Inbound => (self.facts.caller, None),
            CallDirection::Outbound => (self.facts.dialed, Some(self.facts.caller)),
        };
        CallResult {
            session_id: self.bot.session_id,
            stream_id: Some(self.facts.stream_id),
            caller_id: Some(customer),
            from_number: ours,
            call_duration_seconds: millis(self.duration) as f64 / 1_000.0,
            disconnected_by: disconnected_by(self.reason, self.facts.direction),
            call_direction: self.facts.direction,
            transcript: Vec::new(),
            events: self.events,
            intents: Vec::new(),
            recording_url: url,
            recording_key: key,
            recording_access_token: None,
            post_call_analysis: None,
            qc_analysis: None,
            latency: self.quality.map(|quality| latency(&quality.responses)).unwrap_or_default(),
            latency_samples: self.responses.into_iter().map(sample).collect(),
            usage_metrics: Object::new(),
            pipeline_config,
            connected_event: self.facts.connected_event,
            was_transferred: self.transfer.at.is_some(),
            transfer_destination: self.transfer.destination,
            transfer_target: self.transfer.target,
            transfer_reason: self.transfer.reason,
            transfer_method: self.transfer.method,
            transfer_at: self.transfer.at,
            transfer_failed_reason: self.transfer.failed,
            media: self.quality.map(|quality| media(&quality, self.digits)),
        }
    }
}

/// The contract's word for why a call ended.
pub(super) fn disconnected_by(reason: Reason, direction: CallDirection) -> DisconnectedBy {
    match (reason, direction) {
        (Reason::CallerHungUp, _) | (Reason::CallerCancelled, CallDirection::Inbound) => {
            DisconnectedBy::Customer
        }
        (Reason::CallerCancelled, CallDirection::Outbound) => DisconnectedBy::NoAnswer,
        (Reason::Declined, _) => DisconnectedBy::Rejected,
        (Reason::OutsideHours, _) => DisconnectedBy::OutsideHours,
        (Reason::BotHungUp, _) => DisconnectedBy::Bot,
        (Reason::Transferred, _) => DisconnectedBy::TransferToAgent,
        (Reason::NeverSpoke, _) => DisconnectedBy::Rnr,
        (Reason::MaxDuration, _) => DisconnectedBy::Timeout,
        (
            Reason::MediaTimeout
            | Reason::SetupTimeout
            | Reason::NoAck
            | Reason::AgentGone
            | Reason::SignallingFailed
            | Reason::AtCapacity
            | Reason::WorkerStopped
            | Reason::Fault,
            _,
        ) => DisconnectedBy::Error,
    }
}

/// The reason in events, logs and metrics.
pub(super) const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::CallerHungUp => "caller_hung_up",
        Reason::CallerCancelled => "caller_cancelled",
        Reason::Declined => "declined",
        Reason::OutsideHours => "outside_hours",
        Reason::BotHungUp => "bot_hung_up",
        Reason::Transferred => "transferred",
        Reason::NeverSpoke => "never_spoke",
        Reason::MaxDuration => "max_duration",
        Reason::MediaTimeout => "media_timeout",
        Reason::SetupTimeout => "setup_timeout",
        Reason::NoAck => "no_ack",
        Reason::AgentGone => "agent_gone",
        Reason::SignallingFailed => "signalling_failed",
        Reason::AtCapacity => "at_capacity",
        Reason::WorkerStopped => "worker_stopped",
        Reason::Fault => "fault",
    }
}

/// The outcome in metrics.
pub(super) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::NotAnswered => "not_answered",
        Outcome::Failed => "failed",
    }
}

fn media(quality: &Quality, dtmf: String) -> MediaQuality {
    let dropped = DropReason::ALL
        .into_iter()
        .zip(quality.dropped)
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.label().to_owned(), Value::from(count)))
        .collect();
    let heard = quality.packets_received > 0 && quality.mos_lq_hundredths > 0;
    MediaQuality {
        codec: quality.codec.map(|codec| codec.sdp_name().to_owned()),
        packets: quality.packets_received,
        lost: quality.lost,
        concealed_ms: millis(quality.concealed),
        late: quality.late,
        jitter_ms: JitterPercentiles {
            p50: fine_millis(quality.jitter_p50),
            p95: fine_millis(quality.jitter_p95),
        },
        mos_lq: heard.then(|| f64::from(quality.mos_lq_hundredths) / 100.0),
        rtt_ms: quality.rtt.map(fine_millis),
        dtmf,
        packets_sent: quality.packets_sent,
        duplicates: quality.duplicates,
        reordered: quality.reordered,
        buffer_delay_ms: fine_millis(quality.buffer_delay),
        buffer_delay_end_ms: fine_millis(quality.buffer_delay_now),
        dropped,
    }
}

/// How the call was run. Headers of an agent socket may hold secrets and stay out.
fn pipeline(facts: &CallFacts, bot: &BotConfig) -> Object {
    let agent = match &bot.agent {
        None => Value::Null,
        Some(AgentConfig::Websocket(socket)) => {
            json!({"kind": "websocket", "protocol": socket.protocol})
        }
        Some(agent) => json!(agent),
    };
    let pipeline = json!({
        "bot_id": bot.bot_id,
        "dialed": facts.dialed,
        "agent": agent,
        "max_call_duration_seconds": bot.max_call_duration_seconds,
        "no_audio_seconds": bot.no_audio_seconds,
    });
    match pipeline {
        Value::Object(pipeline) => pipeline,
        _ => Object::new(),
    }
}

/// Milliseconds to the microsecond.
fn fine_millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_word_in_the_contract() {
        use CallDirection::{Inbound, Outbound};
        let rows = [
            (Reason::CallerHungUp, Inbound, "customer"),
            (Reason::CallerHungUp, Outbound, "customer"),
            (Reason::CallerCancelled, Inbound, "customer"),
            (Reason::CallerCancelled, Outbound, "no_answer"),
            (Reason::Declined, Outbound, "rejected"),
            (Reason::OutsideHours, Outbound, "outside_hours"),
            (Reason::BotHungUp, Inbound, "bot"),
            (Reason::Transferred, Inbound, "transfer_to_agent"),
            (Reason::NeverSpoke, Outbound, "RNR"),
            (Reason::MaxDuration, Inbound, "timeout"),
            (Reason::MediaTimeout, Inbound, "error"),
            (Reason::SetupTimeout, Inbound, "error"),
            (Reason::NoAck, Inbound, "error"),
            (Reason::AgentGone, Inbound, "error"),
            (Reason::SignallingFailed, Inbound, "error"),
            (Reason::AtCapacity, Inbound, "error"),
            (Reason::WorkerStopped, Inbound, "error"),
            (Reason::Fault, Inbound, "error"),
        ];
        for (reason, direction, expected) in rows {
            assert_eq!(disconnected_by(reason, direction).name(), expected, "{reason:?}");
        }
    }

    #[test]
    fn a_result_says_who_called_whom_and_what_the_line_was_like() {
        let facts = CallFacts {
            dialed: "echo".into(),
            caller: "+911".into(),
            direction: CallDirection::Inbound,
            stream_id: "id@host".into(),
            connected_event: Object::new(),
        };
        let mut bot = BotConfig::new("s", "");
        bot.agent = serde_json::from_value(
            json!({"kind": "websocket", "url": "ws://h?token=hidden", "headers": {"authorization": "hidden"}}),
        )
        .unwrap();
        let mut quality =
            Quality { packets_received: 50, mos_lq_hundredths: 441, ..Quality::default() };
        quality.jitter_p95 = Duration::from_micros(1_250);
        quality.dropped[DropReason::Late as usize] = 3;
        let ended = Ended {
            facts,
            bot,
            reason: Reason::CallerHungUp,
            duration: Duration::from_millis(1_234),
            quality: Some(quality),
            responses: vec![Response { after: Duration::from_millis(640), own: Duration::ZERO }],
            digits: "12#".into(),
            events: Vec::new(),
            recording: RecordingKey::parse("k.wav").map(|key| (key, "file:///k.wav".into())),
            transfer: TransferFacts::default(),
        };
        let result = serde_json::to_value(ended.into_result()).unwrap();
        assert_eq!(result["call_duration_seconds"], 1.234);
        assert_eq!((&result["caller_id"], &result["from_number"]), (&"+911".into(), &Value::Null));
        assert_eq!(result["media"]["dtmf"], "12#");
        assert_eq!(result["media"]["mos_lq"], 4.41);
        assert_eq!(result["media"]["jitter_ms"]["p95"], 1.25);
        assert_eq!(result["media"]["dropped"], json!({"late": 3}));
        assert_eq!(result["latency_samples"][0]["response_ms"], 640.0);
        assert_eq!(result["recording_url"], "file:///k.wav");
        assert!(!result.to_string().contains("hidden"), "{result}");
    }
}
