//! A shared watch cache of one kind of object, filled by one watch for the whole process.
//!
//! Lookups are from memory: by name, or by the terms that a kind is [indexed](Kept) by.

use std::{
    collections::HashMap,
    fmt, mem,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt, future};
use kube::{
    Resource, ResourceExt,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};
use unidler::app::ObjectId;

use crate::{
    client::{Source, is_absent},
    retry_after::retry_after,
};

/// The duration of one watch request, in seconds. A connection that is silently dead is noticed with this delay.
const WATCH_SECONDS: u32 = 30;
/// The page size of a list. A page of Deployments is parsed as a whole, including everything that is not kept of them.
const PAGE: u32 = 250;
/// How long to wait before a failed watch is begun again: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(5);
/// The maximum time for which an API server can ask to delay a list.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
/// How long to wait after a first rejection before the request is repeated: longer than an API server takes to load its
/// roles, and short enough to inform visitors within five seconds.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(1_500);
/// How often to check whether an absent kind has been installed.
const ABSENT: Duration = Duration::from_mins(1);
/// How long a deleted object is remembered.
const GONE_LATELY: Duration = Duration::from_mins(10);
/// How long an outdated view serves visitors better than an error of the ingress.
const MAX_OLD: Duration = Duration::from_mins(5);

/// The trimmed form in which an object of some kind is kept.
pub(crate) trait Kept: Sized + PartialEq {
    /// The human-readable kind of such an object.
    fn kind(&self) -> &str;

    /// The terms that an object is found by, besides its name.
    fn terms(object: &Cached<Self>) -> Vec<String>;

    /// Takes over facts that only the previous version of the object shows.
    fn follow(&mut self, _before: &Self) {}
}

/// How current a cache is, whatever its kind.
pub(crate) trait Contact {
    /// Why it cannot be relied upon: it was never complete, or the contact has been lost for too long.
    fn not_ready(&self, kinds: &str) -> Option<String>;

    /// Whether a list has completed at least once.
    fn is_synced(&self) -> bool;

    /// Whether it is current, as far as can be known.
    fn is_connected(&self) -> bool;

    /// Whether it cannot be current because a permission is missing.
    fn is_forbidden(&self) -> bool;

    /// How long it has not been current.
    fn since_contact(&self) -> Duration;

    /// Whether a list is under way or imminent.
    fn is_listing(&self) -> bool;

    /// Requests a relist: a watch can silently drop events and never deliver them again.
    fn doubt(&self);
}

/// An object as kept in a [`Cache`].
#[derive(Debug, PartialEq)]
pub(crate) struct Cached<T> {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The value of its key label, if it has one.
    pub(crate) key: Option<String>,
    pub(crate) value: T,
}

impl<T: Kept> Cached<T> {
    /// Its identifier for the engine.
    pub(crate) fn id(&self) -> ObjectId {
        ObjectId::new(&self.to_string())
    }
}

/// For example `Deployment team/tool`.
impl<T: Kept> fmt::Display for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.value.kind(), self.namespace, self.name)
    }
}

impl<T> Cached<T> {
    fn of<K: Resource>(object: K, key_label: &str, parse: impl Fn(K) -> T) -> Self {
        let key = [key_label, RSTUDIO_LABEL]
            .iter()
            .find_map(|label| object.labels().get(*label))
            .cloned();
        let (namespace, name) = name_of(&object);
        Self {
            namespace,
            name,
            key,
            value: parse(object),
        }
    }
}

fn name_of<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Whether an object is being deleted, and therefore treated as absent.
fn is_leaving<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// The cache. Its writer is the one task that runs [`fill`](Self::fill).
#[derive(Debug)]
pub(crate) struct Cache<T> {
    state: RwLock<State<T>>,
    /// Notified after every change.
    changed: watch::Sender<()>,
    /// Notified when a relist is requested.
    doubted: Notify,
}

#[derive(Debug)]
struct State<T> {
    objects: Objects<T>,
    /// The objects so far of a list that is under way.
    listing: Option<Objects<T>>,
    /// Whether a list has completed at least once.
    synced: bool,
    contact: Health,
    /// When the contact was lost.
    lost: Instant,
    /// When recently deleted objects disappeared.
    gone: HashMap<(String, String), Instant>,
}

/// The state of the contact with the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// The API server responds properly, as far as can be known.
    Good,
    /// The API server does not respond, or not with the requested objects.
    Lost,
    /// The permission is reported as missing for the first time: an API server that has just started reports that, too,
    /// until it has loaded its roles.
    Refused,
    /// The permission is missing.
    Forbidden,
}

#[derive(Debug)]
struct Objects<T> {
    by_name: HashMap<(String, String), Arc<Cached<T>>>,
    by_term: HashMap<String, Vec<Arc<Cached<T>>>>,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_term: HashMap::new(),
        }
    }
}

impl<T: Kept> Objects<T> {
    fn insert(&mut self, object: Arc<Cached<T>>) {
        let id = (object.namespace.clone(), object.name.clone());
        self.remove(&id);
        let terms = T::terms(&object);
        for term in terms {
            self.by_term
                .entry(term)
                .or_default()
                .push(Arc::clone(&object));
        }
        self.by_name.insert(id, object);
    }

    /// The object that follows the existing one, or the existing one if both are equal: so a relist of ten thousand
    /// apps takes little more memory than the view that it replaces.
    fn following(&self, mut object: Cached<T>) -> Arc<Cached<T>> {
        let id = (object.namespace.clone(), object.name.clone());
        let Some(before) = self.by_name.get(&id) else {
            return Arc::new(object);
        };
        object.value.follow(&before.value);
        match **before == object {
            true => Arc::clone(before),
            false => Arc::new(object),
        }
    }

    fn remove(&mut self, id: &(String, String)) {
        let Some(object) = self.by_name.remove(id) else {
            return;
        };
        for term in T::terms(&object) {
            if let Some(same_term) = self.by_term.get_mut(&term) {
                same_term.retain(|other| !Arc::ptr_eq(other, &object));
                if same_term.is_empty() {
                    self.by_term.remove(&term);
                }
            }
        }
    }
}

impl<T: Kept> State<T> {
    fn remove(&mut self, id: &(String, String)) {
        self.objects.remove(id);
        self.gone.retain(|_, when| when.elapsed() < GONE_LATELY);
        self.gone.insert(id.clone(), Instant::now());
    }
}

impl<T: Kept> Cache<T> {
    pub(crate) fn new(changed: watch::Sender<()>) -> Self {
        let state = State {
            objects: Objects::default(),
            listing: None,
            synced: false,
            contact: Health::Lost,
            lost: Instant::now(),
            gone: HashMap::new(),
        };
        Self {
            state: RwLock::new(state),
            changed,
            doubted: Notify::new(),
        }
    }

    /// A cache of objects that were listed once, converted by `parse`.
    pub(crate) fn of<K: Resource>(
        objects: impl IntoIterator<Item = K>,
        key_label: &str,
        parse: impl Fn(K) -> T,
    ) -> Self {
        let cache = Self::new(watch::channel(()).0);
        let mut state = cache.write();
        for object in objects {
            if !is_leaving(&object) {
                let object = Cached::of(object, key_label, &parse);
                state.objects.insert(Arc::new(object));
            }
        }
        (state.synced, state.contact) = (true, Health::Good);
        drop(state);
        cache
    }

    /// The objects that are found by a term.
    pub(crate) fn get(&self, term: &str) -> Vec<Arc<Cached<T>>> {
        self.read()
            .objects
            .by_term
            .get(term)
            .cloned()
            .unwrap_or_default()
    }

    /// The objects that are found by a term and satisfy a condition.
    pub(crate) fn get_where(
        &self,
        term: &str,
        is_wanted: impl Fn(&Cached<T>) -> bool,
    ) -> Vec<Arc<Cached<T>>> {
        let state = self.read();
        let found = state.objects.by_term.get(term).into_iter().flatten();
        found.filter(|object| is_wanted(object)).cloned().collect()
    }

    /// The object with a name.
    pub(crate) fn named(&self, namespace: &str, name: &str) -> Option<Arc<Cached<T>>> {
        self.read()
            .objects
            .by_name
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// Whether the object with a name was [recently](GONE_LATELY) deleted, as far as this process has seen.
    pub(crate) fn is_gone_lately(&self, namespace: &str, name: &str) -> bool {
        let state = self.read();
        let gone = state.gone.get(&(namespace.to_owned(), name.to_owned()));
        gone.is_some_and(|when| when.elapsed() < GONE_LATELY)
    }

    /// All objects.
    pub(crate) fn all(&self) -> Vec<Arc<Cached<T>>> {
        self.read().objects.by_name.values().cloned().collect()
    }

    /// Simulates a missing permission.
    #[cfg(test)]
    pub(crate) fn forbid(&self) {
        self.write().contact = Health::Forbidden;
    }

    /// Watches forever, and keeps each object as converted by `parse`.
    ///
    /// Every interruption is followed by a relist, so nothing that happened in the meantime is missed. A requested
    /// relist runs in parallel with the watch, whose objects stay as current as before. `labels` is a label selector:
    /// objects that it does not match are ignored.
    pub(crate) async fn fill<K>(
        &self,
        source: Source<K>,
        labels: Option<&str>,
        key_label: &str,
        parse: impl Fn(K) -> T,
    ) where
        K: Resource + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static,
    {
        type Events<K> = Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>;
        let api = &source.api;
        let kind = &source.kind.kind;
        let config = watcher::Config {
            label_selector: labels.map(ToOwned::to_owned),
            ..watcher::Config::default()
                .timeout(WATCH_SECONDS)
                .page_size(PAGE)
        };
        let begin = || -> Events<K> { Box::pin(watcher(api.clone(), config.clone())) };
        let mut pause = *BACKOFF.start();
        loop {
            let begun = Instant::now();
            let mut events = begin();
            let mut relisted: Option<Events<K>> = None;
            let error = loop {
                let may_list = relisted.is_none() && !self.is_listing();
                let of_list = async {
                    match &mut relisted {
                        Some(events) => events.next().await,
                        None => future::pending().await,
                    }
                };
                tokio::select! {
                    event = events.next() => match event {
                        Some(Ok(event)) => self.take(event, key_label, &parse),
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    },
                    event = of_list => match event {
                        Some(Ok(event)) => {
                            let is_complete = matches!(event, Event::InitDone);
                            self.take(event, key_label, &parse);
                            if let (true, Some(complete)) = (is_complete, relisted.take_if(|_| is_complete)) {
                                events = complete;
                            }
                        }
                        // The existing watch continues.
                        failed => {
                            if let Some(Err(error)) = failed {
                                debug!(%kind, %error, "relist failed");
                            }
                            relisted = None;
                            self.write().listing = None;
                        }
                    },
                    () = self.doubted.notified(), if may_list => relisted = Some(begin()),
                }
            };
            match error {
                None => {}
                Some(error) if is_expired(&error) => {
                    debug!(%kind, "watch expired");
                    // An occasional end is normal, but not repeated ones.
                    if begun.elapsed() < *BACKOFF.start() {
                        sleep(*BACKOFF.start()).await;
                    }
                }
                Some(error) if source.may_be_absent && says_absent(&source, &error).await => {
                    if self.set_absent() {
                        info!(%kind, "the API server does not have this kind; asking again every minute");
                    }
                    sleep(jittered(ABSENT)).await;
                }
                Some(error) => {
                    let was_forbidden = self.is_forbidden();
                    self.connection_failed(&error);
                    let is_forbidden = self.is_forbidden();
                    if begun.elapsed() > *BACKOFF.end() * 2 {
                        pause = *BACKOFF.start();
                    }
                    // A watch that breaks once misses nothing: only a failure to restart it is logged.
                    if is_forbidden && !was_forbidden {
                        let (group, plural) = (&source.kind.group, &source.kind.plural);
                        warn!(
                            %kind, %error,
                            "no permission to read {plural}: {}. Add to unidler's ClusterRole: {{apiGroups: [\"{group}\"], resources: \
                             [\"{plural}\"], verbs: [list, watch]}}",
                            source.without
                        );
                    } else if is_forbidden || pause == *BACKOFF.start() {
                        debug!(%kind, %error, "watch interrupted, starting another");
                    } else {
                        warn!(%kind, %error, "watch failed, retrying");
                    }
                    if self.read().contact == Health::Refused {
                        sleep(ASK_AGAIN).await;
                    } else {
                        sleep(jittered(pause).max(asked_for(&error))).await;
                        pause = (pause * 2).min(*BACKOFF.end());
                    }
                }
            }
            // The following list fulfils the request.
            let _ = self.doubted.notified().now_or_never();
        }
    }

    fn take<K: Resource>(&self, event: Event<K>, key_label: &str, parse: impl Fn(K) -> T) {
        let mut state = self.write();
        match event {
            Event::Init => state.listing = Some(Objects::default()),
            Event::InitApply(object) if is_leaving(&object) => {}
            Event::InitApply(object) => {
                let object = Cached::of(object, key_label, &parse);
                let object = state.objects.following(object);
                state.listing.get_or_insert_default().insert(object);
            }
            Event::InitDone => {
                state.objects = mem::take(&mut state.listing).unwrap_or_default();
                (state.synced, state.contact) = (true, Health::Good);
            }
            Event::Apply(object) if is_leaving(&object) => state.remove(&name_of(&object)),
            Event::Apply(object) => {
                let object = Cached::of(object, key_label, &parse);
                let object = state.objects.following(object);
                state.objects.insert(object);
            }
            Event::Delete(object) => state.remove(&name_of(&object)),
        }
        // The objects of a list become visible when it is complete.
        let is_visible = state.listing.is_none();
        drop(state);
        if is_visible {
            self.changed.send_replace(());
        }
    }

    /// Records that the API server does not have the kind, which makes the empty cache complete. Returns whether this
    /// is new.
    fn set_absent(&self) -> bool {
        let mut state = self.write();
        let is_news = state.contact != Health::Good || !state.objects.by_name.is_empty();
        (state.objects, state.listing) = (Objects::default(), None);
        (state.synced, state.contact) = (true, Health::Good);
        drop(state);
        if is_news {
            self.changed.send_replace(());
        }
        is_news
    }

    fn connection_failed(&self, error: &watcher::Error) {
        let mut state = self.write();
        let before = state.contact;
        state.listing = None;
        state.contact = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
                if is_refusal(status.code) =>
            {
                match before {
                    Health::Good | Health::Lost => Health::Refused,
                    Health::Refused | Health::Forbidden => Health::Forbidden,
                }
            }
            // A list every few seconds provides the same information.
            watcher::Error::WatchStartFailed(kube::Error::Api(status))
                if is_refusal(status.code) =>
            {
                return;
            }
            _ => Health::Lost,
        };
        if before == Health::Good {
            state.lost = Instant::now();
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Locks the state. A panic elsewhere cannot leave it half changed, so a poisoned lock is used all the same.
    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Kept> Contact for Cache<T> {
    fn not_ready(&self, kinds: &str) -> Option<String> {
        let state = self.read();
        let lost = state.lost.elapsed();
        match state.contact {
            Health::Good => None,
            _ if state.synced && lost < MAX_OLD => None,
            Health::Forbidden => Some(format!("there is no permission to list {kinds}")),
            _ if state.synced => Some(format!(
                "{kinds} could not be watched for {} s",
                lost.as_secs()
            )),
            Health::Lost | Health::Refused => {
                Some(format!("the first list of {kinds} is not complete yet"))
            }
        }
    }

    fn is_synced(&self) -> bool {
        self.read().synced
    }

    fn is_connected(&self) -> bool {
        self.read().contact == Health::Good
    }

    fn is_forbidden(&self) -> bool {
        self.read().contact == Health::Forbidden
    }

    fn since_contact(&self) -> Duration {
        let state = self.read();
        if state.contact == Health::Good {
            Duration::ZERO
        } else {
            state.lost.elapsed()
        }
    }

    fn is_listing(&self) -> bool {
        let state = self.read();
        state.listing.is_some() || state.contact != Health::Good
    }

    fn doubt(&self) {
        self.doubted.notify_one();
    }
}

/// The label that the platform's chart for `RStudio` sets instead of the key label.
pub(crate) const RSTUDIO_LABEL: &str = "unidler-key";

/// Randomizes a time so that it differs between replicas: at most a quarter shorter, and never longer, since visitors
/// are informed of trouble within five seconds.
pub(crate) fn jittered(time: Duration) -> Duration {
    time.mul_f64(1.0 - fastrand::f64() / 4.0)
}

/// Whether a status code means that the permission is missing.
fn is_refusal(code: u16) -> bool {
    matches!(code, 401 | 403)
}

/// How long the API server asks to wait.
fn asked_for(error: &watcher::Error) -> Duration {
    let asked = match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            retry_after(error)
        }
        _ => None,
    };
    asked.unwrap_or_default().min(MAX_RETRY_AFTER)
}

/// Whether the API server does not have a kind.
async fn says_absent<K: Resource + Clone>(source: &Source<K>, error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            is_absent(&source.api.clone().into_client(), &source.kind, error).await
        }
        _ => false,
    }
}

/// Whether the history that the watch asked for has expired, which is normal: list again, at once.
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

    /// Found by its key.
    impl Kept for () {
        fn kind(&self) -> &str {
            "Ingress"
        }

        fn terms(object: &Cached<Self>) -> Vec<String> {
            object.key.clone().into_iter().collect()
        }
    }

    fn ingress(name: &str, key: &str) -> Ingress {
        let metadata = json!({ "name": name, "namespace": "ns", "labels": { "host": key } });
        serde_json::from_value(json!({ "metadata": metadata })).expect("an Ingress")
    }

    fn names(cache: &Cache<()>, key: &str) -> Vec<String> {
        let mut names: Vec<_> = cache
            .get(key)
            .iter()
            .map(|object| object.name.clone())
            .collect();
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
        assert_eq!(
            names(&cache, "a"),
            [""; 0],
            "a list that is under way is not shown"
        );
        take(Event::InitDone);
        assert!(cache.not_ready("Ingresses").is_none() && cache.is_connected());
        assert_eq!(names(&cache, "a"), ["one"]);

        take(Event::Apply(ingress("two", "a")));
        assert_eq!(names(&cache, "a"), ["one", "two"]);
        take(Event::Apply(ingress("one", "b")));
        assert_eq!(
            (names(&cache, "a"), names(&cache, "b")),
            (vec!["two".into()], vec!["one".into()])
        );
        take(Event::Delete(ingress("two", "a")));
        assert_eq!(names(&cache, "a"), [""; 0]);

        let before = cache.get("b");
        take(Event::Init);
        take(Event::InitApply(ingress("one", "b")));
        take(Event::InitDone);
        assert!(
            Arc::ptr_eq(&before[0], &cache.get("b")[0]),
            "what is the same in a new list is kept once"
        );

        take(Event::Init);
        take(Event::InitDone);
        assert_eq!(
            cache.all().len(),
            0,
            "what a new list does not have is gone"
        );
        let gone = |name: &str| cache.is_gone_lately("ns", name);
        assert_eq!(
            (gone("one"), gone("two")),
            (false, true),
            "not deleted before its eyes"
        );
    }
}
