//! What a worker is told about the bot it is to run.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Object;

/// A bot as one call is to run it: the reply to the worker's config fetch. A field that is `null`
/// is a field that is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BotConfig {
    /// Unique per call; the result is matched on it.
    pub session_id: String,
    /// Where the result is posted.
    pub webhook_url: String,
    /// The bot.
    #[serde(default, deserialize_with = "or_default")]
    pub bot_id: String,
    /// Instructions for the bot's brain.
    #[serde(default)]
    pub system_prompt: Option<String>,
    /// What the bot says first.
    #[serde(default)]
    pub opening_message: Option<String>,
    /// IANA name.
    #[serde(default = "utc", deserialize_with = "or_utc")]
    pub timezone: String,
    /// From the answer.
    #[serde(
        default = "default_max_call_duration_seconds",
        deserialize_with = "or_max_call_duration_seconds"
    )]
    pub max_call_duration_seconds: u32,
    /// Words of the caller that interrupt the bot.
    #[serde(
        default = "default_min_words_interruption",
        deserialize_with = "or_min_words_interruption"
    )]
    pub min_words_interruption: u32,
    /// Said to an answering machine.
    #[serde(default)]
    pub voicemail_message: Option<String>,
    /// Said before a transfer.
    #[serde(default)]
    pub pre_transfer_message: Option<String>,
    /// What to do with a silent caller; `None` does nothing.
    #[serde(default)]
    pub re_engagement: Option<Object>,
    /// Where the bot may send the caller.
    #[serde(default, deserialize_with = "or_default")]
    pub transfer_targets: Vec<TransferTarget>,
    /// Outcomes the bot may file.
    #[serde(default)]
    pub auto_dispositions: Option<Value>,
    /// Speech recognition provider.
    #[serde(default)]
    pub stt: Option<Object>,
    /// Language model provider.
    #[serde(default)]
    pub llm: Option<Object>,
    /// Speech synthesis provider.
    #[serde(default)]
    pub tts: Option<Object>,
    /// Voice activity detection.
    #[serde(default)]
    pub vad: Option<Object>,
    /// How the engine reaches the bot's brain.
    #[serde(default)]
    pub agent: Option<AgentConfig>,
    /// Whether and how the call is recorded.
    #[serde(default, deserialize_with = "or_default")]
    pub recording: RecordingConfig,
    /// Without media for this long the call is a phantom.
    #[serde(default = "default_no_audio_seconds", deserialize_with = "or_no_audio_seconds")]
    pub no_audio_seconds: u32,
    /// A caller who has not spoken for this long never will.
    #[serde(default = "default_rnr_seconds", deserialize_with = "or_rnr_seconds")]
    pub rnr_seconds: u32,
    /// A WAV file on the worker that is played before a transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_transfer_file: Option<String>,
    /// So long before `max_call_duration_seconds` the bot's brain is warned; 0 is never.
    #[serde(default = "default_warning_seconds", deserialize_with = "or_warning_seconds")]
    pub warning_seconds: u32,
    /// Digits pressed to the caller once the call is answered: a door, an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits_on_answer: Option<String>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub extra: Object,
}

impl BotConfig {
    /// A bot with every default of the contract.
    pub fn new(session_id: impl Into<String>, webhook_url: impl Into<String>) -> Self {
        Self {
            session_id: session_id.into(),
            webhook_url: webhook_url.into(),
            bot_id: String::new(),
            system_prompt: None,
            opening_message: None,
            timezone: utc(),
            max_call_duration_seconds: default_max_call_duration_seconds(),
            min_words_interruption: default_min_words_interruption(),
            voicemail_message: None,
            pre_transfer_message: None,
            re_engagement: None,
            transfer_targets: Vec::new(),
            auto_dispositions: None,
            stt: None,
            llm: None,
            tts: None,
            vad: None,
            agent: None,
            recording: RecordingConfig::default(),
            no_audio_seconds: default_no_audio_seconds(),
            rnr_seconds: default_rnr_seconds(),
            pre_transfer_file: None,
            warning_seconds: default_warning_seconds(),
            digits_on_answer: None,
            extra: Object::new(),
        }
    }
}

/// Where a bot may send a caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferTarget {
    /// Names it towards the bot's brain.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// Names it towards people.
    #[serde(default, deserialize_with = "or_default")]
    pub label: String,
    /// `livekit_sip_refer` or `websocket_reverse_transfer`.
    #[serde(default, deserialize_with = "or_default")]
    pub method: String,
    /// `extension`, `sip_uri`, `tel_uri` or `phone_number`.
    #[serde(default, deserialize_with = "or_default", rename = "type")]
    pub kind: String,
    /// The number or URI.
    #[serde(default, deserialize_with = "or_default")]
    pub value: String,
    /// Taken when the brain names none.
    #[serde(default, deserialize_with = "or_default")]
    pub is_default: bool,
    /// May be used.
    #[serde(default, deserialize_with = "or_default")]
    pub enabled: bool,
    /// `blind` (the default) or `attended`: whether somebody there has to answer first.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// A WAV file on the worker that an attended target hears until the caller is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consultation_file: Option<String>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub extra: Object,
}

/// How the engine reaches the bot's brain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AgentConfig {
    /// Gives back what the caller said.
    Echo {},
    /// A steady sine.
    Tone {
        /// In Hz.
        #[serde(default = "default_frequency_hz", deserialize_with = "or_frequency_hz")]
        frequency_hz: f32,
    },
    /// A recording.
    Play {
        /// A WAV file on the worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// A WAV somewhere else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// For ever.
        #[serde(default, deserialize_with = "or_default", rename = "loop")]
        repeat: bool,
    },
    /// A brain that speaks over a WebSocket.
    Websocket(Box<SocketConfig>),
}

/// How a brain is reached over a WebSocket. What is not set is the worker's default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SocketConfig {
    /// Where.
    pub url: String,
    /// In which dialect.
    #[serde(default, deserialize_with = "or_default")]
    pub protocol: AgentProtocol,
    /// Sent with the upgrade.
    #[serde(default, deserialize_with = "or_default")]
    pub headers: Object,
    /// Of the audio both ways, in Hz, where the dialect leaves it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// What the caller's speech does to the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barge_in: Option<BargeInConfig>,
    /// Passed on to the brain when the call starts.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Object::is_empty")]
    pub custom_parameters: Object,
    /// Settings of the dialect's session (`session` of OpenAI's Realtime API).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Object::is_empty")]
    pub session: Object,
    /// From the first packet to the end of the upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_seconds: Option<u32>,
    /// Connections after one that was lost, in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnects: Option<u32>,
    /// Without a word from the brain, a pong included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u32>,
    /// Audio that the brain may be ahead of the caller's ear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_seconds: Option<u32>,
    /// When the brain is gone for good: `hang_up`, `apologise` or `go_on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_gone: Option<String>,
    /// A WAV file on the worker, for `apologise`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apology_file: Option<String>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub extra: Object,
}

/// What the caller's speech does to the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BargeInConfig {
    /// It stops the agent. Otherwise the brain is told, and may clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Speech that is shorter lets the agent go on where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_speech_ms: Option<u32>,
}

/// Dialects of agent sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentProtocol {
    /// Our own.
    #[default]
    Vox,
    /// Twilio's media streams.
    Twilio,
    /// OpenAI's realtime API.
    OpenaiRealtime,
}

/// Whether and how a call is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingConfig {
    /// Record at all.
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub enabled: bool,
    /// 2: caller left, bot right. 1: both mixed.
    #[serde(default = "default_channels", deserialize_with = "or_channels")]
    pub channels: u16,
    /// 8,000 or 16,000; `None` is the call's own rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self { enabled: true, channels: 2, sample_rate: None, extra: Object::new() }
    }
}

/// The contract's defaults: the first name gives it to a field that is missing, the second to one
/// that is `null`.
macro_rules! defaults {
    ($($missing:ident, $null:ident: $type:ty = $value:expr;)*) => {$(
        fn $missing() -> $type {
            $value.into()
        }

        fn $null<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
            Ok(Option::deserialize(from)?.unwrap_or_else($missing))
        }
    )*};
}

defaults! {
    utc, or_utc: String = "UTC";
    yes, or_yes: bool = true;
    default_channels, or_channels: u16 = 2u16;
    default_frequency_hz, or_frequency_hz: f32 = 440.0f32;
    default_max_call_duration_seconds, or_max_call_duration_seconds: u32 = 600u32;
    default_min_words_interruption, or_min_words_interruption: u32 = 3u32;
    default_no_audio_seconds, or_no_audio_seconds: u32 = 15u32;
    default_rnr_seconds, or_rnr_seconds: u32 = 30u32;
    default_warning_seconds, or_warning_seconds: u32 = 30u32;
}

/// `null` is the type's own default.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fields_are_enough_and_the_rest_is_the_contracts_default() {
        let config: BotConfig =
            serde_json::from_str(r#"{"session_id":"s","webhook_url":"http://b/r"}"#).unwrap();
        assert_eq!(config, BotConfig::new("s", "http://b/r"));
        assert_eq!(config.timezone, "UTC");
        assert_eq!(config.max_call_duration_seconds, 600);
        assert_eq!(config.min_words_interruption, 3);
        assert_eq!((config.no_audio_seconds, config.rnr_seconds), (15, 30));
        assert_eq!(config.recording, RecordingConfig::default());
    }

    #[test]
    fn a_field_that_is_null_is_a_field_that_is_missing() {
        let required = ["session_id", "webhook_url"];
        let mut nulls = serde_json::to_value(BotConfig::new("s", "u")).unwrap();
        nulls["digits_on_answer"] = Value::Null;
        nulls["pre_transfer_file"] = Value::Null;
        for (name, value) in nulls.as_object_mut().unwrap() {
            if !required.contains(&name.as_str()) {
                *value = Value::Null;
            }
        }
        let config: BotConfig = serde_json::from_value(nulls).unwrap();
        assert_eq!(config, BotConfig::new("s", "u"));

        let recording = r#"{"enabled":null,"channels":null,"sample_rate":null}"#;
        let recording: RecordingConfig = serde_json::from_str(recording).unwrap();
        assert_eq!(recording, RecordingConfig::default());
        let target = r#"{"id":null,"label":null,"method":null,"type":null,"value":null,
            "is_default":null,"enabled":null}"#;
        let target: TransferTarget = serde_json::from_str(target).unwrap();
        assert_eq!(target, serde_json::from_str("{}").unwrap());
        for (null, missing) in [
            (r#"{"kind":"tone","frequency_hz":null}"#, r#"{"kind":"tone"}"#),
            (r#"{"kind":"play","loop":null}"#, r#"{"kind":"play"}"#),
            (
                r#"{"kind":"websocket","url":"u","protocol":null,"headers":null}"#,
                r#"{"kind":"websocket","url":"u"}"#,
            ),
        ] {
            let read = |text| serde_json::from_str::<AgentConfig>(text).unwrap();
            assert_eq!(read(null), read(missing));
        }
    }

    #[test]
    fn what_is_required_is_missed_by_name() {
        for (text, field) in
            [(r#"{"webhook_url":"u"}"#, "session_id"), (r#"{"session_id":"s"}"#, "webhook_url")]
        {
            let error = serde_json::from_str::<BotConfig>(text).unwrap_err().to_string();
            assert!(error.contains(&format!("missing field `{field}`")), "{error}");
        }
    }

    #[test]
    fn unknown_fields_come_out_again_at_every_level() {
        let text = r#"{"session_id":"s","webhook_url":"u","crm":{"a":[1,null]},"prompt_version":7,
            "recording":{"enabled":false,"keep_days":30},
            "transfer_targets":[{"id":"1","type":"sip_uri","value":"sip:a@b","priority":2}]}"#;
        let config: BotConfig = serde_json::from_str(text).unwrap();
        let out = serde_json::to_value(&config).unwrap();
        assert_eq!(out["crm"], serde_json::json!({"a": [1, null]}));
        assert_eq!(out["prompt_version"], 7);
        assert_eq!(out["recording"]["keep_days"], 30);
        assert_eq!(out["recording"]["channels"], 2);
        assert_eq!(out["transfer_targets"][0]["priority"], 2);
        assert_eq!(out["transfer_targets"][0]["type"], "sip_uri");
        assert_eq!(serde_json::from_value::<BotConfig>(out).unwrap(), config);
    }

    #[test]
    fn agents_are_told_apart_by_kind() {
        let headers: Object = serde_json::from_str(r#"{"a":"b"}"#).unwrap();
        let play = |file: Option<&str>, url: Option<&str>, repeat| AgentConfig::Play {
            file: file.map(Into::into),
            url: url.map(Into::into),
            repeat,
        };
        let socket = |protocol| {
            let url = "ws://h".into();
            AgentConfig::Websocket(Box::new(SocketConfig { url, protocol, ..Default::default() }))
        };
        let rows = [
            (r#"{"kind":"echo"}"#, AgentConfig::Echo {}),
            (r#"{"kind":"tone"}"#, AgentConfig::Tone { frequency_hz: 440.0 }),
            (r#"{"kind":"tone","frequency_hz":1000}"#, AgentConfig::Tone { frequency_hz: 1000.0 }),
            (r#"{"kind":"play","file":"a.wav"}"#, play(Some("a.wav"), None, false)),
            (r#"{"kind":"play","url":"http://a","loop":true}"#, play(None, Some("http://a"), true)),
            (r#"{"kind":"websocket","url":"ws://h"}"#, socket(AgentProtocol::Vox)),
            (
                r#"{"kind":"websocket","url":"ws://h","protocol":"openai-realtime"}"#,
                socket(AgentProtocol::OpenaiRealtime),
            ),
            (
                r#"{"kind":"websocket","url":"ws://h","protocol":"twilio","headers":{"a":"b"}}"#,
                AgentConfig::Websocket(Box::new(SocketConfig {
                    url: "ws://h".into(),
                    protocol: AgentProtocol::Twilio,
                    headers,
                    ..Default::default()
                })),
            ),
        ];
        for (text, expected) in rows {
            let agent: AgentConfig = serde_json::from_str(text).unwrap();
            assert_eq!(agent, expected, "{text}");
            let again = serde_json::from_str(&serde_json::to_string(&agent).unwrap()).unwrap();
            assert_eq!(agent, again, "{text}");
        }
        let error = serde_json::from_str::<AgentConfig>(r#"{"kind":"ecco"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown variant `ecco`"), "{error}");
    }
}
