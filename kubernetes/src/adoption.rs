//! The operators' choice for apps that something else puts to sleep, as determined by the lookup.

/// Whether unidler adopts an app that something else puts to sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// The operators' choice is unknown or contradictory: nothing is changed.
    #[default]
    Unknown,
    Off,
    /// If a mark shows how many replicas it had.
    Marked,
    /// In any case.
    Zero,
}

impl Adoption {
    /// Whether apps are adopted at all.
    pub(crate) fn is_on(self) -> bool {
        matches!(self, Self::Marked | Self::Zero)
    }
}
