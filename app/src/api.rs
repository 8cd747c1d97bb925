//! The addresses that the page asks.

use crate::start::Start;

impl Start {
    /// Where to post to, to start the app or to try again after a failure. A plain form may do that, too: the browser is sent
    /// back to the page.
    #[must_use]
    pub fn wake_url(&self) -> String {
        format!("{}/wake", self.reserved)
    }

    /// The state of the app, as JSON.
    #[must_use]
    pub fn status_url(&self) -> String {
        format!("{}/status", self.reserved)
    }

    /// The event stream. To listen starts nothing.
    #[must_use]
    pub fn events_url(&self) -> String {
        format!("{}/events", self.reserved)
    }

    /// A file of the page.
    #[must_use]
    pub fn file_url(&self, name: &str) -> String {
        format!("{}/pkg/{name}", self.reserved)
    }
}
