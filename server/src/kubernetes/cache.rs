//! A shared watch cache of one kind of object, filled by one watch for the whole process.
//!
//! Look-ups are from memory and by the app's key. The watch asks only for objects that carry the key label.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use futures::{StreamExt, pin_mut};
use kube::{
    Api, Resource, ResourceExt,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tracing::{debug, warn};

/// How long one watch request lasts, in seconds. A connection that is dead but silent is noticed this much later.
const WATCH_SECONDS: u32 = 30;
/// How long to wait before a failed watch is begun again: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(5);
/// After how long a first refusal is doubted: longer than an API server takes to know its roles, and short enough for
/// visitors to be told within five seconds.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// An object as kept in a [`Cache`].
#[derive(Debug)]
pub(super) struct Cached<T> {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) value: T,
}

/// The cache. Its writer is the one task that runs [`fill`](Self::fill).
#[derive(Debug)]
pub(super) struct Cache<T> {
    state: RwLock<State<T>>,
    /// Told after every change.
    changed: watch::Sender<()>,
    /// Told when somebody wants a new list.
    doubted: Notify,
}

#[derive(Debug)]
struct State<T> {
    objects: Objects<T>,
    /// What an initial list has brought so far.
    listing: Objects<T>,
    /// Whether a list was complete once.
    synced: bool,
    contact: Contact,
}

/// How the API server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    /// As it should, as far as anybody can know.
    Good,
    /// Not at all, or not with what was asked for.
    Lost,
    /// That the permission is missing, for the first time: an API server that has just started says so, too, until it
    /// knows its roles.
    Refused,
    /// That the permission is missing.
    Forbidden,
}

#[derive(Debug)]
struct Objects<T> {
    by_key: HashMap<String, Vec<Arc<Cached<T>>>>,
    /// The key that each object has in `by_key`, by namespace and name.
    keys: HashMap<(String, String), String>,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), keys: HashMap::new() }
    }
}

impl<T> Objects<T> {
    fn insert(&mut self, object: Cached<T>) {
        let id = (object.namespace.clone(), object.name.clone());
        self.remove(&id);
        self.keys.insert(id, object.key.clone());
        self.by_key.entry(object.key.clone()).or_default().push(Arc::new(object));
    }

    fn remove(&mut self, id: &(String, String)) {
        let Some(key) = self.keys.remove(id) else { return };
        if let Some(same_key) = self.by_key.get_mut(&key) {
            same_key.retain(|object| (&object.namespace, &object.name) != (&id.0, &id.1));
            if same_key.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }
}

impl<T> Cache<T> {
    pub(super) fn new(changed: watch::Sender<()>) -> Self {
        let state = State { objects: Objects::default(), listing: Objects::default(), synced: false, contact: Contact::Lost };
        Self { state: RwLock::new(state), changed, doubted: Notify::new() }
    }

    /// What was listed once, with what `parse` makes of each object.
    pub(super) fn of<K: Resource>(objects: impl IntoIterator<Item = K>, key_label: &str, parse: impl Fn(K) -> T) -> Self {
        let cache = Self::new(watch::channel(()).0);
        cache.take(Event::<K>::Init, key_label, &parse);
        for object in objects {
            cache.take(Event::InitApply(object), key_label, &parse);
        }
        cache.take(Event::<K>::InitDone, key_label, &parse);
        cache
    }

    /// The objects that carry a key.
    pub(super) fn get(&self, key: &str) -> Vec<Arc<Cached<T>>> {
        self.read().objects.by_key.get(key).cloned().unwrap_or_default()
    }

    /// All objects.
    pub(super) fn all(&self) -> Vec<Arc<Cached<T>>> {
        self.read().objects.by_key.values().flatten().cloned().collect()
    }

    /// Why it has never been complete; `None` if it has.
    pub(super) fn not_ready(&self, kinds: &str) -> Option<String> {
        let state = self.read();
        match state.contact {
            _ if state.synced => None,
            Contact::Forbidden => Some(format!("there is no permission to list {kinds}")),
            Contact::Good | Contact::Lost | Contact::Refused => Some(format!("the first list of {kinds} is not complete yet")),
        }
    }

    /// Whether it is current as far as anybody can know.
    pub(super) fn is_connected(&self) -> bool {
        self.read().contact == Contact::Good
    }

    /// Whether it cannot be current, for want of a permission.
    pub(super) fn is_forbidden(&self) -> bool {
        self.read().contact == Contact::Forbidden
    }

    /// Asks for a new list: a watch may lose events without a sign, and then it never brings them any more.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Watches for ever, and keeps what `parse` makes of each object that carries `key_label`.
    ///
    /// Every interruption is followed by a new list, so nothing that happened meanwhile is missed.
    pub(super) async fn fill<K>(&self, api: Api<K>, key_label: &str, parse: impl Fn(K) -> T)
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static,
    {
        let kind = K::kind(&());
        let config = watcher::Config::default().labels(key_label).timeout(WATCH_SECONDS);
        let mut pause = *BACKOFF.start();
        loop {
            let begun = Instant::now();
            let events = watcher(api.clone(), config.clone());
            pin_mut!(events);
            while let Some(event) = tokio::select! { event = events.next() => event, () = self.doubted.notified() => None } {
                match event {
                    Ok(event) => self.take(event, key_label, &parse),
                    Err(error) if is_expired(&error) => {
                        debug!(%kind, "watch expired");
                        // Ordinary once in a while, but not again and again.
                        if begun.elapsed() < *BACKOFF.start() {
                            sleep(*BACKOFF.start()).await;
                        }
                        break;
                    }
                    Err(error) => {
                        warn!(%kind, %error, "cannot watch; trying again");
                        self.note(&error);
                        pause = if begun.elapsed() > *BACKOFF.end() * 2 { *BACKOFF.start() } else { pause };
                        if self.read().contact == Contact::Refused {
                            sleep(ASK_AGAIN).await;
                        } else {
                            sleep(pause).await;
                            pause = (pause * 2).min(*BACKOFF.end());
                        }
                        break;
                    }
                }
            }
        }
    }

    fn take<K: Resource>(&self, event: Event<K>, key_label: &str, parse: impl Fn(K) -> T) {
        let cached = |object: K| {
            let key = object.labels().get(key_label).cloned().unwrap_or_default();
            Cached { namespace: object.namespace().unwrap_or_default(), name: object.name_any(), key, value: parse(object) }
        };
        {
            let mut state = self.write();
            match event {
                Event::Init => state.listing = Objects::default(),
                Event::InitApply(object) => state.listing.insert(cached(object)),
                Event::InitDone => {
                    state.objects = mem::take(&mut state.listing);
                    (state.synced, state.contact) = (true, Contact::Good);
                }
                Event::Apply(object) => state.objects.insert(cached(object)),
                Event::Delete(object) => state.objects.remove(&(object.namespace().unwrap_or_default(), object.name_any())),
            }
        }
        self.changed.send_replace(());
    }

    fn note(&self, error: &watcher::Error) {
        let mut state = self.write();
        state.contact = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) if is_refusal(status.code) => match state.contact {
                Contact::Good | Contact::Lost => Contact::Refused,
                Contact::Refused | Contact::Forbidden => Contact::Forbidden,
            },
            // A list every few seconds tells as much.
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) if is_refusal(status.code) => return,
            _ => Contact::Lost,
        };
        drop(state);
        self.changed.send_replace(());
    }

    /// A panic elsewhere cannot leave the state half changed, so a poisoned lock is as good as any.
    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an answer says that the permission is missing.
fn is_refusal(code: u16) -> bool {
    matches!(code, 401 | 403)
}

/// Whether the history that the watch asked for is gone, which is ordinary: list again, at once.
fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::networking::v1::Ingress;
    use serde_json::json;

    use super::*;

    fn ingress(name: &str, key: &str) -> Ingress {
        let metadata = json!({ "name": name, "namespace": "ns", "labels": { "host": key } });
        serde_json::from_value(json!({ "metadata": metadata })).expect("an Ingress")
    }

    fn names(cache: &Cache<()>, key: &str) -> Vec<String> {
        let mut names: Vec<_> = cache.get(key).iter().map(|object| object.name.clone()).collect();
        names.sort();
        names
    }

    #[test]
    fn objects_are_found_by_their_present_key() {
        let cache = Cache::new(watch::channel(()).0);
        let take = |event| cache.take(event, "host", |_| ());
        assert!(cache.not_ready("Ingresses").is_some());
        take(Event::Init);
        take(Event::InitApply(ingress("one", "a")));
        assert_eq!(names(&cache, "a"), [""; 0], "a list that is under way is not shown");
        take(Event::InitDone);
        assert!(cache.not_ready("Ingresses").is_none() && cache.is_connected());
        assert_eq!(names(&cache, "a"), ["one"]);

        take(Event::Apply(ingress("two", "a")));
        assert_eq!(names(&cache, "a"), ["one", "two"]);
        take(Event::Apply(ingress("one", "b")));
        assert_eq!((names(&cache, "a"), names(&cache, "b")), (vec!["two".into()], vec!["one".into()]));
        take(Event::Delete(ingress("two", "a")));
        assert_eq!(names(&cache, "a"), [""; 0]);

        take(Event::Init);
        take(Event::InitDone);
        assert_eq!(cache.all().len(), 0, "what a new list does not have is gone");
    }
}
