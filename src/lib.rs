//! The wake-up itself: what visitors see, what is decided from observations, and what drives it.
//!
//! This crate has no HTTP, no Kubernetes client and no HTML, and depends on the outside world only through
//! [`tokio::time`].
//!
//! # Layout
//!
//! Always there, and compiled to wasm as well:
//! - [`progress`]: the wire types, one complete snapshot per event.
//!
//! Behind feature `engine`, for the server:
//! - [`host`]: the host that a visitor typed, parsed once.
//! - [`app`]: an app as the engine sees it: Services, workloads, and what they were.
//! - [`cluster`]: the only door to a cluster.
//! - [`step`]: what to do next about what is observed. Pure.
//! - [`probe`]: the requests of monitors that are answered for a sleeping app.
//! - [`start`]: what it takes to wake an app that sleeps.
//! - [`sleep`]: when an app sleeps, from what is known of it. Pure.
//! - [`hub`]: one driver for each waking app, however many visitors wait for it.
//! - [`demo`]: a cluster that is played, for `unidler demo` and for tests.
//!
//! ```text
//! visitors ──join──> Hub ──one driver per app──┐
//!    ^                                         │ observe ┌──────────────────────┐
//!    │                                         ├────────>│ trait Cluster        │
//!    └── watch channel: latest Progress <──────┤         │  KubernetesCluster   │
//!                                   next_step  │<────────│  DemoCluster         │
//!                                              └─ apply ─>──────────────────────┘
//! ```

pub mod progress;

#[cfg(feature = "engine")]
pub mod app;
#[cfg(feature = "engine")]
pub mod cluster;
#[cfg(feature = "engine")]
pub mod demo;
#[cfg(feature = "engine")]
pub mod host;
#[cfg(feature = "engine")]
pub mod hub;
#[cfg(feature = "engine")]
mod order;
#[cfg(feature = "engine")]
pub mod probe;
#[cfg(feature = "engine")]
pub mod sleep;
#[cfg(feature = "engine")]
pub mod start;
#[cfg(feature = "engine")]
pub mod step;
