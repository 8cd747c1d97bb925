//! The unidling page: rendered on the server, brought to life in the browser.
//!
//! ```text
//!            server (feature `ssr`)                         browser (feature `hydrate`)
//!  page::Page ── the document around it                loader.js ── loads the module; without it, the rescue
//!     └─ wake::Wake ── the island, first snapshot  ──>  wake::Wake ── the same island
//!                                                          ├─ live ── /events, polling, the probe, the handover
//!                                                          └─ surroundings ── title, icon, announcements, clipboard
//!  api::wake ── starts or retries          <── POST ──  a plain form, with or without scripts
//! ```
//!
//! The words are in [`words`], one file per language; the looks in `style/main.css`.

pub mod api;
pub mod icon;
#[expect(missing_docs, reason = "on what the island macro makes; everything of ours in there has docs")]
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
