//! The unidling page: rendered on the server, brought to life in the browser.
//!
//! ```text
//!            server (feature `ssr`)                         browser (feature `hydrate`)
//!  page::Page ── the document around it                loader.js ── starts, asks, hands over; loads the module, or does without
//!     └─ wake::Wake ── the island ────── start ───────>  wake::Wake ── the same island, from the same snapshot
//!                                                          │ draws
//!                                                        live::Live ── what is known now, as signals
//!                                                          │ change
//!                                                        browser ── the event stream, polling; title, icon, clipboard
//!  …/_unidler/wake ── starts or retries    <── POST ──  loader.js, or a plain form without scripts
//! ```
//!
//! [`text`] chooses the texts of the page; they are in [`words`], one file per language; the styles are in
//! `style/main.css`.

pub mod api;
#[cfg(feature = "hydrate")]
mod browser;
#[cfg(feature = "ssr")]
pub mod demo;
pub mod icon;
pub mod live;
#[cfg(feature = "ssr")]
pub mod page;
pub mod start;
pub mod text;
pub mod wake;
pub mod words;
