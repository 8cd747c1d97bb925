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
    icon::icon,
    wake::{Wake, heading},
    words::Language,
};

/// What the server puts into the context of a page.
#[derive(Clone, Debug)]
pub struct PageContext {
    /// Where the app stands.
    pub progress: Progress,
    /// The language of the visitor.
    pub language: Language,
    /// The time, for people.
    pub now: String,
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

/// The whole document.
#[component]
pub fn Page() -> impl IntoView {
    let PageContext { progress, language, now, assets } = expect_context();
    let words = language.words();
    let nonce = use_nonce();
    if let Some(nonce) = &nonce {
        set_content_security_policy(nonce);
    }
    let title = format!("{} – {}", heading(words, progress.phase), progress.host);
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
                <link rel="icon" href=icon(progress.phase)/>
                <style nonce=nonce.clone()>{css.clone()}</style>
                <link rel="modulepreload" href=js.clone()/>
                <link rel="preload" r#as="fetch" r#type="application/wasm" crossorigin="anonymous" href=wasm.clone()/>
                <script type="module" nonce=nonce>{include_str!("loader.js")}</script>
                {refreshes.then(|| view! { <noscript><meta http-equiv="refresh" content=REFRESH_SECONDS/></noscript> })}
            </head>
            <body>
                <Wake initial=progress language now/>
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
