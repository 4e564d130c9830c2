use std::path::{Path, PathBuf};

use vox_contracts::{AgentConfig, BotConfig};

/// What a call needs to build its bot's agent.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentPlan {
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
}

impl AgentPlan {
    /// What `bot` asks for, or why this worker cannot do it. Relative files lie below `base_dir`.
    pub fn of(bot: &BotConfig, base_dir: &Path) -> Result<Self, String> {
        let agent =
            bot.agent.as_ref().ok_or("agent is missing: expected kind echo, tone or play")?;
        match agent {
            AgentConfig::Echo {} => Ok(Self::Echo),
            AgentConfig::Tone { frequency_hz } => match (20.0..=3_800.0).contains(frequency_hz) {
                true => Ok(Self::Tone { frequency_hz: *frequency_hz }),
                false => Err(format!(
                    "agent.frequency_hz: expected 20 to 3800, found {frequency_hz}"
                )),
            },
            AgentConfig::Play { file: Some(file), url: None, repeat } => {
                Ok(Self::Play { file: base_dir.join(file), repeat: *repeat })
            }
            AgentConfig::Play { url: Some(_), .. } => {
                Err("agent.url: this worker plays files only; use agent.file".into())
            }
            AgentConfig::Play { .. } => Err("agent.file is missing: expected a WAV file".into()),
            AgentConfig::Websocket { .. } => {
                Err("agent.kind websocket comes with a later version; this worker runs echo, tone and play".into())
            }
        }
    }
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
        check("null", Err("agent is missing: expected kind echo, tone or play"));
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
        check(
            r#"{"kind":"websocket","url":"ws://h"}"#,
            Err(
                "agent.kind websocket comes with a later version; this worker runs echo, tone and play",
            ),
        );
    }
}
