//! Whether the agent's audio flows, and how it starts and stops: never with a click.

/// ```text
///            pause, clear, interrupt             faded
///  Playing ──────────────────────────► FadingOut ─────► Playing (what follows was dropped)
///     ▲ ▲                               │     │ faded, to pause
///     │ └─────────── resume ────────────┘     ▼
///     └──── FadingIn ◄──────── resume ────── Paused ──── interrupt, clear ──► Playing
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Playing,
    /// The next frame is the last for now.
    FadingOut(Then),
    /// The next frame is the first again.
    FadingIn,
    /// Nothing is taken.
    Paused,
}

/// What comes after the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing, until it is known what the caller's speech is.
    Pause,
    /// The line cleared what was queued.
    Clear,
    /// The caller's speech is an interruption.
    Interrupt,
}

impl Flow {
    /// The caller began to speak.
    pub(super) fn pause(&mut self) {
        if matches!(self, Self::Playing | Self::FadingIn) {
            *self = Self::FadingOut(Then::Pause);
        }
    }

    /// The line cleared while the agent was heard.
    pub(super) fn clear(&mut self) {
        *self = Self::FadingOut(Then::Clear);
    }

    /// The caller's speech ended before it was an interruption. Whether a pause ends with it.
    pub(super) fn resume(&mut self) -> bool {
        match self {
            Self::Paused => *self = Self::FadingIn,
            // Not even begun: nothing was said of it either.
            Self::FadingOut(Then::Pause) => *self = Self::Playing,
            _ => return false,
        }
        *self == Self::FadingIn
    }

    /// The caller's speech is an interruption. Whether to drop at once what is queued; otherwise the
    /// fade ends with it.
    pub(super) fn interrupt(&mut self) -> bool {
        match self {
            Self::Paused => *self = Self::Playing,
            Self::FadingOut(then @ Then::Pause) => *then = Then::Interrupt,
            _ => return false,
        }
        *self == Self::Playing
    }

    /// What was paused is gone.
    pub(super) fn go_on(&mut self) {
        if *self == Self::Paused {
            *self = Self::Playing;
        }
    }

    /// Ramps the frame up or down.
    pub(super) fn shape(&self, frame: &mut [i16]) {
        let last = frame.len().max(1) as i32;
        let ramp =
            |sample: &mut i16, gain: i32| *sample = (i32::from(*sample) * gain / last) as i16;
        match self {
            Self::Playing | Self::Paused => {}
            Self::FadingOut(_) => {
                frame.iter_mut().zip(0..).for_each(|(sample, at)| ramp(sample, last - 1 - at));
            }
            Self::FadingIn => {
                frame.iter_mut().zip(0..).for_each(|(sample, at)| ramp(sample, at));
            }
        }
    }

    /// A frame was shaped: what is to be done when it was the last.
    pub(super) fn faded_out(&mut self) -> Option<Then> {
        match *self {
            Self::FadingOut(then) => {
                *self = if then == Then::Pause { Self::Paused } else { Self::Playing };
                Some(then)
            }
            Self::FadingIn => {
                *self = Self::Playing;
                None
            }
            Self::Playing | Self::Paused => None,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        *self == Self::Paused
    }
}
