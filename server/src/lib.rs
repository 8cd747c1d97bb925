//! unidler's server.
//!
//! ```text
//!  main ── cli ──┬─ commands  for operators: idle, wake, status, plan, doctor, …
//!                └─ serve ──┬── connections             HTTP/1.1 and h2c, with limits
//!                            ├── admin                   metrics and probes, on a port of their own
//!                            ├── router ──┬── place      whose a path is
//!                            │            ├── visit      every path of the app: the page, or a problem
//!                            │            ├── page       what a browser that navigates gets
//!                            │            ├── hold       what a program gets that prefers to wait
//!                            │            ├── forward    or the app's own answer, while its ingress still leads here
//!                            │            ├── sse        the events: starts or joins
//!                            │            ├── wake       what a browser posts to, to start the app
//!                            │            └── …          status, files, readiness
//!                            └── demo                    the stand-in for the ingress, on the played cluster
//! ```
//!
//! [`start_rule`] decides which requests may start a wake-up, [`headers`] has the headers of every response, and
//! [`traces`] sends the engine's spans to a collector.

pub mod admin;
pub mod app_host;
pub mod brand;
pub mod cli;
pub mod commands;
pub mod config;
pub mod connections;
pub mod demo;
mod discard;
mod duration;
pub mod forward;
pub mod headers;
mod hold;
pub mod limits;
pub mod memory;
pub mod metrics;
mod navigation;
mod page;
pub mod place;
pub mod problem;
#[cfg(test)]
mod reference;
pub mod router;
pub mod serve;
pub mod site;
pub mod sleep;
mod sse;
pub mod start_rule;
pub mod state;
pub mod traces;
mod visit;
mod wake;
