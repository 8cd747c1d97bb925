//! A real cluster: the only crate that depends on Kubernetes. It has no HTTP server, no command line and no page.
//!
//! ```text
//!  API server ──a watch per kind──> caches: routes, workloads, Services        shared, trimmed, indexed
//!             ──2 watches─────────> rollout (pods, endpoints)                 per app, only while it wakes
//!                                      │
//!                    lookup, found, objects, pods, observe                    pure: which app, how far it is
//!                                      │
//!                    cluster: observe / watch / apply ──> writer ──> patch    conditional writes
//!
//!  operator ────caches───> idle ──Plan──> the driver, with the goal asleep
//!                          the same driver, with the goal awake
//!                          restore: every app, and then no slice
//!  api_server ──Listing──> idle::plans, status::apps
//!             ─Snapshot──> doctor::findings
//! ```
//!
//! [`idle`], [`status`] and [`doctor`] are the commands for operators, as functions. [`usage`] queries sources other
//! than the API server for the use of apps.

mod adoption;
mod api_server;
mod autoscalers;
mod cache;
mod caches;
mod client;
mod cluster;
mod controllers;
mod deserted;
mod diversion;
pub mod doctor;
mod doubts;
mod endpoints;
mod events;
mod found;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod group;
pub mod idle;
pub mod idler;
mod keep_awake;
mod listing;
mod lookup;
mod objects;
mod observe;
mod operator;
mod patch;
mod pods;
mod reachable;
mod request_metrics;
pub mod restore;
mod retry_after;
mod rights;
mod rollout;
mod settings;
pub mod status;
mod surroundings;
mod target;
pub mod undone;
pub mod usage;
mod watching;
mod writer;

pub use self::{
    api_server::ApiServer,
    cluster::KubernetesCluster,
    deserted::Deserted,
    diversion::Handover,
    keep_awake::KeptAwake,
    listing::Listing,
    objects::Scalable,
    observe::{ASLEEP_CPU, ASLEEP_MEMORY, CONTACT_AGE, IDLED_APPS},
    operator::Operator,
    request_metrics::API_REQUESTS,
    rights::ServiceAccount,
    settings::ClusterSettings,
    surroundings::Surroundings,
};

#[cfg(test)]
mod tests;
