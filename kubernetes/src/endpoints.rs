//! The pods of a Service according to the `EndpointSlice`s of the cluster.

use std::net::SocketAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::ResourceExt;

use crate::{diversion::slice::MANAGED_BY, reachable::Ports};

/// The manager of pod endpoints, as in the label [`MANAGED_BY`].
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// Whether a slice is managed by the cluster itself, for the pods that a Service selects.
pub(crate) fn is_of_controller(slice: &EndpointSlice) -> bool {
    slice
        .labels()
        .get(MANAGED_BY)
        .is_some_and(|manager| manager == CONTROLLER)
}

/// The endpoints of a slice that are pods, with the UIDs of those.
pub(crate) fn endpoints_in(slice: &EndpointSlice) -> impl Iterator<Item = (&str, &Endpoint)> {
    slice.endpoints.iter().filter_map(|endpoint| {
        let mut target = endpoint.target_ref.iter();
        let pod = target.find(|target| target.kind.as_deref() == Some("Pod"))?;
        Some((pod.uid.as_deref()?, endpoint))
    })
}

/// The addresses and ports of an endpoint. Its addresses are interchangeable.
pub(crate) fn addresses(slice: &EndpointSlice, endpoint: &Endpoint) -> Ports {
    let address = endpoint.addresses.first();
    let Some(address) = address.and_then(|address| address.parse().ok()) else {
        return Ports::default();
    };
    let ports = slice.ports.iter().flatten();
    let is_tcp = |port: &&EndpointPort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let at = |port: &EndpointPort| {
        let number = u16::try_from(port.port?).ok()?;
        let name = port.name.as_deref().unwrap_or_default();
        Some((name.into(), SocketAddr::new(address, number)))
    };
    ports.filter(is_tcp).filter_map(at).collect()
}

/// The state of an endpoint according to its conditions.
pub(crate) enum State {
    Ready,
    /// Its pod is terminating, and still serves.
    Draining,
    /// Its pod is terminating, and no longer serves.
    Gone,
    /// Its pod is not ready.
    Silent,
}

/// An absent condition means ready, and not terminating:
/// <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>.
pub(crate) fn state(endpoint: &Endpoint) -> State {
    let EndpointConditions {
        ready,
        serving,
        terminating,
    } = endpoint.conditions.clone().unwrap_or_default();
    let is_ready = ready.unwrap_or(true);
    match terminating.unwrap_or_default() {
        false if is_ready => State::Ready,
        false => State::Silent,
        true if serving.unwrap_or(is_ready) => State::Draining,
        true => State::Gone,
    }
}
