//! What a call was like, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use vox_codecs::CodecKind;

use crate::capture::Capture;
use crate::media::Heard;

/// How a call went, as the caller noticed it. Displays as a few lines; serialises as one JSON
/// object with times in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct CallReport {
    /// Codec of both directions.
    #[serde(serialize_with = "codec_name")]
    pub codec: CodecKind,
    /// From INVITE to 200.
    #[serde(rename = "setup_ms", serialize_with = "ms")]
    pub setup: Duration,
    /// From our first packet to the end.
    #[serde(rename = "duration_ms", serialize_with = "ms")]
    pub duration: Duration,
    /// How long we spoke; nothing without a recording to speak.
    #[serde(rename = "said_ms", serialize_with = "ms")]
    pub said: Duration,
    /// How much later our own words came back; `None` when they did not.
    #[serde(rename = "round_trip_ms", serialize_with = "opt_ms")]
    pub round_trip: Option<Duration>,
    /// Listening quality of what we heard, by the E-model: 1.0..=4.5.
    pub mos: f64,
    /// Share of packets to us that never came, 0..=1.
    pub loss: f64,
    /// Packets we made.
    pub sent: u64,
    /// Packets our own bad network lost.
    pub lost_on_purpose: u64,
    /// How late our packets left at worst; large figures mean that this machine disturbed the call.
    #[serde(rename = "send_lateness_max_ms", serialize_with = "ms")]
    pub send_lateness_max: Duration,
    /// Whether the other side ended it.
    pub hung_up_by_peer: bool,
    /// What was heard, in numbers.
    #[serde(flatten, with = "HeardFields")]
    pub heard: Heard,
    /// What was heard, at the codec's rate, from our first packet on.
    #[serde(skip)]
    pub recording: Vec<i16>,
    /// The packets, if they were to be kept.
    #[serde(skip)]
    pub capture: Option<Capture>,
}

#[derive(Serialize)]
#[serde(remote = "Heard")]
struct HeardFields {
    packets: u64,
    lost: u64,
    reordered: u64,
    duplicates: u64,
    strangers: u64,
    #[serde(rename = "jitter_ms", serialize_with = "ms")]
    jitter: Duration,
    #[serde(rename = "first_packet_ms", serialize_with = "opt_ms")]
    first_packet: Option<Duration>,
    digits: String,
}

impl fmt::Display for CallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Duration| format!("{:.1} ms", d.as_secs_f64() * 1e3);
        let opt = |d: Option<Duration>| d.map_or_else(|| "none".to_owned(), ms);
        let ended = if self.hung_up_by_peer { "the other side hung up" } else { "we hung up" };
        let heard = &self.heard;
        writeln!(f, "codec        {}", self.codec.sdp_name())?;
        writeln!(f, "set-up       {}", ms(self.setup))?;
        writeln!(f, "duration     {:.2} s ({ended})", self.duration.as_secs_f64())?;
        match self.round_trip {
            Some(trip) => writeln!(f, "round trip   {}", ms(trip))?,
            None if self.said.is_zero() => {}
            None => writeln!(f, "round trip   our words did not come back")?,
        }
        writeln!(f, "first audio  {}", opt(heard.first_packet))?;
        writeln!(
            f,
            "heard        {} packets, {} lost ({:.2} %), {} reordered, {} duplicated, jitter {}",
            heard.packets,
            heard.lost,
            self.loss * 100.0,
            heard.reordered,
            heard.duplicates,
            ms(heard.jitter),
        )?;
        write!(f, "sent         {} packets", self.sent)?;
        if self.lost_on_purpose > 0 {
            write!(f, ", {} of them lost on purpose", self.lost_on_purpose)?;
        }
        writeln!(f, ", at worst {} late", ms(self.send_lateness_max))?;
        if !heard.digits.is_empty() {
            writeln!(f, "digits       {}", heard.digits)?;
        }
        write!(f, "MOS          {:.2} of what we heard", self.mos)
    }
}

fn codec_name<S: Serializer>(codec: &CodecKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(codec.sdp_name())
}

/// Milliseconds with the microseconds behind the point.
fn ms<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_micros() as f64 / 1e3)
}

fn opt_ms<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => ms(duration, to),
        None => to.serialize_none(),
    }
}
