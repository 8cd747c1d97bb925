//! The ways to divert the visitors of a Service: one file for each way that takes more than a patch.

pub(crate) mod slice;

use crate::target::Target;

/// How to divert the visitors of an app that is put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// With an `EndpointSlice` of unidler's own, which leaves the Service unchanged.
    Slice,
    /// By making the Service an `ExternalName`, as the idler of 2020 does.
    ExternalName(Target),
}
