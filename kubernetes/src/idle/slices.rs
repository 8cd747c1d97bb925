//! Whether an app can be put to sleep with its Services left as they are, and what that would write.

use std::fmt;

use anyhow::{Context, anyhow, bail, ensure};
use k8s_openapi::{api::discovery::v1::EndpointSlice, jiff::Timestamp};
use serde_json::json;
use unidler::{host::Host, hub::NotIdled};

use super::apply::{Idler, undone};
use crate::{
    cache::Cached,
    caches::Caches,
    diversion::{
        Handover,
        slice::{self, Record, Recorded, Slice},
    },
    found::Found,
    listing::Listing,
    objects::{PointsAt, Service, Unfit},
    patch::scale_to_zero,
    settings::ClusterSettings,
};

/// What puts an app to sleep: an `EndpointSlice` for each of its Services, and then no replicas for its workloads.
#[derive(Debug)]
pub struct SlicePlan {
    host: Host,
    found: Found,
    slices: Vec<EndpointSlice>,
}

/// Decides whether an app can be put to sleep in this way. Nothing needs a label: the app is what the host leads to.
///
/// # Errors
///
/// If it cannot, in words that say what to do.
pub fn plan(
    host: &Host,
    Listing(caches): &Listing,
    settings: &ClusterSettings,
    now: Timestamp,
) -> anyhow::Result<SlicePlan> {
    decide(host, caches, settings, now)
}

fn decide(
    host: &Host,
    caches: &Caches,
    settings: &ClusterSettings,
    now: Timestamp,
) -> anyhow::Result<SlicePlan> {
    let (namespace, names) = caches.services_of(host).with_context(|| {
        format!("no Ingress leads {host} to a Service: `kubectl get ingress -A` shows which hosts there are")
    })?;
    ensure!(
        namespace != settings.service_namespace || !names.contains(&settings.service_name),
        "{host} is unidler's own host: it cannot wake itself"
    );
    let names = names.iter().map(String::as_str).collect();
    let found = caches.of_services(&namespace, &names).map_err(|error| {
        anyhow!("there is no Deployment and no StatefulSet behind {host}: {error}")
    })?;
    ensure!(
        !found.is_here() && !found.is_idled(),
        "{host} is idled already: `unidler status` lists what is"
    );
    for route in &found.routes {
        if let Some(annotation) = route.value.unfit {
            bail!(
                "{route} has the annotation {annotation}: its visitors would not reach unidler. Take it off, or idle the app with \
                 --handover external-name"
            );
        }
    }
    let destination = caches.destination(settings).with_context(|| {
        let ClusterSettings {
            service_namespace,
            service_name,
            ..
        } = settings;
        format!(
            "there is no Service {service_namespace}/{service_name} with a cluster IP, so nobody would wake the app: install \
             unidler, or say with --service where it is"
        )
    })?;
    let mut slices = Vec::new();
    for service in &found.services {
        fit(service)?;
        let behind = found.behind(service);
        ensure!(
            !behind.is_empty(),
            "there are no replicas behind {service}: nothing to put to sleep. If somebody has switched the app off, a visitor \
             would switch it on"
        );
        for workload in &behind {
            ensure!(
                workload.value.replicas <= settings.max_replicas,
                "{workload} has {} replicas, and an app is given back {} at most: raise UNIDLER_MAX_REPLICAS of the server, and \
                 give the same number here with --max-replicas",
                workload.value.replicas,
                settings.max_replicas
            );
        }
        let record = Record::new(behind.into_iter().map(Recorded::of).collect(), now, "cli");
        let slice = slice::first(service, &destination, &record).with_context(|| {
            format!("unidler's own Service has no address of the families of {service}")
        })?;
        slices.push(slice);
    }
    Ok(SlicePlan {
        host: host.clone(),
        found,
        slices,
    })
}

fn fit(service: &Cached<Service>) -> anyhow::Result<()> {
    let why = match service.value.unfit() {
        None => return Ok(()),
        Some(Unfit::ExternalName) if service.value.points_at == PointsAt::Unidler => {
            "leads to unidler already".to_owned()
        }
        Some(Unfit::ExternalName) => {
            "is an ExternalName that leads elsewhere: there are no pods behind it to idle"
                .to_owned()
        }
        Some(Unfit::Type(kind)) => format!(
            "is of type {kind}: who comes through its ports or addresses outside of the cluster would not reach unidler"
        ),
        Some(Unfit::Headless) => {
            "is headless: those who look its pods up by DNS would find unidler".to_owned()
        }
        Some(Unfit::ExternalIps) => {
            "has external IPs: who comes through those would not reach unidler".to_owned()
        }
        Some(Unfit::NoSelector) => "has no selector: nothing says which its pods are".to_owned(),
        Some(Unfit::PublishesNotReady) => {
            "has publishNotReadyAddresses: nobody could tell when the app is ready".to_owned()
        }
        Some(Unfit::Tls(port)) => format!(
            "has the port {port}, to which ingress controllers speak TLS: unidler would not understand them"
        ),
    };
    bail!(
        "{service} {why}. Let the host lead to an ordinary Service for HTTP (type ClusterIP, with a selector) instead"
    )
}

impl SlicePlan {
    /// Puts the app to sleep, or leaves it as it was; and says what was planned at the last moment, since the app may have
    /// changed after the first look.
    ///
    /// # Errors
    ///
    /// If the app is not asleep afterwards, in words that say what it is.
    pub async fn apply(&self, settings: &ClusterSettings) -> anyhow::Result<Self> {
        let idler = Idler::start(settings, Handover::Slice).await?;
        let plan = decide(&self.host, idler.caches(), settings, Timestamp::now())?;
        match idler.idle(&plan.found.id).await {
            Ok(()) => Ok(plan),
            Err(NotIdled {
                cause,
                is_undone: true,
            }) => Err(undone(&cause)),
            Err(NotIdled { cause, .. }) => Err(anyhow!(
                "{cause}. Visitors of {} may still reach unidler. Its server leads them back within a minute; where none runs, \
                 delete what leads them there: {}",
                self.host,
                self.removal()
            )),
        }
    }

    /// The command that takes the slices away.
    fn removal(&self) -> String {
        let namespaces = self.found.services.first();
        let namespace = namespaces.map_or("", |service| &service.namespace);
        let services = self.found.services.iter();
        let names: Vec<_> = services
            .map(|service| Slice::name_of(&service.name))
            .collect();
        format!(
            "kubectl -n {namespace} delete endpointslice {}",
            names.join(" ")
        )
    }

    /// What is said when it is carried out.
    #[must_use]
    pub fn done(&self) -> String {
        let workloads = self.idled().map(|workload| {
            format!(
                "{workload} has 0 replicas and gets {} back",
                workload.value.replicas
            )
        });
        let workloads: Vec<_> = workloads.collect();
        format!(
            "Idled {}: {} when somebody visits it.",
            self.host,
            workloads.join(", ")
        )
    }

    /// The workloads that lose their replicas.
    fn idled(&self) -> impl Iterator<Item = &Cached<crate::objects::Workload>> {
        let workloads = self.found.workloads.iter().map(|workload| &**workload);
        workloads.filter(|workload| workload.value.replicas > 0)
    }
}

/// For a dry run.
impl fmt::Display for SlicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = self.slices.len() + self.idled().count();
        writeln!(
            f,
            "To idle {}, these {writes} writes would be done. Nothing was.",
            self.host
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
        for workload in self.idled() {
            write!(
                f,
                "\n{workload}, applied to /scale:\n{:#}\n",
                scale_to_zero(workload)
            )?;
        }
        Ok(())
    }
}
