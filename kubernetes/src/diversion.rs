//! What leads the visitors of a Service here: one file for each way that has more to it than a patch.

pub(crate) mod slice;

use crate::target::Target;

/// How the visitors of an app that is put to sleep are led here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// By an `EndpointSlice` of unidler's own, with the Service left as it is.
    Slice,
    /// By making the Service an `ExternalName`, as the idler of 2020 does.
    ExternalName(Target),
}
