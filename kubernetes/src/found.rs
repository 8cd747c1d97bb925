//! The objects of an app.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use unidler::{
    app::{AppId, ObjectId, Version},
    host::Host,
};

use crate::{
    cache::Cached,
    diversion::slice::{Recorded, Slice},
    objects::{Backend, PointsAt, Route, Service, ServiceWhenUnidled, Uncertain, Workload},
};

/// The objects of an app: its Services and workloads are all in one namespace, where its routes need not be.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its name. It stays the same whatever happens to the objects, and names them in the log.
    pub(crate) id: AppId,
    /// Who may visit it: those that lead to its Services.
    pub(crate) routes: Vec<Arc<Cached<Route>>>,
    /// Where a route leads.
    pub(crate) services: Vec<Arc<Cached<Service>>>,
    /// What runs behind them.
    pub(crate) workloads: Vec<Arc<Cached<Workload>>>,
    /// The slices of unidler's own that its Services have, and others that say how many replicas its workloads had.
    pub(crate) slices: Vec<Arc<Cached<Slice>>>,
}

impl Found {
    /// The Service that the engine calls by this name.
    pub(crate) fn service(&self, id: &ObjectId) -> Option<&Cached<Service>> {
        let mut services = self.services.iter();
        services
            .find(|service| service.id() == *id)
            .map(|service| &**service)
    }

    /// The workload that the engine calls by this name.
    pub(crate) fn workload(&self, id: &ObjectId) -> Option<&Cached<Workload>> {
        let mut workloads = self.workloads.iter();
        workloads
            .find(|workload| workload.id() == *id)
            .map(|workload| &**workload)
    }

    /// Whether a workload is idled.
    pub(crate) fn is_idled(&self) -> bool {
        let mut workloads = self.workloads.iter();
        workloads.any(|workload| workload.value.idled || self.recorded(workload).is_some())
    }

    /// Whether a Service leads to unidler.
    pub(crate) fn is_here(&self) -> bool {
        let mut services = self.services.iter();
        services.any(|service| self.leads_here(service))
    }

    /// Whether one of its Services leads to unidler, in whichever way.
    pub(crate) fn leads_here(&self, service: &Cached<Service>) -> bool {
        service.value.points_at == PointsAt::Unidler || self.diverting(service).is_some()
    }

    /// The slice of unidler's own that a Service has.
    pub(crate) fn slice(&self, service: &Cached<Service>) -> Option<&Cached<Slice>> {
        let mut slices = self.slices.iter();
        let own = slices.find(|slice| *slice.value.service == *service.name);
        own.map(|slice| &**slice)
    }

    /// The same, if it leads the visitors of the Service here. It has no effect on an `ExternalName`.
    pub(crate) fn diverting(&self, service: &Cached<Service>) -> Option<&Cached<Slice>> {
        self.slice(service)
            .filter(|slice| service.value.points_at == PointsAt::Pods && slice.value.diverts())
    }

    /// Whether whatever endpoints a Service has are none of an app that is up.
    pub(crate) fn is_down(&self, service: &Cached<Service>) -> bool {
        let mut workloads = self.workloads.iter();
        match service.value.points_at {
            PointsAt::Unidler => true,
            PointsAt::Pods => {
                self.diverting(service).is_some()
                    && workloads.all(|workload| workload.value.replicas == 0)
            }
            PointsAt::Elsewhere => false,
        }
    }

    /// What a workload was before it was idled, if a slice that leads visitors here says so.
    pub(crate) fn recorded(&self, workload: &Cached<Workload>) -> Option<&Recorded> {
        let diverting = self
            .services
            .iter()
            .filter_map(|service| self.diverting(service));
        let records = diverting.filter_map(|slice| slice.value.record.as_deref());
        let mut workloads = records.flat_map(|record| &record.workloads);
        workloads.find(|recorded| recorded.workload.is_of(workload))
    }

    /// How many replicas a workload had until unidler took them: as any slice has it, else as far as the workload itself shows.
    pub(crate) fn taken(&self, workload: &Cached<Workload>) -> Option<u32> {
        let own = workload.value.taken?;
        let slices = self.slices.iter();
        let recorded = slices.flat_map(|slice| slice.value.recorded());
        let named = recorded.filter(|recorded| recorded.workload.is_of(workload));
        Some(named.map(|recorded| recorded.replicas).max().unwrap_or(own))
    }

    /// How many replicas a workload gets back that unidler or another idler has put to sleep.
    pub(crate) fn replicas_to_restore(&self, workload: &Cached<Workload>, max: u32) -> Option<u32> {
        let recorded = self.recorded(workload).map(|recorded| recorded.replicas);
        match recorded {
            None if workload.value.idled => Some(workload.value.replicas_to_restore(max)),
            recorded => recorded
                .or_else(|| self.taken(workload))
                .map(|replicas| replicas.clamp(1, max)),
        }
    }

    /// The workloads whose pods a Service selects and that have replicas, or had them until unidler took them.
    pub(crate) fn behind(&self, service: &Cached<Service>) -> Vec<&Cached<Workload>> {
        let workloads = self.workloads.iter().map(|workload| &**workload);
        let is_behind = |workload: &Workload| {
            (workload.replicas > 0 || workload.taken.is_some())
                && workload.lacks(&service.value.selector).is_none()
        };
        workloads
            .filter(|workload| is_behind(&workload.value))
            .collect()
    }

    /// What a slice has to record of them.
    pub(crate) fn to_record(&self, service: &Cached<Service>) -> Vec<Recorded> {
        let record = |workload: &Cached<Workload>| {
            let replicas = self.taken(workload).unwrap_or(workload.value.replicas);
            Recorded::new(workload, replicas)
        };
        self.behind(service).into_iter().map(record).collect()
    }

    /// Whether the app behind a Service sleeps because of unidler, and nothing leads its visitors here any more.
    pub(crate) fn is_lost(&self, service: &Cached<Service>) -> bool {
        let behind = self.behind(service);
        service.value.points_at == PointsAt::Pods
            && self.diverting(service).is_none()
            && !behind.is_empty()
            && behind.iter().all(|workload| workload.value.taken.is_some())
    }

    /// The version of a Service, with that of its slice.
    pub(crate) fn version(&self, service: &Cached<Service>) -> Version {
        let Version(own) = service.value.version();
        match self.slice(service) {
            Some(slice) => Version(format!("{own}+{}", slice.value.version())),
            None => Version(own),
        }
    }

    /// What one of its Services has to point at when the app is awake, if that is certain: for each workload the same.
    pub(crate) fn when_unidled(&self, service: &Service) -> Result<ServiceWhenUnidled, Uncertain> {
        let workloads = self.workloads.iter();
        let mut possible = workloads.map(|workload| service.when_unidled(&workload.value));
        match possible.next() {
            Some(first) if possible.all(|other| other == first) => first,
            _ => Err(Uncertain::Pods),
        }
    }

    /// The address inside the cluster that a host leads to, if that is a single one.
    pub(crate) fn address(&self, host: &Host) -> Option<SocketAddr> {
        let exact = self.backends(host, true);
        let backends = if exact.is_empty() {
            self.backends(host, false)
        } else {
            exact
        };
        let mut addresses = self.services.iter().filter_map(|service| {
            let own = backends
                .iter()
                .filter(|backend| backend.is_of(&service.namespace, &service.name));
            let mut ports = own.map(|backend| &backend.port).peekable();
            ports.peek()?;
            // As long as a slice leads here, so does the address of the Service.
            let is_diverted = self.diverting(service).is_some();
            Some(service.value.address(ports).filter(|_| !is_diverted))
        });
        let first = addresses.next()??;
        addresses.all(|other| other == Some(first)).then_some(first)
    }

    /// Where the rules of a host lead: those with exactly this host, or the wildcards.
    fn backends(&self, host: &Host, is_exact: bool) -> Vec<&Backend> {
        let rules = self.routes.iter().flat_map(|route| {
            let rules = route.value.rules.iter();
            rules.filter(|rule| route.value.serves(rule, host))
        });
        rules
            .filter(|rule| (rule.host == host.as_str()) == is_exact)
            .flat_map(|rule| &rule.backends)
            .filter(|backend| self.has(backend))
            .collect()
    }

    /// Whether it is led to one of the app's Services.
    fn has(&self, backend: &Backend) -> bool {
        let mut services = self.services.iter();
        services.any(|service| backend.is_of(&service.namespace, &service.name))
    }

    /// The hosts that lead to the app, wildcards included.
    pub(crate) fn hosts(&self) -> BTreeSet<&str> {
        let rules = self.routes.iter().flat_map(|route| &route.value.rules);
        let own = rules.filter(|rule| rule.backends.iter().any(|backend| self.has(backend)));
        own.map(|rule| rule.host.as_str()).collect()
    }

    /// What people call it.
    pub(crate) fn title(&self) -> Option<String> {
        let routes = self.routes.iter().map(|route| &route.value.title);
        let services = self.services.iter().map(|service| &service.value.title);
        let workloads = self.workloads.iter().map(|workload| &workload.value.title);
        routes
            .chain(services)
            .chain(workloads)
            .flatten()
            .next()
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::OwnService;

    /// Two Services, `web` and `api`, each with a workload of the same name.
    fn two(service_annotations: &Value) -> Found {
        fn cached<T>(name: &str, value: T) -> Arc<Cached<T>> {
            Arc::new(Cached {
                namespace: "team".into(),
                name: name.into(),
                key: None,
                value,
            })
        }
        fn object<K: serde::de::DeserializeOwned>(json: Value) -> K {
            serde_json::from_value(json).expect("an object")
        }
        let own = OwnService {
            name: "unidler".into(),
            domain: "cluster.local".into(),
        };
        let service = |(name, ip): (&str, &str)| {
            let ports = json!([{ "name": "http", "port": 80 }]);
            let json = json!({
                "metadata": { "annotations": service_annotations },
                "spec": { "clusterIP": ip, "selector": { "app": name }, "ports": ports },
            });
            cached(name, Service::parse(object(json), &own))
        };
        let workload = |name: &str| {
            let labels = json!({ "app": name });
            let spec = json!({ "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } });
            cached(
                name,
                Workload::parse(object(json!({ "spec": spec })), "unidler"),
            )
        };
        let rule = |host: &str, services: &[&str]| {
            let path = |name: &&str| json!({ "backend": { "service": { "name": name, "port": { "name": "http" } } } });
            json!({ "host": host, "http": { "paths": services.iter().map(path).collect::<Value>() } })
        };
        let rules = json!([
            rule("*.example", &["web", "another"]),
            rule("api.example", &["api"]),
            rule("both.example", &["web", "api"]),
        ]);
        Found {
            id: AppId::new("team/two"),
            routes: vec![cached(
                "two",
                Route::of_ingress(object(
                    json!({ "metadata": { "namespace": "team" }, "spec": { "rules": rules } }),
                )),
            )],
            services: [("web", "10.0.0.1"), ("api", "10.0.0.2")]
                .map(service)
                .into(),
            workloads: ["web", "api"].map(workload).into(),
            slices: Vec::new(),
        }
    }

    #[test]
    fn the_engine_names_the_objects() {
        let found = two(&json!({}));
        let service = found.service(&ObjectId::new("Service team/api"));
        assert_eq!(service.map(|service| &*service.name), Some("api"));
        let workload = found.workload(&ObjectId::new("Deployment team/web"));
        assert_eq!(workload.map(|workload| &*workload.name), Some("web"));
        assert!(found.workload(&ObjectId::new("Service team/web")).is_none());
        assert!(found.service(&ObjectId::new("Service other/web")).is_none());
    }

    #[test]
    fn a_host_of_several_services_has_no_single_address() {
        let address = |host: &str| {
            let address = two(&json!({})).address(&Host::parse(host).expect("a host"));
            address.map(|address| address.to_string())
        };
        assert_eq!(address("any.example").as_deref(), Some("10.0.0.1:80"));
        assert_eq!(address("api.example").as_deref(), Some("10.0.0.2:80"));
        assert_eq!(address("both.example"), None);
        assert_eq!(address("elsewhere.test"), None);
    }

    #[test]
    fn what_a_service_has_not_kept_follows_from_one_workload_alone() {
        let kept = json!({ "selector": { "app": "web" }, "ports": [{ "port": 80 }] });
        let annotation = json!({ crate::objects::SERVICE_WHEN_UNIDLED: kept.to_string() });
        let found = two(&annotation);
        let restored = found.when_unidled(&found.services[0].value);
        assert_eq!(restored.map(|service| json!(service)), Ok(kept));

        let mut found = two(&json!({}));
        let restored = |found: &Found| found.when_unidled(&found.services[0].value);
        assert_eq!(restored(&found), Err(Uncertain::Pods));
        found.workloads.truncate(1);
        assert!(restored(&found).is_ok());
        found.workloads.clear();
        assert_eq!(restored(&found), Err(Uncertain::Pods));
    }
}
