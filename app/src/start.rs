//! What the island starts from, so that server and browser draw the same tree.
//!
//! It travels as the attribute `data-start` of the document's body and not as properties of the island: what leptos needs for
//! those would weigh a fifth of the module.

use serde::{Deserialize, Serialize};
use unidler::progress::Progress;

use crate::{
    api::{FILES, WAKE},
    words::Language,
};

/// What the island starts from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Where the app stands.
    pub progress: Progress,
    /// The language of the visitor.
    pub language: Language,
    /// The time, for people.
    pub now: String,
    /// Where from the page to find what is ours, such as `./x/_unidler`: a relative reference without slash at its end, since
    /// an ingress may have stripped a part of the page's address.
    pub reserved: String,
    /// The page's own address for the forms on it, as `/x?y=z`, for where nothing else says where they come from. In the browser
    /// it is in the forms already.
    #[serde(skip)]
    pub way_back: String,
    /// Whether the app waits for a visitor who presses the button. The loader has that as an attribute.
    #[serde(skip)]
    pub waits: bool,
    /// When the app wakes by itself, if it sleeps and that is known.
    #[serde(skip)]
    pub wakes: Option<String>,
    /// Whether the visitor has sent something that cannot arrive, since the app is not there: a form, for example.
    pub lost_post: bool,
}

impl Start {
    /// Where a form posts to, to start the app or to try again after a failure.
    #[must_use]
    pub fn wake_url(&self) -> String {
        format!("{}/{WAKE}?{}", self.reserved, self.way_back)
    }

    /// The address of a file of the page.
    #[must_use]
    pub fn file_url(&self, name: &str) -> String {
        format!("{}/{FILES}{name}", self.reserved)
    }

    /// The one of this page, on the server.
    #[cfg(not(feature = "hydrate"))]
    pub(crate) fn of_page() -> Self {
        leptos::prelude::expect_context()
    }

    /// The one of this page, in the browser.
    ///
    /// # Panics
    ///
    /// If it is not there or of another version. The loader then does without the module.
    #[cfg(feature = "hydrate")]
    pub(crate) fn of_page() -> Self {
        let body = leptos::prelude::document().body();
        let json = body.and_then(|body| body.get_attribute("data-start"));
        json.and_then(|json| from_json(&json))
            .expect("the page to carry what it starts from")
    }
}

/// Reads what the server wrote. The usual parser would weigh ten times as much.
#[cfg(feature = "hydrate")]
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    // A title may have something in it that JSON escapes.
    let mut unescaped = [0; 1024];
    serde_json_core::from_str_escaped(json, &mut unescaped)
        .ok()
        .map(|(value, _)| value)
}
