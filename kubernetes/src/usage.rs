//! The known facts about the use of apps, each source in a file of its own. [`unidler::sleep`] decides what follows
//! from them.

pub(crate) mod activity;
pub mod cpu;
pub mod requests;
mod ways;

pub use self::ways::{Served, Ways};
