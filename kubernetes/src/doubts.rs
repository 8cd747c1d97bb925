//! Limits how often the caches are relisted on suspicion.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The minimum time between two requested relists. A list is expensive, and there may be hundreds of slow apps.
const INTERVAL: Duration = Duration::from_secs(66);
/// The maximum additional delay, so that replicas do not list at the same time.
const JITTER: Duration = Duration::from_secs(12);

/// Admits one doubt at a time, for the whole process.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    next: Mutex<Option<Instant>>,
}

impl Doubts {
    /// Whether it is time for a relist. If so, further ones are refused for a while.
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
