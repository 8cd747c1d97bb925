//! What is known of the use of apps, each source in a file of its own. What follows from it is for
//! [`unidler::sleep`] to say.

pub(crate) mod activity;
pub mod cpu;
pub mod requests;
mod ways;

pub use self::ways::{Served, Ways};
