//! The Gateway API kinds that routes need, with only the fields that are used. The crate `gateway-api` has all of them,
//! but for another version of the client.

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Deserialize;

use super::resource::resource;

/// The group of these kinds.
pub(crate) const GROUP: &str = "gateway.networking.k8s.io";

resource!(
    HttpRoute,
    NamespaceResourceScope,
    "HTTPRoute",
    "httproutes",
    GROUP,
    "v1"
);
resource!(
    Gateway,
    NamespaceResourceScope,
    "Gateway",
    "gateways",
    GROUP,
    "v1"
);
resource!(
    GatewayClass,
    ClusterResourceScope,
    "GatewayClass",
    "gatewayclasses",
    GROUP,
    "v1"
);
resource!(
    ReferenceGrant,
    NamespaceResourceScope,
    "ReferenceGrant",
    "referencegrants",
    GROUP,
    "v1beta1"
);

/// An [HTTPRoute](https://gateway-api.sigs.k8s.io/reference/spec/#httproute).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HttpRoute {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: HttpRouteSpec,
    pub(crate) status: HttpRouteStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HttpRouteSpec {
    pub(crate) parent_refs: Vec<ParentRef>,
    pub(crate) hostnames: Vec<String>,
    pub(crate) rules: Vec<HttpRouteRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ParentRef {
    pub(crate) group: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) section_name: Option<String>,
    pub(crate) port: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HttpRouteRule {
    pub(crate) backend_refs: Vec<BackendRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BackendRef {
    pub(crate) group: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) port: Option<i32>,
    pub(crate) weight: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HttpRouteStatus {
    pub(crate) parents: Vec<ParentStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ParentStatus {
    pub(crate) parent_ref: ParentRef,
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
}

/// A [Gateway](https://gateway-api.sigs.k8s.io/reference/spec/#gateway).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Gateway {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: GatewaySpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct GatewaySpec {
    pub(crate) gateway_class_name: String,
    pub(crate) listeners: Vec<Listener>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) hostname: Option<String>,
    pub(crate) port: i32,
    pub(crate) protocol: String,
    pub(crate) allowed_routes: AllowedRoutes,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AllowedRoutes {
    pub(crate) namespaces: RouteNamespaces,
    pub(crate) kinds: Vec<GroupKind>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RouteNamespaces {
    pub(crate) from: Option<String>,
}

/// A kind of object, optionally limited to one namespace or one name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GroupKind {
    pub(crate) group: Option<String>,
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
}

/// A [GatewayClass](https://gateway-api.sigs.k8s.io/reference/spec/#gatewayclass).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GatewayClass {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: GatewayClassSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct GatewayClassSpec {
    pub(crate) controller_name: String,
}

/// A [ReferenceGrant](https://gateway-api.sigs.k8s.io/reference/spec/#referencegrant).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReferenceGrant {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: ReferenceGrantSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReferenceGrantSpec {
    pub(crate) from: Vec<GroupKind>,
    pub(crate) to: Vec<GroupKind>,
}
