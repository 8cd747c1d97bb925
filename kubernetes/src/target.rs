//! Where the Service of an idled app points.

use anyhow::Context;
use unidler::host::Host;

use crate::settings::ClusterSettings;

/// The name and the number of the only port of an idled app's Service.
pub(crate) const PORT: (&str, i32) = ("http", 80);

/// Where the Service of an idled app points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `<name>.<namespace>.svc.<domain>`.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

impl Target {
    /// Parses an address inside the cluster ([Kubernetes: DNS for Services]), which must be that of unidler's Service:
    /// otherwise unidler would not recognize an app that points there.
    ///
    /// # Errors
    ///
    /// If it is another address, with a description of valid ones.
    ///
    /// [Kubernetes: DNS for Services]: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#services
    pub fn parse(address: Option<&str>, settings: &ClusterSettings) -> anyhow::Result<Self> {
        let ClusterSettings {
            service_name: service,
            cluster_domain: domain,
            ..
        } = settings;
        let address = address.map_or_else(
            || format!("{service}.unidler.svc.{domain}"),
            str::to_ascii_lowercase,
        );
        let own = settings.own_service();
        let namespace = own
            .namespace_in(&address)
            .filter(|_| Host::parse(&address).is_ok())
            .map(ToOwned::to_owned);
        let namespace = namespace.with_context(|| {
            format!(
                "`{address}` is not the address of a Service `{service}`: write --unidler-host {service}.NAMESPACE.svc.{domain}, \
                 or name unidler's Service with --service and the cluster's domain with --cluster-domain, as its server has them"
            )
        })?;
        Ok(Self {
            address,
            name: service.to_owned(),
            namespace,
        })
    }
}
