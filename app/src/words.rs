//! The texts of the page, by language.
//!
//! A language is one file with one [`Words`], and its line in [`Language`]; a missing text does not compile.

mod cy;
mod en;
mod language;

use unidler::progress::{Reason, Step};

pub use self::language::Language;

/// Every text on the page.
#[derive(Debug)]
pub struct Words {
    /// The heading before the wake-up starts.
    pub asleep: Named,
    /// What to expect then.
    pub asleep_lead: &'static str,
    /// The heading while the app wakes up.
    pub waking: Named,
    /// What to expect then.
    pub waking_lead: &'static str,
    /// The heading while the browser waits for the app to respond.
    pub ready: Named,
    /// What to expect then.
    pub ready_lead: &'static str,
    /// What to expect then if the app was awake all along.
    pub already_awake_lead: &'static str,
    /// What to expect when the app's address still routes to unidler after a minute.
    pub not_reachable_lead: &'static str,
    /// What to do when opening the app led back here too often.
    pub held_lead: &'static str,
    /// What to do when the app responds, but the page has not been left.
    pub stayed_lead: &'static str,
    /// The heading after a failure.
    pub failed: Named,
    /// The heading if there is no such app.
    pub not_found: Named,
    /// Shown while nothing gets through to the server.
    pub reconnecting: &'static str,
    /// Shown when the server has turned the visitor away because of its limits.
    pub crowded: &'static str,
    /// Shown when the server has refused to start the app.
    pub refused: &'static str,
    /// Shown when the visitor has submitted a form to the sleeping app.
    pub lost_post: &'static str,
    /// The button that submits that form again.
    pub resend: &'static str,
    /// The name of the list of steps.
    pub steps: &'static str,
    /// The name of the progress bar.
    pub bar: &'static str,
    /// The button that starts the wake-up where the page does not start it by itself.
    pub start: &'static str,
    /// When the app wakes by itself, in the place of `{}`.
    pub wakes: &'static str,
    /// The button that tries again.
    pub retry: &'static str,
    /// The link that loads the page again where no script does.
    pub check: &'static str,
    /// The link that opens the app's address.
    pub open: &'static str,
    /// The label of the reference id.
    pub reference: &'static str,
    /// The label of the host.
    pub host: &'static str,
    /// The name of a step.
    pub step: fn(Step) -> &'static str,
    /// The explanation of a problem.
    pub reason: fn(Reason) -> Explanation,
    /// A length of time, in seconds.
    pub duration: fn(u64) -> String,
    /// How long it usually takes, in seconds.
    pub usually: fn(u64) -> String,
    /// Shown when it takes longer than usual, with what is still under way.
    pub longer: fn(Step) -> &'static str,
    /// The button that copies the reference, the address and the time.
    pub copy: &'static str,
    /// Its text afterwards.
    pub copied: &'static str,
    /// The button that asks for a notification.
    pub tell: &'static str,
    /// Its text afterwards.
    pub will_tell: &'static str,
    /// The notification.
    pub up: Named,
    /// The label of the time.
    pub time: &'static str,
    /// How often the app has restarted.
    pub restarts: fn(u32) -> String,
    /// How many parts of the app are up, of how many.
    pub parts: fn(u32, u32) -> String,
}

/// A text about the app, with and without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The text for an app without a name.
    pub plain: &'static str,
    /// The text for an app with one, which replaces `{}`.
    pub named: &'static str,
}

impl Named {
    /// The text for an app of this name, which may be written in the other direction.
    #[must_use]
    pub fn of(self, name: Option<&str>) -> String {
        match name {
            Some(name) => self
                .named
                .replacen("{}", &format!("\u{2068}{name}\u{2069}"), 1),
            None => self.plain.to_owned(),
        }
    }
}

/// A problem, in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What happened.
    pub what: &'static str,
    /// What to do, and whether waiting helps.
    pub advice: &'static str,
}
