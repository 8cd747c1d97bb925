//! Decides whether an app can be put to sleep without changing its Services, and with which writes.

use std::{collections::BTreeSet, fmt, sync::Arc};

use anyhow::{Context, anyhow, ensure};
use k8s_openapi::{api::discovery::v1::EndpointSlice, jiff::Timestamp};
use kube::api::Patch;
use serde_json::json;
use unidler::{hub::NotIdled, sleep::decide::By};

use super::checks::{NotPlanned, expect_controller, expect_counted, expect_scalable, undone};
use crate::{
    cache::Cached,
    caches::Caches,
    diversion::slice::{self, Record},
    found::Found,
    objects::{PointsAt, Route, Service, Unfit, Workload},
    patch::scale_to_zero,
    settings::ClusterSettings,
    surroundings::Surroundings,
};

/// The writes that put an app to sleep: an `EndpointSlice` for each of its Services, and then scaling its workloads to
/// zero.
#[derive(Debug)]
pub struct SlicePlan {
    pub(super) found: Found,
    slices: Vec<EndpointSlice>,
    /// The workloads to scale to zero, each with its current replicas.
    idled: Vec<(Arc<Cached<Workload>>, u32)>,
    /// The needed workloads that keep their replicas, and why.
    held: Vec<String>,
}

/// Decides whether some Services of a namespace can be put to sleep in this way. Nothing needs a label: the app
/// consists of what its routes point to.
pub(super) fn decide(
    (namespace, names): &(String, BTreeSet<String>),
    caches: &Caches,
    surroundings: &Surroundings,
    settings: &ClusterSettings,
    now: Timestamp,
) -> Result<SlicePlan, NotPlanned> {
    if *namespace == settings.service_namespace && names.contains(&settings.service_name) {
        return Err(anyhow!("it is unidler's own: it cannot wake itself").into());
    }
    let names = caches.with_siblings(namespace, names);
    let names = names.iter().map(String::as_str).collect();
    let found = caches
        .of_services(namespace, &names)
        .map_err(|error| anyhow!("there is no Deployment, StatefulSet or Rollout behind it, nor a workload of a kind that --scalable names: {error}"))?;
    let (asleep, awake): (Vec<_>, Vec<_>) = found
        .services
        .iter()
        .partition(|service| found.leads_here(service));
    if awake.is_empty() && !found.has_needs_to_idle() {
        return Err(NotPlanned::Already);
    }
    // The sweep diverts its visitors.
    if awake.iter().any(|service| found.is_to_adopt(service)) {
        return Err(NotPlanned::Already);
    }
    // An app with the marks of 2020 is woken by means of them.
    if let Some(marked) = asleep
        .iter()
        .find(|service| service.value.points_at == PointsAt::Unidler)
    {
        return Err(anyhow!("a part of it is already idled: {marked} points to unidler").into());
    }
    if let Some(marked) = found.workloads.iter().find(|each| each.value.idled) {
        let why = anyhow!("{marked} is marked as idled: `unidler doctor` says what to do");
        return Err(why.into());
    }
    if let Some(host) = caches.shared(&found) {
        let why = anyhow!(
            "{host} is routed to a part of it and to something else, which would stay awake without that part"
        );
        return Err(why.into());
    }
    for route in &found.routes {
        expect_controller(route, false, caches, surroundings)?;
    }
    for workload in &found.workloads {
        expect_counted(workload)?;
        if let Some(holder) = found
            .holder(workload)
            .filter(|_| workload.value.replicas > 0)
        {
            return Err(anyhow!("{workload} has to stay awake: {holder}. Idle that first").into());
        }
    }
    if let Some(service) = caches.exposed(&found) {
        let why = anyhow!(
            "{service} exposes the same pods outside the cluster without a route: its visitors would get no answer, and could \
             not wake the app. Use a route to a ClusterIP Service instead"
        );
        return Err(why.into());
    }
    for workload in found.to_idle() {
        let Workload { replicas, .. } = workload.value;
        if replicas > settings.max_replicas {
            let why = anyhow!(
                "{workload} has {replicas} replicas, but at most {} would be restored: raise UNIDLER_MAX_REPLICAS on the \
                 server, and pass the same value here with --max-replicas",
                settings.max_replicas
            );
            return Err(why.into());
        }
        expect_scalable(workload, &surroundings.autoscalers)?;
    }
    let slices = slices(&found, &awake, caches, settings, now)?;
    let idled = found.to_idle().into_iter();
    Ok(SlicePlan {
        idled: idled
            .map(|each| (Arc::clone(each), each.value.replicas))
            .collect(),
        held: held(&found),
        slices,
        found,
    })
}

/// The needed workloads that are awake and stay so, and why.
fn held(found: &Found) -> Vec<String> {
    let needs = found.group.needs.iter();
    let held = needs.filter_map(|need| {
        let holder = found.holder(need)?;
        (need.value.replicas > 0).then(|| format!(" {need} stays awake: {holder}."))
    });
    held.collect()
}

/// The Service of the API server.
const KUBERNETES: (&str, &str) = ("default", "kubernetes");

/// The slices for the Services that do not route to unidler yet.
fn slices(
    found: &Found,
    services: &[&Arc<Cached<Service>>],
    caches: &Caches,
    settings: &ClusterSettings,
    now: Timestamp,
) -> anyhow::Result<Vec<EndpointSlice>> {
    let destination = caches.destination(settings).with_context(|| {
        let ClusterSettings {
            service_namespace,
            service_name,
            ..
        } = settings;
        format!(
            "there is no Service {service_namespace}/{service_name} with a cluster IP, so nothing would wake the app: install \
             unidler, or set --service to its Service"
        )
    })?;
    let slice = |service: &&Arc<Cached<Service>>| {
        let Cached {
            namespace, name, ..
        } = &***service;
        ensure!(
            !caches.is_protected(namespace) && (&**namespace, &**name) != KUBERNETES,
            "{service} belongs to the cluster or to unidler itself, which are never idled"
        );
        if let Some(why) = unfit(service, &found.routes) {
            return Err(why);
        }
        let behind = found.behind(service);
        ensure!(
            !behind.is_empty(),
            "there are no replicas behind {service}, so there is nothing to put to sleep. If the app was turned off on purpose, \
             idling it would let visitors turn it on"
        );
        let record = Record::new(found.to_record(service), now, By::Command);
        ensure!(
            record.fits(),
            "there are too many workloads behind {service}, including workers and needed workloads, to record the replicas of \
             each"
        );
        slice::first(service, &destination, &record).with_context(|| {
            format!("unidler's own Service has no address of the IP families of {service}")
        })
    };
    services.iter().map(slice).collect()
}

/// Why the visitors of a Service would not reach unidler through an `EndpointSlice`, if that is the case.
pub(crate) fn unfit(
    service: &Cached<Service>,
    routes: &[Arc<Cached<Route>>],
) -> Option<anyhow::Error> {
    let mut annotated = routes
        .iter()
        .filter_map(|route| Some((route, route.value.unfit?)));
    if let Some((route, annotation)) = annotated.next() {
        return Some(anyhow!(
            "{route} has the annotation {annotation}: its visitors would not reach unidler. Remove it, or idle the app with \
             --handover external-name"
        ));
    }
    let why = match service.value.unfit()? {
        Unfit::ExternalName if service.value.points_at == PointsAt::Unidler => {
            "already points to unidler".to_owned()
        }
        Unfit::ExternalName => {
            "is an ExternalName that points elsewhere: there are no pods behind it to idle"
                .to_owned()
        }
        Unfit::Type(kind) => format!(
            "is of type {kind}: visitors who use its ports or addresses outside the cluster would not reach unidler"
        ),
        Unfit::Headless => {
            "is headless: clients that look up its pods by DNS would find unidler".to_owned()
        }
        Unfit::ExternalIps => {
            "has external IPs: visitors who use them would not reach unidler".to_owned()
        }
        Unfit::NoSelector => "has no selector, so its pods are unknown".to_owned(),
        Unfit::PublishesNotReady => {
            "has publishNotReadyAddresses: unidler could not determine when the app is ready"
                .to_owned()
        }
        Unfit::Annotation(annotation) => {
            format!("has the annotation {annotation}: its visitors would not reach unidler")
        }
        Unfit::Tls(port) => format!(
            "has the port {port}, to which ingress controllers speak TLS, which unidler does not understand"
        ),
    };
    Some(anyhow!(
        "{service} {why}. Route the host to a ClusterIP Service for HTTP with a selector instead"
    ))
}

impl SlicePlan {
    /// The error after it could not be carried out.
    pub(super) fn explained(&self, NotIdled { cause, is_undone }: &NotIdled) -> anyhow::Error {
        if *is_undone {
            return undone(cause);
        }
        anyhow!(
            "{cause}. Its visitors may still reach unidler. unidler's server routes them back within a minute; without a \
             server, run: {}",
            self.removal()
        )
    }

    /// The command that deletes the slices.
    fn removal(&self) -> String {
        let metadata = self.slices.iter().map(|slice| &slice.metadata);
        let namespace = metadata.clone().find_map(|each| each.namespace.as_deref());
        let namespace = namespace.unwrap_or_default();
        let names: Vec<_> = metadata.filter_map(|each| each.name.as_deref()).collect();
        format!(
            "kubectl -n {namespace} delete endpointslice {}",
            names.join(" ")
        )
    }

    /// The message after it was carried out.
    pub(super) fn done(&self) -> String {
        let idled = self.idled.iter();
        let idled = idled
            .map(|(workload, replicas)| format!("scaled {workload} from {replicas} to 0 replicas"));
        let idled: Vec<_> = idled.collect();
        let held = self.held.concat();
        format!("{}. The next visit restores them.{held}", idled.join(", "))
    }

    /// Updates the plan to its outcome. Needed workloads may have been put to sleep in the meantime, with this app or
    /// with another one that needs them.
    pub(super) fn look_again(&mut self, caches: &Caches) {
        let Ok(after) = caches.app(&self.found.id) else {
            return;
        };
        let is_asleep = |workload: &&Arc<Cached<Workload>>| {
            let after = after.workload(&workload.id());
            workload.value.replicas > 0 && after.is_some_and(|after| after.value.replicas == 0)
        };
        let idled = self.found.parts().filter(is_asleep);
        self.idled = idled
            .map(|each| (Arc::clone(each), each.value.replicas))
            .collect();
        self.held = held(&after);
    }
}

/// For a dry run.
impl fmt::Display for SlicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = self.slices.len() + self.idled.len();
        writeln!(
            f,
            "To idle it, unidler would do these {writes} writes. Nothing was written."
        )?;
        for slice in &self.slices {
            let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
            let name = slice.metadata.name.as_deref().unwrap_or_default();
            write!(
                f,
                "\nEndpointSlice {namespace}/{name}:\n{:#}\n",
                json!(slice)
            )?;
        }
        for (workload, _) in &self.idled {
            let (how, scale) = match scale_to_zero(workload) {
                Patch::Apply(scale) => ("applied to", scale),
                Patch::Merge(scale) => ("merged into", scale),
                _ => continue,
            };
            write!(f, "\n{workload}, {how} /scale:\n{scale:#}\n")?;
        }
        Ok(())
    }
}
