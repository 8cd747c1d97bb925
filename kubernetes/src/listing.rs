//! The kinds that apps consist of, listed once.

use crate::caches::Caches;

/// All objects that apps can consist of, as the server would cache them.
#[derive(Debug)]
pub struct Listing(pub(crate) Caches);
