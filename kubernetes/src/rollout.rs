//! Watches the pods and endpoints of a single app, only while it wakes.
//!
//! Each watch begins with the existing objects, so a wake-up costs two reads. Both are optional: without the permission
//! the page works, with less detail.
//!
//! An endpoint counts only if it responds *now*. The cluster leaves stale addresses behind: those of terminating pods,
//! until its controllers remove them; and those from before a Service became an `ExternalName`, for days.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    iter, mem,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future};
use k8s_openapi::{
    api::{core::v1::Pod, discovery::v1::EndpointSlice},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};
use unidler::app::{Endpoints, ObjectId, Pods};

use crate::{
    cache::{ASK_AGAIN, Cached, jittered},
    diversion::slice::SERVICE_NAME,
    endpoints::{State, addresses, endpoints_in, is_of_controller, state},
    found::Found,
    objects::{PodsController, Service, Workload, WorkloadKind},
    pods,
    reachable::{Answering, Reachable},
    retry_after::retry_after,
};

/// The duration of one watch request, in seconds. A connection that is silently dead is noticed with little more delay.
const WATCH_SECONDS: u32 = 30;
/// How long to wait before a failed watch is restarted: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30);
/// The maximum time for which an API server can ask to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
/// How long to wait where the permission is missing.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);
/// How long a view that cannot be kept current is trusted.
const MAX_OLD: Duration = Duration::from_secs(10);
/// How long without an event until a watch counts as complete, where the API server does not report that; and where it
/// might.
const QUIET: Duration = Duration::from_secs(1);
const LONG_QUIET: Duration = Duration::from_secs(5);
/// How long after an app got its replicas its previous pods do not count: controllers take at most that long to report
/// that they are terminating.
const OLD_PODS: Duration = Duration::from_secs(5);
/// The annotation that reports that a watch has delivered all initial objects
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The pods and endpoints of one app. Dropping it ends the watches.
#[derive(Debug)]
pub(crate) struct Rollout {
    workloads: Vec<PodsOf>,
    services: Vec<EndpointsOf>,
}

/// The pods of a workload.
#[derive(Debug)]
struct PodsOf {
    workload: ObjectId,
    owner: Owner,
    /// Other workloads to which the pods may belong instead.
    others: Vec<Owner>,
    pods: Watched<Pod>,
    /// The UIDs of the pods that existed while it had no replicas.
    before: HashSet<String>,
    /// Since when it has had replicas, as far as that was observed.
    scaled: Option<Instant>,
}

/// The endpoints of a Service.
#[derive(Debug)]
struct EndpointsOf {
    service: ObjectId,
    slices: Watched<EndpointSlice>,
    /// The versions of the slices that existed before the app was started.
    before: HashSet<(String, String)>,
    /// Whether those are known.
    is_remembered: bool,
}

impl Rollout {
    pub(crate) fn watch(client: &Client, found: &Found) -> Self {
        let services = found.services.iter();
        Self {
            workloads: found
                .parts()
                .map(|workload| PodsOf::watch(client, workload, found))
                .collect(),
            services: services
                .map(|service| EndpointsOf::watch(client, service))
                .collect(),
        }
    }

    /// Whether these are still the pods and endpoints to watch.
    pub(crate) fn is_of(&self, found: &Found) -> bool {
        let (workloads, services) = (|| found.parts(), &found.services);
        self.workloads.len() == workloads().count()
            && self.services.len() == services.len()
            && iter::zip(&self.workloads, workloads())
                .all(|(of, workload)| of.is_of(workload, found))
            && iter::zip(&self.services, services).all(|(of, service)| of.service == service.id())
    }

    /// Records the existing objects before the app is started, so that they are not mistaken for the app's new ones.
    pub(crate) fn remember(&mut self, found: &Found) {
        for (of, workload) in iter::zip(&mut self.workloads, found.parts()) {
            of.remember(&workload.value);
        }
        for (of, service) in iter::zip(&mut self.services, &found.services) {
            if found.is_down(service) {
                of.remember(found.is_off());
            }
        }
    }

    /// The progress of a workload's pods.
    pub(crate) fn pods(&self, workload: &ObjectId) -> Pods {
        let mut workloads = self.workloads.iter();
        let of = workloads.find(|of| of.workload == *workload);
        of.map_or_else(Pods::default, PodsOf::pods)
    }

    /// Whether one of a workload's pods is ready; `None` if unidler may not read them.
    pub(crate) fn has_ready_pod(&self, workload: &ObjectId) -> Option<bool> {
        let mut workloads = self.workloads.iter();
        let of = workloads.find(|of| of.workload == *workload)?;
        match &*of.pods.latest.borrow() {
            Seen::Known(pods) => {
                let mut alive = pods.values().filter(|pod| of.is_alive(pod));
                Some(alive.any(|pod| pods::is_ready(pod)))
            }
            Seen::Forbidden => None,
            Seen::Nothing => Some(false),
        }
    }

    /// Whether one of the app's pods is a ready endpoint of a Service.
    pub(crate) fn endpoints(&self, service: &ObjectId) -> Endpoints {
        self.endpoints_if(service, |of| {
            self.answering(of)
                .map(|answering| !answering.ready.is_empty())
        })
    }

    /// Whether a Service has any endpoint that is there to stay, of this app or not.
    pub(crate) fn anything_behind(&self, service: &ObjectId) -> Endpoints {
        self.endpoints_if(service, |of| {
            of.slices.latest.borrow().map(|slices| {
                let slices = slices.values().filter(|slice| is_of_controller(slice));
                let mut endpoints = slices.flat_map(|slice| &slice.endpoints);
                endpoints.any(|endpoint| matches!(state(endpoint), State::Ready | State::Silent))
            })
        })
    }

    /// The state of a Service's endpoints, which are ready if `is_ready` says so.
    fn endpoints_if(
        &self,
        service: &ObjectId,
        is_ready: impl FnOnce(&EndpointsOf) -> Seen<bool>,
    ) -> Endpoints {
        let mut services = self.services.iter();
        match services.find(|of| of.service == *service).map(is_ready) {
            Some(Seen::Known(true)) => Endpoints::Ready,
            Some(Seen::Known(false)) => Endpoints::NotReady,
            Some(Seen::Forbidden) => Endpoints::Forbidden,
            Some(Seen::Nothing) | None => Endpoints::Unknown,
        }
    }

    /// Publishes which of the app's pods are endpoints, until the returned values are dropped.
    pub(crate) fn publish(&self, reachable: &Reachable) -> Vec<Arc<Answering>> {
        let services = self.services.iter();
        let publish = |of: &EndpointsOf| match self.answering(of) {
            Seen::Known(endpoints) => Some(reachable.publish(of.service.clone(), endpoints)),
            Seen::Forbidden | Seen::Nothing => None,
        };
        services.filter_map(publish).collect()
    }

    /// The endpoints of a Service that respond. Ready ones only count if they are pods of the started app.
    fn answering(&self, of: &EndpointsOf) -> Seen<Answering> {
        let slices = of.slices.latest.borrow();
        let slices: Vec<_> = match &*slices {
            Seen::Known(slices) => slices
                .values()
                .filter(|slice| is_of_controller(slice))
                .collect(),
            Seen::Forbidden => return Seen::Forbidden,
            Seen::Nothing => return Seen::Nothing,
        };
        let pods = match self.own_pods() {
            Seen::Known(pods) => Some(pods),
            Seen::Forbidden => None,
            Seen::Nothing => return Seen::Nothing,
        };
        let is_started = self.workloads.iter().any(|of| of.scaled.is_some());
        let mut answering = Answering::default();
        for slice in slices {
            // Slices alone do not show more: after the Service was restored, a stale slice looks like any other until
            // the controller has updated it.
            let is_new = version(slice).is_none_or(|version| !of.before.contains(&version));
            for (uid, endpoint) in endpoints_in(slice) {
                let is_alive = match &pods {
                    Some(pods) => pods.get(uid).copied(),
                    None => is_new.then_some(is_started),
                };
                let list = match (state(endpoint), is_alive) {
                    (State::Ready, Some(true)) => &mut answering.ready,
                    // A slice reflects the state of its pod with a delay.
                    (State::Ready, Some(false)) | (State::Draining, _) => &mut answering.draining,
                    (State::Ready, None) | (State::Silent | State::Gone, _) => continue,
                };
                list.push(addresses(slice, endpoint));
            }
        }
        Seen::Known(answering)
    }

    /// The app's pods by UID, if those of all workloads are known: each with whether it belongs to the started app and
    /// is not terminating.
    fn own_pods(&self) -> Seen<HashMap<String, bool>> {
        let mut own = HashMap::new();
        for of in &self.workloads {
            match &*of.pods.latest.borrow() {
                Seen::Known(pods) => {
                    let pods = pods.values().filter(|pod| of.owns(pod));
                    own.extend(pods.filter_map(|pod| Some((pod.uid()?, of.is_current(pod)))));
                }
                Seen::Forbidden => return Seen::Forbidden,
                Seen::Nothing => return Seen::Nothing,
            }
        }
        Seen::Known(own)
    }

    /// Waits until any of them has changed.
    pub(crate) async fn changed(&mut self) {
        let workloads = self.workloads.iter_mut();
        let services = self.services.iter_mut();
        let pods = workloads.map(|of| of.pods.changed().boxed());
        let slices = services.map(|of| of.slices.changed().boxed());
        future::select_all(pods.chain(slices)).await;
    }
}

impl PodsOf {
    fn watch(client: &Client, workload: &Cached<Workload>, found: &Found) -> Self {
        let api = Api::namespaced(client.clone(), &workload.namespace);
        let owner = Owner::of(workload);
        Self {
            workload: workload.id(),
            pods: Watched::new(api, &owner.selector),
            others: owner.others(found),
            owner,
            before: HashSet::new(),
            scaled: (workload.value.replicas > 0).then(Instant::now),
        }
    }

    fn is_of(&self, workload: &Cached<Workload>, found: &Found) -> bool {
        let owner = Owner::of(workload);
        self.workload == workload.id() && self.others == owner.others(found) && self.owner == owner
    }

    fn owns(&self, pod: &Pod) -> bool {
        self.owner.owns(pod, &self.others)
    }

    fn remember(&mut self, workload: &Workload) {
        if workload.replicas > 0 {
            self.scaled.get_or_insert_with(Instant::now);
            return;
        }
        self.scaled = None;
        if let Seen::Known(pods) = &*self.pods.latest.borrow() {
            self.before = pods.values().filter_map(|pod| pod.uid()).collect();
        }
    }

    fn pods(&self) -> Pods {
        match &*self.pods.latest.borrow() {
            Seen::Known(pods) => pods::read(
                pods.values().filter(|pod| self.owns(pod)).map(|pod| &**pod),
                Timestamp::now(),
            ),
            Seen::Nothing | Seen::Forbidden => Pods::default(),
        }
    }

    /// Whether a pod belongs to the started app, and not to the previous state of the app.
    fn is_alive(&self, pod: &Pod) -> bool {
        self.owns(pod) && self.is_current(pod)
    }

    /// The same for a pod that is known to belong to the workload.
    fn is_current(&self, pod: &Pod) -> bool {
        let was_there = || {
            pod.metadata
                .uid
                .as_ref()
                .is_some_and(|uid| self.before.contains(uid))
        };
        let is_new = |scaled: Instant| scaled.elapsed() >= OLD_PODS || !was_there();
        pod.metadata.deletion_timestamp.is_none() && self.scaled.is_some_and(is_new)
    }
}

impl EndpointsOf {
    fn watch(client: &Client, service: &Cached<Service>) -> Self {
        let api = Api::namespaced(client.clone(), &service.namespace);
        let selector = format!("{SERVICE_NAME}={}", service.name);
        Self {
            service: service.id(),
            slices: Watched::new(api, &selector),
            before: HashSet::new(),
            is_remembered: false,
        }
    }

    /// While an app is waking, the first observed slices are the old ones. Later ones may belong to the Service that
    /// routes to the app again, even if that change has not been observed yet.
    fn remember(&mut self, is_off: bool) {
        if let Seen::Known(slices) = &*self.slices.latest.borrow()
            && (is_off || !self.is_remembered)
        {
            self.before = slices.values().filter_map(version).collect();
            self.is_remembered = true;
        }
    }
}

/// A workload as the owner of pods.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    kind: Arc<WorkloadKind>,
    name: String,
    selector: String,
}

impl Owner {
    fn of(workload: &Cached<Workload>) -> Self {
        Self {
            kind: Arc::clone(&workload.value.kind),
            name: workload.name.clone(),
            selector: workload.value.selector.clone(),
        }
    }

    /// The workloads of an app to which a pod may belong instead, if nothing on the pod identifies its workload.
    fn others(&self, found: &Found) -> Vec<Self> {
        if self.kind.pods != PodsController::Unknown {
            return Vec::new();
        }
        let workloads = found.parts().map(|workload| Self::of(workload));
        workloads.filter(|other| other != self).collect()
    }

    /// Whether a pod belongs to this workload, and to none of the others: the selectors of workloads may overlap.
    fn owns(&self, pod: &Pod, others: &[Self]) -> bool {
        let is_others = || others.iter().any(|other| other.controls(pod) == Some(true));
        self.controls(pod).unwrap_or_else(|| !is_others())
    }

    /// Whether this controls a pod; `None` if the pod has no such information.
    fn controls(&self, pod: &Pod) -> Option<bool> {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let controller = owners.find(|owner| owner.controller == Some(true));
        let is_of = |is_own: &dyn Fn(&OwnerReference) -> bool| controller.is_some_and(is_own);
        match self.kind.pods {
            PodsController::Itself => Some(is_of(&|owner| {
                self.kind.is(&owner.api_version, &owner.kind) && owner.name == self.name
            })),
            PodsController::ReplicaSet => Some(is_of(&|owner| {
                let hash = owner.name.strip_prefix(&*self.name);
                let hash = hash.and_then(|rest| rest.strip_prefix('-'));
                owner.kind == "ReplicaSet"
                    && hash.is_some_and(|hash| !hash.is_empty() && !hash.contains('-'))
            })),
            PodsController::Unknown => None,
        }
    }
}

fn version(slice: &Arc<EndpointSlice>) -> Option<(String, String)> {
    Some((slice.uid()?, slice.resource_version()?))
}

/// The objects of one selector, as kept by a task of their own.
#[derive(Debug)]
struct Watched<K> {
    latest: watch::Receiver<Seen<Objects<K>>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Seen<T> {
    /// Not yet, or not any more.
    Nothing,
    /// All objects are known.
    Known(T),
    /// The permission is missing.
    Forbidden,
}

impl<T> Seen<T> {
    fn map<U>(&self, known: impl FnOnce(&T) -> U) -> Seen<U> {
        match self {
            Self::Nothing => Seen::Nothing,
            Self::Known(seen) => Seen::Known(known(seen)),
            Self::Forbidden => Seen::Forbidden,
        }
    }
}

/// By name.
type Objects<K> = HashMap<String, Arc<K>>;

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
{
    fn new(api: Api<K>, selector: &str) -> Self {
        let (sender, latest) = watch::channel(Seen::Nothing);
        let params = WatchParams::default()
            .labels(selector)
            .timeout(WATCH_SECONDS);
        let watch = Watch {
            api,
            params,
            sender,
            says_when_complete: true,
            current: Instant::now(),
        };
        let task = tokio::spawn(watch.go_on());
        Self {
            latest,
            _task: AbortOnDropHandle::new(task),
        }
    }

    async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // The task only ends when this is dropped; without it there is nothing to wait for.
            std::future::pending::<()>().await;
        }
    }
}

/// Keeps the objects of one selector current.
struct Watch<K> {
    api: Api<K>,
    params: WatchParams,
    sender: watch::Sender<Seen<Objects<K>>>,
    /// Whether the API server reports when a watch has delivered all initial objects. Before 1.32 it may refuse to.
    says_when_complete: bool,
    /// When the published objects were last current.
    current: Instant,
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    async fn go_on(mut self) {
        let kind = K::kind(&());
        let mut pause = *BACKOFF.start();
        let mut was_refused = false;
        loop {
            let error = match self.once().await {
                // The watch has ended normally. One that ends at once is not restarted at once.
                Ok(()) => {
                    was_refused = false;
                    pause = *BACKOFF.start();
                    self.wait(jittered(pause)).await;
                    continue;
                }
                Err(error) => error,
            };
            match &error {
                // An API server that has just started reports that, too: it is trusted the second time.
                kube::Error::Api(status)
                    if status.code == 403 && !mem::replace(&mut was_refused, true) =>
                {
                    debug!(%kind, %status, "asking again for details");
                    self.wait(ASK_AGAIN).await;
                    continue;
                }
                kube::Error::Api(status) if status.code == 403 => {
                    debug!(%kind, %status, "no permission for details");
                    self.sender.send_replace(Seen::Forbidden);
                    sleep(jittered(FORBIDDEN_PAUSE)).await;
                    continue;
                }
                kube::Error::Api(status)
                    if matches!(status.code, 400 | 422) && self.says_when_complete =>
                {
                    debug!(%kind, %status, "the API server does not say when a watch is complete");
                    self.says_when_complete = false;
                    continue;
                }
                kube::Error::Api(status) if status.code == 410 => {
                    debug!(%kind, %status, "watch expired");
                }
                // A watch that breaks once misses nothing: only a failure to restart it is logged.
                error if pause == *BACKOFF.start() => {
                    debug!(%kind, namespace = self.api.namespace(), %error, "watch interrupted, starting another");
                }
                error => {
                    warn!(%kind, namespace = self.api.namespace(), %error, "watch failed, retrying");
                }
            }
            self.wait(
                jittered(pause).max(retry_after(&error).unwrap_or_default().min(MAX_RETRY_AFTER)),
            )
            .await;
            pause = (pause * 2).min(*BACKOFF.end());
        }
    }

    async fn wait(&self, time: Duration) {
        let (forget, again) = (self.current + MAX_OLD, Instant::now() + time);
        if forget < again {
            sleep_until(forget).await;
            self.forget();
        }
        sleep_until(again).await;
    }

    /// Discards objects that have not been current for a while.
    fn forget(&self) {
        self.sender.send_if_modified(|seen| {
            let is_known = matches!(seen, Seen::Known(_));
            if is_known {
                *seen = Seen::Nothing;
            }
            is_known
        });
    }

    /// Runs one watch. Its objects are published when they are complete, and the previous ones until then.
    async fn once(&mut self) -> kube::Result<()> {
        let params = match self.says_when_complete {
            true => self.params.clone().initial_events(),
            false => self.params.clone(),
        };
        // Without a version, a watch begins with the objects that exist:
        // https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch
        let events = timeout(MAX_OLD, self.api.watch(&params, "")).await;
        let mut events =
            pin!(events.unwrap_or_else(|_| Err(kube::Error::Service("no answer".into())))?);
        let mut objects = Objects::new();
        let mut is_complete = false;
        loop {
            let event = if is_complete {
                events.next().await
            } else if let Ok(event) = timeout(self.quiet(), events.next()).await {
                event
            } else {
                is_complete = true;
                self.show(&objects);
                continue;
            };
            if is_complete {
                self.current = Instant::now();
            }
            match event.transpose()? {
                None => return Ok(()),
                Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    objects.insert(object.name_any(), Arc::new(object));
                }
                Some(WatchEvent::Deleted(object)) => drop(objects.remove(&object.name_any())),
                Some(WatchEvent::Bookmark(bookmark)) => {
                    if is_complete
                        || !bookmark
                            .metadata
                            .annotations
                            .contains_key(INITIAL_EVENTS_END)
                    {
                        continue;
                    }
                    is_complete = true;
                }
                Some(WatchEvent::Error(status)) => return Err(kube::Error::Api(status)),
            }
            if is_complete {
                self.show(&objects);
            }
        }
    }

    /// How long without an event until a watch counts as complete: an older API server does not report that, and
    /// delivers all objects at once.
    fn quiet(&self) -> Duration {
        if self.says_when_complete {
            LONG_QUIET
        } else {
            QUIET
        }
    }

    fn show(&mut self, objects: &Objects<K>) {
        self.current = Instant::now();
        self.sender.send_replace(Seen::Known(objects.clone()));
    }
}

#[cfg(test)]
mod tests;
