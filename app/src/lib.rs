//! The unidling page: rendered on the server, brought to life in the browser.
//!
//! ```text
//!            server (feature `ssr`)                         browser (feature `hydrate`)
//!  page::Page ── the document around it                loader.js ── starts, asks, hands over; loads the module, or does without
//!     └─ wake::Wake ── the island ────── start ───────>  wake::Wake ── the same island, from the same snapshot
//!                                                          ├─ live ── the event stream, polling, when to start
//!                                                          └─ surroundings ── title, icon, announcements, clipboard
//!  …/_unidler/wake ── starts or retries    <── POST ──  loader.js, or a plain form without scripts
//! ```
//!
//! The words are in [`words`], one file per language; the looks in `style/main.css`.

pub mod icon;
pub mod start;
pub mod wake;
pub mod words;

#[cfg(feature = "ssr")]
pub mod demo;
#[cfg(feature = "hydrate")]
mod live;
#[cfg(feature = "hydrate")]
mod loader;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "hydrate")]
mod surroundings;
