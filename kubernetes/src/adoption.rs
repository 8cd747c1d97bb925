//! What operators want for apps that something else puts to sleep. The lookup finds it out.

/// Whether an app is adopted that something else puts to sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// What its operators want is not known, or is contradictory: nothing is changed.
    #[default]
    Unknown,
    Off,
    /// If a mark says how many replicas it had.
    Marked,
    /// In any case.
    Zero,
}

impl Adoption {
    /// Whether something may be adopted.
    pub(crate) fn is_on(self) -> bool {
        matches!(self, Self::Marked | Self::Zero)
    }
}
