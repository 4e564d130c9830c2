use std::path::{Path, PathBuf};
use std::time::Duration;

use vox_contracts::{AgentConfig, AgentProtocol, BotConfig, SocketConfig};

use crate::agents::{Address, OnGone, SocketLimits, SocketPlan};

/// What a call needs to build its bot's agent.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentPlan {
    /// Says nothing.
    Silent,
    /// Gives back what the caller said.
    Echo,
    /// A steady sine.
    Tone {
        /// In Hz.
        frequency_hz: f32,
    },
    /// A recording.
    Play {
        /// A WAV.
        file: PathBuf,
        /// For ever.
        repeat: bool,
    },
    /// A brain over a WebSocket.
    Socket(Box<SocketPlan>),
}

impl AgentPlan {
    /// What `bot` asks for, or why this worker cannot do it. Relative files lie below `base_dir`.
    pub fn of(bot: &BotConfig, base_dir: &Path) -> Result<Self, String> {
        let agent = bot
            .agent
            .as_ref()
            .ok_or("agent is missing: expected kind echo, tone, play or websocket")?;
        match agent {
            AgentConfig::Echo {} => Ok(Self::Echo),
            AgentConfig::Tone { frequency_hz } => match (20.0..=3_800.0).contains(frequency_hz) {
                true => Ok(Self::Tone { frequency_hz: *frequency_hz }),
                false => {
                    Err(format!("agent.frequency_hz: expected 20 to 3800, found {frequency_hz}"))
                }
            },
            AgentConfig::Play { file: Some(file), url: None, repeat } => {
                Ok(Self::Play { file: base_dir.join(file), repeat: *repeat })
            }
            AgentConfig::Play { url: Some(_), .. } => {
                Err("agent.url: this worker plays files only; use agent.file".into())
            }
            AgentConfig::Play { .. } => Err("agent.file is missing: expected a WAV file".into()),
            AgentConfig::Websocket(socket) => {
                Ok(Self::Socket(Box::new(socket_plan(socket, base_dir)?)))
            }
        }
    }

    /// The recording that it plays, or may have to.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Play { file, .. } => Some(file),
            Self::Socket(plan) => match &plan.on_gone {
                OnGone::Apologise(file) => Some(file),
                OnGone::HangUp | OnGone::GoOn => None,
            },
            Self::Silent | Self::Echo | Self::Tone { .. } => None,
        }
    }
}

fn socket_plan(socket: &SocketConfig, base_dir: &Path) -> Result<SocketPlan, String> {
    let seconds =
        |name: &str, value: Option<u32>, range: std::ops::RangeInclusive<u32>, default| {
            let value = value.unwrap_or(default);
            let (low, high) = (range.start(), range.end());
            match range.contains(&value) {
                true => Ok(Duration::from_secs(value.into())),
                false => Err(format!("agent.{name}: expected {low} to {high}, found {value}")),
            }
        };
    let reconnects = socket.reconnects.unwrap_or(3);
    if reconnects > 20 {
        return Err(format!("agent.reconnects: expected 0 to 20, found {reconnects}"));
    }
    let rates: &[u32] = match socket.protocol {
        AgentProtocol::Vox => &[8_000, 16_000, 24_000],
        AgentProtocol::Twilio => &[8_000],
        AgentProtocol::OpenaiRealtime => &[8_000, 24_000],
    };
    if let Some(found) = socket.sample_rate.filter(|rate| !rates.contains(rate)) {
        return Err(format!("agent.sample_rate: expected one of {rates:?}, found {found}"));
    }
    // A Twilio app hears the caller itself, and clears.
    let barge_in = socket.barge_in.unwrap_or_default();
    let enabled = barge_in.enabled.unwrap_or(socket.protocol != AgentProtocol::Twilio);
    let min_speech_ms = barge_in.min_speech_ms.unwrap_or(300);
    if min_speech_ms > 5_000 {
        let found = min_speech_ms;
        return Err(format!("agent.barge_in.min_speech_ms: expected 0 to 5000, found {found}"));
    }
    let on_gone = match (socket.on_gone.as_deref(), &socket.apology_file) {
        (None | Some("apologise"), Some(file)) => OnGone::Apologise(base_dir.join(file)),
        (None | Some("hang_up"), _) => OnGone::HangUp,
        (Some("go_on"), _) => OnGone::GoOn,
        (Some("apologise"), None) => {
            return Err("agent.apology_file is missing: expected a WAV file".into());
        }
        (Some(found), _) => {
            return Err(format!(
                "agent.on_gone: expected hang_up, apologise or go_on, found {found}"
            ));
        }
    };
    Ok(SocketPlan {
        address: Address::parse(&socket.url, &socket.headers)?,
        protocol: socket.protocol,
        sample_rate: socket.sample_rate,
        barge_in: enabled.then(|| Duration::from_millis(min_speech_ms.into())),
        custom_parameters: socket.custom_parameters.clone(),
        session: socket.session.clone(),
        limits: SocketLimits {
            connect: seconds("connect_seconds", socket.connect_seconds, 1..=60, 5)?,
            reconnects,
            idle: seconds("idle_seconds", socket.idle_seconds, 2..=3_600, 30)?,
            ahead: seconds("ahead_seconds", socket.ahead_seconds, 1..=600, 120)?,
        },
        on_gone,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_planned_or_refused_with_a_reason() {
        let check = |agent: &str, expected: Result<AgentPlan, &str>| {
            let mut bot = BotConfig::new("s", "w");
            bot.agent = serde_json::from_str(agent).unwrap();
            let plan = AgentPlan::of(&bot, Path::new("/base"));
            assert_eq!(plan, expected.map_err(str::to_owned), "{agent}");
        };
        let play = |file: &str, repeat| Ok(AgentPlan::Play { file: file.into(), repeat });
        check("null", Err("agent is missing: expected kind echo, tone, play or websocket"));
        check(r#"{"kind":"echo"}"#, Ok(AgentPlan::Echo));
        check(r#"{"kind":"tone"}"#, Ok(AgentPlan::Tone { frequency_hz: 440.0 }));
        check(
            r#"{"kind":"tone","frequency_hz":1}"#,
            Err("agent.frequency_hz: expected 20 to 3800, found 1"),
        );
        check(r#"{"kind":"play","file":"a.wav"}"#, play("/base/a.wav", false));
        check(r#"{"kind":"play","file":"/b/a.wav","loop":true}"#, play("/b/a.wav", true));
        check(r#"{"kind":"play"}"#, Err("agent.file is missing: expected a WAV file"));
        check(
            r#"{"kind":"play","url":"http://h/a.wav"}"#,
            Err("agent.url: this worker plays files only; use agent.file"),
        );
        for (agent, expected) in [
            (r#"{"kind":"websocket","url":"http://h"}"#, "found http://"),
            (r#"{"kind":"websocket","url":"ws://h","headers":{"a b":"c"}}"#, "agent.headers.a b"),
            (r#"{"kind":"websocket","url":"ws://h","on_gone":"cry"}"#, "found cry"),
            (r#"{"kind":"websocket","url":"ws://h","on_gone":"apologise"}"#, "apology_file"),
            (r#"{"kind":"websocket","url":"ws://h","sample_rate":44100}"#, "found 44100"),
            (r#"{"kind":"websocket","url":"ws://h","idle_seconds":0}"#, "expected 2 to 3600"),
        ] {
            let mut bot = BotConfig::new("s", "w");
            bot.agent = serde_json::from_str(agent).unwrap();
            let refused = AgentPlan::of(&bot, Path::new("/base")).unwrap_err();
            assert!(refused.contains(expected), "{agent}: {refused}");
        }
        let mut bot = BotConfig::new("s", "w");
        let agent = r#"{"kind":"websocket","url":"wss://u:secret@h/p?token=secret"}"#;
        bot.agent = serde_json::from_str(agent).unwrap();
        let plan = format!("{:?}", AgentPlan::of(&bot, Path::new("/base")).unwrap());
        assert!(plan.contains("wss://h:443") && !plan.contains("secret"), "{plan}");
    }
}
