//! Whether the agent's audio flows, and how it starts and stops: never with a click.

/// ```text
///  Playing ◄──► FadingIn
///    │ speech, clear                                      the line has seen it
///    ▼                 short speech                             ┌──────► Playing
///  FadingOut ──► Paused ─────────────► FadingIn                 │
///    │             └──── speech that lasts ────► Interrupted ───┘
///    ├──► Interrupted (it lasted already)
///    └──► Playing (cleared)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Playing,
    /// The next frame is the first again.
    FadingIn,
    /// The next frame is the last for now.
    FadingOut(Then),
    /// Nothing is taken: the caller speaks, and it is not known for how long.
    Paused,
    /// Nothing is taken until the line has dropped what was said before it knew.
    Interrupted,
}

/// What comes after the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing, until it is known what the caller's speech is.
    Pause,
    /// What the line did not clear.
    Clear,
    /// Nothing: the caller's speech is an interruption.
    Interrupt,
}

impl Flow {
    /// The caller began to speak while the agent was heard.
    pub(super) fn pause(&mut self) {
        if matches!(self, Self::Playing | Self::FadingIn) {
            *self = Self::FadingOut(Then::Pause);
        }
    }

    /// The caller's speech ended before it was an interruption. Whether a pause ends with it.
    pub(super) fn resume(&mut self) -> bool {
        match self {
            Self::Paused => {
                *self = Self::FadingIn;
                true
            }
            // Not even begun: nothing was said of it either.
            Self::FadingOut(Then::Pause) => {
                *self = Self::Playing;
                false
            }
            _ => false,
        }
    }

    /// The caller's speech is an interruption. Whether it is one at once; otherwise the fade ends
    /// with it.
    pub(super) fn interrupt(&mut self) -> bool {
        match self {
            Self::Paused => {
                *self = Self::Interrupted;
                true
            }
            Self::FadingOut(then @ Then::Pause) => {
                *then = Then::Interrupt;
                false
            }
            _ => false,
        }
    }

    /// The line cleared what is heard now.
    pub(super) fn clear(&mut self) {
        *self = Self::FadingOut(Then::Clear);
    }

    /// What the line cleared is gone. The brain has heard of the caller's speech, too: what it says
    /// now is to be heard.
    pub(super) fn cleared(&mut self) {
        *self = Self::Playing;
    }

    /// Something else was on the wire instead of the agent: what a fade would have led to.
    pub(super) fn stand_by(&mut self, was_audible: bool) -> Option<Then> {
        match *self {
            Self::FadingOut(_) => return self.faded(),
            Self::Playing if was_audible => *self = Self::FadingIn,
            _ => {}
        }
        None
    }

    /// Ramps the frame up or down.
    pub(super) fn shape(self, frame: &mut [i16]) {
        let last = frame.len().max(1) as i32;
        let ramp =
            |sample: &mut i16, gain: i32| *sample = (i32::from(*sample) * gain / last) as i16;
        match self {
            Self::FadingOut(_) => {
                frame.iter_mut().zip(0..).for_each(|(sample, at)| ramp(sample, last - 1 - at));
            }
            Self::FadingIn => {
                frame.iter_mut().zip(0..).for_each(|(sample, at)| ramp(sample, at));
            }
            Self::Playing | Self::Paused | Self::Interrupted => {}
        }
    }

    /// A frame was shaped: what is to be done when it was the last.
    pub(super) fn faded(&mut self) -> Option<Then> {
        match *self {
            Self::FadingOut(then) => {
                *self = match then {
                    Then::Pause => Self::Paused,
                    Then::Interrupt => Self::Interrupted,
                    Then::Clear => Self::Playing,
                };
                Some(then)
            }
            Self::FadingIn => {
                *self = Self::Playing;
                None
            }
            _ => None,
        }
    }

    pub(super) fn is_stopped(self) -> bool {
        matches!(self, Self::Paused | Self::Interrupted)
    }
}
