//! Texts that change over time.

use leptos::{prelude::*, tachys::renderer::types::Element};

/// Keeps an element's text up to date. A text node would not do: a browser that translates the page replaces those.
pub(super) fn says(element: Element, text: Signal<String>) {
    Effect::new(move |before: Option<String>| {
        let text = text.get();
        // Skip a text that is already shown: the browser may have translated it by now.
        if before.as_ref() != Some(&text) {
            element.set_text_content(Some(&text));
        }
        text
    });
}
