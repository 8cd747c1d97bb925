//! How apps are put to sleep.

use std::time::Duration;

use unidler::sleep::brake::Brake;

use crate::usage::cpu::BusyCpu;

/// How apps are put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdlerSettings {
    /// After how long without use, where nothing on an app says otherwise; `None` if only what is said there counts.
    pub idle_after: Option<Duration>,
    /// Whether all apps may be put to sleep, and not only those of routes and Namespaces that say so.
    pub all: bool,
    /// How many at a time.
    pub brake: Brake,
    /// Over how long the wake-ups are spread at the beginning of hours.
    pub wake_spread: Duration,
    /// From which share of the CPU that an app requests on it is kept awake; `None` if that does not count.
    pub busy_cpu: Option<BusyCpu>,
    /// The namespace and the name of the Service that is asked who uses apps: it stays awake itself.
    pub prometheus: Option<(String, String)>,
}
