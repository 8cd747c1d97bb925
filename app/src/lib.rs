//! The unidling page: rendered on the server, brought to life in the browser.
//!
//! ```text
//!            server (feature `ssr`)                         browser (feature `hydrate`)
//!  page::Page ── the document around it                loader.js ── loads the module; without it, the rescue
//!     └─ wake::Wake ── the island ────── start ───────>  wake::Wake ── the same island, from the same snapshot
//!                                                          ├─ live ── the start, events, polling, the probe, the handover
//!                                                          └─ surroundings ── title, icon, announcements, clipboard
//!  api ── the addresses that the page asks, below its own
//! ```
//!
//! The words are in [`words`], one file per language; the looks in `style/main.css`.

pub mod api;
pub mod icon;
pub mod start;
pub mod wake;
pub mod words;

#[cfg(feature = "ssr")]
pub mod demo;
#[cfg(feature = "hydrate")]
mod live;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "hydrate")]
mod surroundings;
