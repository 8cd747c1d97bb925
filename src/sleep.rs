//! Decides when an app sleeps, purely from what is known of it and the time.
//!
//! Nothing here reads a clock or keeps state: the caller passes the facts and the time, and asks again in a minute.
//! Absence of information never puts an app to sleep: that takes a [source](verdict) that reports the app as unused, or
//! hours that are over and an operator who wants it asleep then.
//!
//! - [`verdict`]: what the sources report about an app's use, and what follows from all of them together.
//! - [`schedule`]: the hours in which an app is awake.
//! - [`brake`]: how many apps may be put to sleep at a time.
//! - [`decide`]: what to do about an app, from all of these.
//! - [`duration`]: how long, as operators write it.
//! - [`age`], [`moment`]: how long ago something was and when it will be, in words.

pub mod age;
pub mod brake;
pub mod decide;
pub mod duration;
pub mod moment;
pub mod schedule;
pub mod verdict;
