//! telephone-event (RFC 4733).  (owner: rtp)
/// One telephone-event payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Event code, 0..=15 for DTMF.
    pub code: u8,
    /// The end bit.
    pub end: bool,
    /// Power in −dBm0, 0..=63.
    pub volume: u8,
    /// Duration in timestamp units.
    pub duration: u16,
}
impl TelephoneEvent {
    /// Parses the first event of a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, crate::DropReason> {
        unimplemented!("{payload:?}")
    }
    /// Writes the four bytes.
    pub fn write(&self, out: &mut [u8]) -> usize {
        unimplemented!("{out:?}")
    }
    /// The digit of an event code, `0-9 * # A-D`.
    pub fn digit(&self) -> Option<char> {
        unimplemented!()
    }
}
