//! The kinds that apps are made of, listed once.

use crate::caches::Caches;

/// All objects that apps can be made of, as the server would know them.
#[derive(Debug)]
pub struct Listing(pub(crate) Caches);
