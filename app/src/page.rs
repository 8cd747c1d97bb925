//! The document around the island.
//!
//! Everything that the first view needs is in it, the style included: between this HTML and the next request the
//! app may wake and answer in our place. The tags that load the module are our own, since those of leptos put the
//! nonce where it does not belong (leptos issue 4843).

use std::sync::Arc;

use leptos::{nonce::use_nonce, prelude::*};
use leptos_axum::ResponseOptions;
use unidler::progress::{Phase, Progress};

use crate::{
    api::WAKE_URL,
    wake::Wake,
    words::{Language, Words},
};

/// What the server puts into the context of a page.
#[derive(Clone, Debug)]
pub struct PageContext {
    /// Where the app stands.
    pub progress: Progress,
    /// The language of the visitor.
    pub language: Language,
    /// The files that the page needs.
    pub assets: Arc<Assets>,
}

/// The files that the page needs, as the build named them.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    /// The address of the module that loads the WASM.
    pub js: String,
    /// The address of the WASM.
    pub wasm: String,
    /// The style sheet itself.
    pub css: String,
}

/// How often a page without scripts looks again, in seconds.
const REFRESH_SECONDS: &str = "3";

const MOON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cpath fill='%236d6ae8' d='M21 3a13 13 0 1 0 8 18A11 11 0 0 1 21 3z'/%3E%3C/svg%3E";

/// The whole document.
#[component]
pub fn Page() -> impl IntoView {
    let PageContext { progress, language, assets } = expect_context();
    let words = language.words();
    let nonce = use_nonce();
    if let Some(nonce) = &nonce {
        set_content_security_policy(nonce);
    }
    let title = format!("{} – {}", title(words, progress.phase), progress.host);
    // Only a page whose app is waking looks again by itself: to look starts nothing.
    let refreshes = matches!(progress.phase, Phase::Waking { .. } | Phase::Ready { .. });
    let starts = progress.phase == Phase::Asleep;
    let Assets { js, wasm, css } = &*assets;

    view! {
        <!DOCTYPE html>
        <html lang=language.tag()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="robots" content="noindex"/>
                <meta name="color-scheme" content="light dark"/>
                <title>{title}</title>
                <link rel="icon" href=MOON/>
                <style nonce=nonce.clone()>{css.clone()}</style>
                <link rel="modulepreload" href=js.clone()/>
                <link rel="preload" r#as="fetch" r#type="application/wasm" crossorigin="anonymous" href=wasm.clone()/>
                <script type="module" nonce=nonce>{include_str!("loader.js")}</script>
                {refreshes.then(|| view! { <noscript><meta http-equiv="refresh" content=REFRESH_SECONDS/></noscript> })}
            </head>
            <body>
                <Wake initial=progress language/>
                {starts.then(|| view! {
                    <noscript>
                        <form class="start" method="post" action=WAKE_URL><button>{words.start}</button></form>
                    </noscript>
                })}
            </body>
        </html>
    }
}

/// A strict policy ([CSP Level 3](https://www.w3.org/TR/CSP3/)): our own style and loader by nonce, our own module
/// from our own origin, and nothing from anywhere else.
fn set_content_security_policy(nonce: &str) {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'self' 'wasm-unsafe-eval'; style-src 'nonce-{nonce}'; \
         img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let (Some(options), Ok(policy)) = (use_context::<ResponseOptions>(), policy.parse()) {
        options.insert_header(http::header::CONTENT_SECURITY_POLICY, policy);
    }
}

fn title(words: &Words, phase: Phase) -> &'static str {
    match phase {
        Phase::Asleep => words.asleep,
        Phase::Waking { .. } => words.waking,
        Phase::Ready { .. } => words.ready,
        Phase::Failed { .. } => words.failed,
    }
}
