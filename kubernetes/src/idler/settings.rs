//! The settings for putting apps to sleep.

use std::time::Duration;

use unidler::sleep::brake::Brake;

use crate::usage::cpu::BusyCpu;

/// The settings for putting apps to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdlerSettings {
    /// The default time without use after which an app sleeps; `None` if only the apps' own settings count.
    pub idle_after: Option<Duration>,
    /// Whether all apps may be put to sleep, and not only those whose routes or Namespaces permit it.
    pub all: bool,
    /// The limit on how many are put to sleep at a time.
    pub brake: Brake,
    /// The time over which wake-ups are spread when hours begin.
    pub wake_spread: Duration,
    /// The share of its CPU requests from which on an app is kept awake; `None` if CPU usage does not count.
    pub busy_cpu: Option<BusyCpu>,
    /// The namespace and the name of the Service that is queried for the use of apps: its own app stays awake.
    pub prometheus: Option<(String, String)>,
}
