//! The unidler's server.
//!
//! ```text
//!  main ── config ── serve ──┬── connections             HTTP/1.1 and h2c, with limits
//!                            ├── metrics                 the numbers, on a port of their own
//!                            ├── router ──┬── page       every path of the app: the page, or a problem
//!                            │            ├── late       or the app's own answer, while its ingress is late
//!                            │            ├── sse        /events: starts or joins
//!                            │            └── …          status, server function, files, health
//!                            ├── kubernetes              the real cluster
//!                            └── demo                    the stand-in for the ingress, on the played cluster
//! ```
//!
//! [`start_rule`] says who may start a wake-up, [`headers`] what is said with every answer, and [`traces`] sends what the
//! engine tells of itself to a collector.

pub mod app_host;
pub mod brand;
pub mod config;
mod connections;
pub mod demo;
pub mod headers;
pub mod kubernetes;
pub mod late;
pub mod limits;
pub mod metrics;
mod page;
mod patience;
pub mod problem;
pub mod router;
pub mod serve;
pub mod site;
mod sse;
pub mod start_rule;
pub mod traces;
