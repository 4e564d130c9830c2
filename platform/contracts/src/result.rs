//! What a worker tells the Backend after a call.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Object;

/// What became of a call: posted to the bot's `webhook_url`. Every field is always there, `null`
/// when it is not known; the Backend drops nulls when it merges by `session_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// From the bot's config.
    pub session_id: String,
    /// The signalling's id: SIP Call-ID, stream id of a socket.
    pub stream_id: Option<String>,
    /// The customer's number.
    pub caller_id: Option<String>,
    /// The number that was called from.
    pub from_number: Option<String>,
    /// From the answer to the end.
    pub call_duration_seconds: f64,
    /// Who or what ended it.
    pub disconnected_by: DisconnectedBy,
    /// Who called whom.
    pub call_direction: CallDirection,
    /// What was said.
    pub transcript: Vec<Value>,
    /// What happened, in order.
    pub events: Vec<CallEvent>,
    /// What the caller wanted.
    pub intents: Vec<Value>,
    /// Where the recording is (or will be, once uploaded).
    pub recording_url: Option<String>,
    /// Its object name.
    pub recording_key: Option<String>,
    /// Minted by the Backend.
    pub recording_access_token: Option<String>,
    /// The brain's summary.
    pub post_call_analysis: Option<Value>,
    /// Quality control's verdict.
    pub qc_analysis: Option<Value>,
    /// Response times.
    pub latency: Latency,
    /// Single response times.
    pub latency_samples: Vec<Value>,
    /// Tokens, characters, seconds of providers.
    pub usage_metrics: Object,
    /// How the call was run.
    pub pipeline_config: Object,
    /// What came with the call for the bot.
    pub connected_event: Object,
    /// Whether the caller was sent on.
    pub was_transferred: bool,
    /// Where to, as dialled.
    pub transfer_destination: Option<String>,
    /// Where to, as configured.
    pub transfer_target: Option<String>,
    /// Why.
    pub transfer_reason: Option<String>,
    /// How.
    pub transfer_method: Option<String>,
    /// When (RFC 3339).
    pub transfer_at: Option<String>,
    /// Why not.
    pub transfer_failed_reason: Option<String>,
    /// What the line was like; `null` when no media was agreed.
    pub media: Option<MediaQuality>,
}

/// Response times of the bot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// From the caller's last word to the bot's first; `null` for bots without a brain.
    pub total_avg_response_ms: Option<f64>,
    /// Further figures.
    #[serde(flatten)]
    pub extra: Object,
}

/// Something that happened during a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// What: `answered`, `digit`, `media_timeout`, …
    pub event: String,
    /// When (RFC 3339, UTC, milliseconds).
    pub timestamp: String,
    /// Since the call was opened.
    pub offset_ms: u64,
    /// What else belongs to it.
    #[serde(flatten)]
    pub extra: Object,
}

/// What a call's line was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MediaQuality {
    /// SDP name of the codec last agreed on.
    pub codec: Option<String>,
    /// Packets received.
    pub packets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Audio that had to be made up.
    pub concealed_ms: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Interarrival jitter.
    pub jitter_ms: JitterPercentiles,
    /// Estimated listening quality, 1.00 to 4.50; `null` without media.
    pub mos_lq: Option<f64>,
    /// Network round trip; `null` when the peer sends no reports.
    pub rtt_ms: Option<f64>,
    /// Digits the caller pressed, in order.
    pub dtmf: String,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that came out of order.
    pub reordered: u64,
    /// Playout delay of the jitter buffer, mean.
    pub buffer_delay_ms: f64,
    /// Playout delay of the jitter buffer at the end of the call.
    pub buffer_delay_end_ms: f64,
    /// Dropped datagrams by reason; reasons that did not occur are left out.
    pub dropped: Object,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JitterPercentiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// Who or what ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectedBy {
    /// The bot hung up.
    Bot,
    /// The customer hung up.
    Customer,
    /// An answering machine.
    Voicemail,
    /// Picked up, never spoke.
    #[serde(rename = "RNR")]
    Rnr,
    /// The bot sleeps now.
    OutsideHours,
    /// The call was as long as it may be.
    Timeout,
    /// Something went wrong.
    Error,
    /// Nobody picked up.
    NoAnswer,
    /// The callee refused.
    Rejected,
    /// Handed to a human.
    TransferToAgent,
}

impl DisconnectedBy {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Bot,
        Self::Customer,
        Self::Voicemail,
        Self::Rnr,
        Self::OutsideHours,
        Self::Timeout,
        Self::Error,
        Self::NoAnswer,
        Self::Rejected,
        Self::TransferToAgent,
    ];

    /// As the contract spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Customer => "customer",
            Self::Voicemail => "voicemail",
            Self::Rnr => "RNR",
            Self::OutsideHours => "outside_hours",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::TransferToAgent => "transfer_to_agent",
        }
    }

    /// What a SIP final response to our INVITE means (contract §1.3).
    pub const fn of_sip_status(status: u16) -> Self {
        match status {
            408 | 480 => Self::NoAnswer,
            486 | 603 => Self::Rejected,
            _ => Self::Error,
        }
    }
}

/// Who called whom, seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// Somebody calls the bot.
    Inbound,
    /// The bot calls somebody.
    Outbound,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract §1.8, in its order, then ours.
    const FIELDS: &str = "session_id stream_id caller_id from_number call_duration_seconds \
        disconnected_by call_direction transcript events intents recording_url recording_key \
        recording_access_token post_call_analysis qc_analysis latency latency_samples \
        usage_metrics pipeline_config connected_event was_transferred transfer_destination \
        transfer_target transfer_reason transfer_method transfer_at transfer_failed_reason media";
    const MEDIA: &str = "codec packets lost concealed_ms late jitter_ms mos_lq rtt_ms dtmf";

    fn example() -> CallResult {
        CallResult {
            session_id: "s".into(),
            stream_id: Some("abc@host".into()),
            caller_id: Some("+911234567890".into()),
            from_number: None,
            call_duration_seconds: 12.5,
            disconnected_by: DisconnectedBy::Customer,
            call_direction: CallDirection::Inbound,
            transcript: Vec::new(),
            events: vec![CallEvent {
                event: "digit".into(),
                timestamp: "2026-01-02T03:04:05.678Z".into(),
                offset_ms: 678,
                extra: serde_json::from_str(r#"{"digit":"1"}"#).unwrap(),
            }],
            intents: Vec::new(),
            recording_url: None,
            recording_key: Some("20260102-s.wav".into()),
            recording_access_token: None,
            post_call_analysis: None,
            qc_analysis: None,
            latency: Latency::default(),
            latency_samples: Vec::new(),
            usage_metrics: Object::new(),
            pipeline_config: Object::new(),
            connected_event: Object::new(),
            was_transferred: false,
            transfer_destination: None,
            transfer_target: None,
            transfer_reason: None,
            transfer_method: None,
            transfer_at: None,
            transfer_failed_reason: None,
            media: Some(MediaQuality {
                codec: Some("PCMU".into()),
                packets: 625,
                lost: 1,
                concealed_ms: 20,
                late: 0,
                jitter_ms: JitterPercentiles { p50: 0.25, p95: 1.5 },
                mos_lq: Some(4.4),
                rtt_ms: None,
                dtmf: "1".into(),
                packets_sent: 620,
                duplicates: 0,
                reordered: 0,
                buffer_delay_ms: 20.0,
                buffer_delay_end_ms: 20.0,
                dropped: Object::new(),
            }),
        }
    }

    #[test]
    fn a_result_is_compact_and_in_the_contracts_order() {
        let text = serde_json::to_string(&example()).unwrap();
        let expected = concat!(
            r#"{"session_id":"s","stream_id":"abc@host","caller_id":"+911234567890","#,
            r#""from_number":null,"call_duration_seconds":12.5,"disconnected_by":"customer","#,
            r#""call_direction":"inbound","transcript":[],"events":[{"event":"digit","#,
            r#""timestamp":"2026-01-02T03:04:05.678Z","offset_ms":678,"digit":"1"}],"intents":[],"#,
            r#""recording_url":null,"recording_key":"20260102-s.wav","#,
            r#""recording_access_token":null,"post_call_analysis":null,"qc_analysis":null,"#,
            r#""latency":{"total_avg_response_ms":null},"latency_samples":[],"#,
            r#""usage_metrics":{},"pipeline_config":{},"connected_event":{},"#,
            r#""was_transferred":false,"transfer_destination":null,"transfer_target":null,"#,
            r#""transfer_reason":null,"transfer_method":null,"transfer_at":null,"#,
            r#""transfer_failed_reason":null,"media":{"codec":"PCMU","packets":625,"lost":1,"#,
            r#""concealed_ms":20,"late":0,"jitter_ms":{"p50":0.25,"p95":1.5},"mos_lq":4.4,"#,
            r#""rtt_ms":null,"dtmf":"1","packets_sent":620,"duplicates":0,"reordered":0,"#,
            r#""buffer_delay_ms":20.0,"buffer_delay_end_ms":20.0,"dropped":{}}}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<CallResult>(&text).unwrap(), example());
    }

    #[test]
    fn every_name_of_the_contract_is_there_even_without_a_value() {
        let value = serde_json::to_value(example()).unwrap();
        let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, FIELDS.split_whitespace().collect::<Vec<_>>());
        for name in MEDIA.split_whitespace() {
            assert!(value["media"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn disconnected_by_is_spelt_as_in_the_contract() {
        let expected = [
            "bot",
            "customer",
            "voicemail",
            "RNR",
            "outside_hours",
            "timeout",
            "error",
            "no_answer",
            "rejected",
            "transfer_to_agent",
        ];
        for (value, name) in DisconnectedBy::ALL.into_iter().zip(expected) {
            assert_eq!(value.name(), name);
            assert_eq!(serde_json::to_value(value).unwrap(), name);
        }
    }

    #[test]
    fn sip_refusals_are_told_apart() {
        use DisconnectedBy::{Error, NoAnswer, Rejected};
        let rows = [
            (408, NoAnswer),
            (480, NoAnswer),
            (486, Rejected),
            (603, Rejected),
            (404, Error),
            (500, Error),
        ];
        for (status, expected) in rows {
            assert_eq!(DisconnectedBy::of_sip_status(status), expected, "{status}");
        }
    }
}
