//! What it takes to wake an app that sleeps.

use std::str::FromStr;

use crate::progress::Reason;

/// What a visitor has to do to wake an app that sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Just visit it.
    #[default]
    Visit,
    /// Press the button.
    Button,
    /// Retry: it was woken several times recently, and something else has scaled it down each time.
    Retry,
    /// Nothing: visitors cannot wake it.
    Never,
}

impl Start {
    /// Why it does not start for a visitor who just visits it, if that is shown as a failure.
    #[must_use]
    pub fn refusal(self) -> Option<Reason> {
        match self {
            Self::Visit | Self::Button => None,
            Self::Retry => Some(Reason::ScaledDown),
            Self::Never => Some(Reason::NotByVisitors),
        }
    }
}

/// The text is not one of the choices that operators have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is none of visit, button and never")]
pub struct InvalidStart(String);

impl FromStr for Start {
    type Err = InvalidStart;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "visit" => Ok(Self::Visit),
            "button" => Ok(Self::Button),
            "never" => Ok(Self::Never),
            _ => Err(InvalidStart(text.to_owned())),
        }
    }
}
