//! The module in the browser: everything here changes [`Live`](crate::live::Live) or follows it.
//!
//! ```text
//!   follow ── the event stream, polling, when to start ──┐
//!   chrome ── title, icon, announcements, clipboard      ├──> loader ── the way to loader.js: asks, starts, hands over
//!   clock                                               ─┘
//! ```

pub(crate) mod chrome;
mod clock;
pub(crate) mod follow;
mod loader;
