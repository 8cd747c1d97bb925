//! The initial state of the island, which makes server and browser render the same tree.
//!
//! It is passed in the attribute `data-start` of the document's body and not as properties of the island: the code that
//! leptos needs for those would make up a fifth of the module.

use serde::{Deserialize, Serialize};
use unidler::progress::Progress;

use crate::{
    api::{FILES, WAKE},
    words::Language,
};

/// The initial state of the island.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The progress of the wake-up.
    pub progress: Progress,
    /// The language of the visitor.
    pub language: Language,
    /// The current time, in a human-readable format.
    pub now: String,
    /// The path from the page to unidler's own resources, such as `./x/_unidler`: a relative reference without a
    /// trailing slash, since an ingress may have stripped a part of the page's address.
    pub reserved: String,
    /// The page's own address for its forms, as `/x?y=z`, in case no header shows where they come from. In the browser
    /// the forms already have it.
    #[serde(skip)]
    pub way_back: String,
    /// Whether the app waits for a visitor to press the button. The loader has this as an attribute.
    #[serde(skip)]
    pub waits: bool,
    /// When the app wakes by itself, if it sleeps and that is known.
    #[serde(skip)]
    pub wakes: Option<String>,
    /// Whether the visitor has sent something that cannot arrive because the app is not running, such as a form.
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

    /// The state of this page, on the server.
    #[cfg(not(feature = "hydrate"))]
    pub(crate) fn of_page() -> Self {
        leptos::prelude::expect_context()
    }

    /// The state of this page, in the browser.
    ///
    /// # Panics
    ///
    /// If it is absent or belongs to another version. The loader then works without the module.
    #[cfg(feature = "hydrate")]
    pub(crate) fn of_page() -> Self {
        let body = leptos::prelude::document().body();
        let json = body.and_then(|body| body.get_attribute("data-start"));
        json.and_then(|json| from_json(&json))
            .expect("the page to carry what it starts from")
    }
}

/// Parses the state that the server wrote. The usual parser would be ten times as large.
#[cfg(feature = "hydrate")]
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    // A title may contain characters that JSON escapes.
    let mut unescaped = [0; 1024];
    serde_json_core::from_str_escaped(json, &mut unescaped)
        .ok()
        .map(|(value, _)| value)
}
