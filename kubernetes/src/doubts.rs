//! How often the caches may be doubted.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The time between two lists that somebody asks for. A list is dear, and there may be hundreds of apps that are slow.
const INTERVAL: Duration = Duration::from_secs(66);
/// How much later it may be, so that replicas do not ask at the same time.
const JITTER: Duration = Duration::from_secs(12);

/// Lets one doubt through at a time, for the whole process.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    next: Mutex<Option<Instant>>,
}

impl Doubts {
    /// Whether it is time for a new list. If it is, it will not be for a while.
    pub(crate) fn may_list(&self) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_time = next.is_none_or(|next| next <= now);
        if is_time {
            *next = Some(now + INTERVAL + JITTER.mul_f64(fastrand::f64()));
        }
        is_time
    }
}
