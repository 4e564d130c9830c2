//! What a caller hears of the network: dial, ringback, busy and congestion tones.

/// A call-progress tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallProgress {
    /// Ready for digits.
    Dial,
    /// The called phone rings.
    Ringback,
    /// The called party is on the phone.
    Busy,
    /// The network, or we, can take no call (reorder, fast busy).
    Congestion,
}

/// Whose tones they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToneSet {
    /// 425 Hz (ITU-T E.180, ETSI TR 101 041-2).
    European,
    /// The precise tone plan: pairs of 350, 440, 480 and 620 Hz (Telcordia GR-506).
    NorthAmerican,
}

/// Frequencies, level and rhythm of a tone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) frequencies_hz: &'static [f32],
    /// Level of each frequency.
    pub(super) level_dbov: f32,
    /// Milliseconds on and off, repeated; `None` for a tone without end.
    pub(super) cadence_ms: Option<(u32, u32)>,
}

impl ToneSet {
    pub(super) const fn plan(self, tone: CallProgress) -> Plan {
        match (self, tone) {
            (Self::European, CallProgress::Dial) => plan(&[425.0], -10.0, None),
            (Self::European, CallProgress::Ringback) => plan(&[425.0], -10.0, Some((1_000, 4_000))),
            (Self::European, CallProgress::Busy) => plan(&[425.0], -10.0, Some((500, 500))),
            (Self::European, CallProgress::Congestion) => plan(&[425.0], -10.0, Some((250, 250))),
            (Self::NorthAmerican, CallProgress::Dial) => plan(&[350.0, 440.0], -13.0, None),
            (Self::NorthAmerican, CallProgress::Ringback) => {
                plan(&[440.0, 480.0], -19.0, Some((2_000, 4_000)))
            }
            (Self::NorthAmerican, CallProgress::Busy) => {
                plan(&[480.0, 620.0], -24.0, Some((500, 500)))
            }
            (Self::NorthAmerican, CallProgress::Congestion) => {
                plan(&[480.0, 620.0], -24.0, Some((250, 250)))
            }
        }
    }
}

const fn plan(
    frequencies_hz: &'static [f32],
    level_dbm0: f32,
    cadence_ms: Option<(u32, u32)>,
) -> Plan {
    Plan { frequencies_hz, level_dbov: level_dbm0 - DBM0_OF_0_DBOV, cadence_ms }
}

/// 0 dBov, a full-scale square wave, in dBm0 on a G.711 line.
const DBM0_OF_0_DBOV: f32 = 6.15;
