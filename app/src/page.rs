//! The document around the island.
//!
//! It contains everything that the first view needs, including the styles: between this HTML and the next request the
//! app may wake and answer instead of unidler. The tags that load the module are written here, since those of leptos
//! put the nonce in the wrong place (leptos issue 4843).

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
};

use leptos::{
    either::Either,
    nonce::{Nonce, use_nonce},
    prelude::*,
};
use leptos_axum::ResponseOptions;
use serde::Serialize;
use unidler::progress::{Phase, Reason};

use crate::{
    icon::icon,
    start::Start,
    text,
    wake::Wake,
    words::{Language, Words},
};

/// What the server puts into the context of a page.
#[derive(Clone, Debug)]
pub struct PageContext {
    /// The initial state of the island.
    pub start: Start,
    /// The files that the page needs.
    pub assets: Arc<Assets>,
    /// The operator's customization of the page.
    pub brand: Arc<Brand>,
    /// The origins that may show the page in a frame, as sources of a Content-Security-Policy; none by default.
    pub frame_ancestors: Option<Arc<str>>,
}

/// The operator's customization of the page.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The name above the page.
    pub name: Option<String>,
    /// The logo beside it, as a `data:` URL.
    pub logo: Option<Arc<str>>,
    /// A text that names a contact.
    pub contact: Option<String>,
    /// The link of that text.
    pub contact_url: Option<String>,
}

/// The files that the page needs, as the build named them.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    /// The name of the module that loads the WASM.
    pub js: String,
    /// The name of the WASM.
    pub wasm: String,
    /// The style sheet.
    pub css: TextFile,
    /// The loader.
    pub loader: TextFile,
}

/// A text that is part of the HTML, and also a file: for pages where a foreign Content-Security-Policy forbids inline
/// content.
#[derive(Clone, Debug, Default)]
pub struct TextFile {
    /// Its name, with a hash of its text.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its text.
    pub text: String,
}

impl TextFile {
    /// A style sheet.
    #[must_use]
    pub fn css(text: String) -> Self {
        Self {
            name: format!("page-{}.css", hash(&text)),
            media_type: "text/css; charset=utf-8",
            text,
        }
    }

    /// The loader, without its comments.
    #[must_use]
    pub fn loader() -> Self {
        let lines = include_str!("loader.js")
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"));
        let text = lines.fold(String::new(), |text, line| text + line + "\n");
        Self {
            name: format!("loader-{}.js", hash(&text)),
            media_type: "text/javascript; charset=utf-8",
            text,
        }
    }
}

fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The texts for the loader when it runs without the module. Its `show` chooses among these as [`text`] does.
#[derive(Serialize)]
struct LoaderWords<'a> {
    /// By phase, and for an app that is not found, or that responds to a visitor who has to send something again: each
    /// without the app's name and with it.
    headings: BTreeMap<&'a str, [&'a str; 2]>,
    /// By phase.
    leads: BTreeMap<&'a str, &'a str>,
    /// By reason: the problem, and what to do.
    reasons: HashMap<Reason, [&'a str; 2]>,
    /// The reasons with a heading of their own instead of that of a failure.
    others: HashMap<Reason, &'a str>,
    reconnecting: &'a str,
    crowded: &'a str,
    refused: &'a str,
    held: &'a str,
    stayed: &'a str,
}

impl LoaderWords<'_> {
    /// The JSON of these for a script element. It is the same for all visitors who read that language.
    fn json(language: Language) -> &'static str {
        static ALL: LazyLock<[String; Language::ALL.len()]> = LazyLock::new(|| {
            Language::ALL.map(|language| {
                let json = serde_json::to_string(&LoaderWords::of(language.words()));
                // Nothing in it ends the element.
                json.unwrap_or_default().replace('<', r"\u003c")
            })
        });
        let place = Language::ALL.iter().position(|each| *each == language);
        place.map_or("", |place| &ALL[place])
    }

    fn of(words: &'static Words) -> Self {
        let Words {
            asleep,
            waking,
            ready,
            failed,
            not_found,
            up,
            ..
        } = words;
        let headings = [
            ("asleep", asleep),
            ("waking", waking),
            ("ready", ready),
            ("failed", failed),
            ("not_found", not_found),
            ("up", up),
        ];
        let explained = |reason: Reason| {
            let said = (words.reason)(reason);
            (reason, [said.what, said.advice])
        };
        Self {
            headings: headings
                .map(|(name, heading)| (name, [heading.plain, heading.named]))
                .into(),
            leads: [
                ("asleep", words.asleep_lead),
                ("waking", words.waking_lead),
                ("ready", words.ready_lead),
            ]
            .into(),
            reasons: Reason::ALL.into_iter().map(explained).collect(),
            others: Reason::ALL
                .into_iter()
                .map(|reason| (reason, text::failure(words, reason).0))
                .filter(|(_, name)| *name != "failed")
                .collect(),
            reconnecting: words.reconnecting,
            crowded: words.crowded,
            refused: words.refused,
            held: words.held_lead,
            stayed: words.stayed_lead,
        }
    }
}

/// How often a page without scripts reloads, in seconds: rarely after a failure, since somebody may be reading about
/// it. Reloading starts nothing.
fn refresh_seconds(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Waking { .. } | Phase::Ready { .. } => Some("3"),
        Phase::Failed { reason } if !reason.is_discovery() => Some("15"),
        Phase::Asleep | Phase::Failed { .. } => None,
    }
}

/// After how many seconds the page is loaded again for a person who was turned away because of the server's limits.
const CROWDED_SECONDS: u32 = 5;

/// The whole document.
#[component]
pub fn Page() -> impl IntoView {
    let PageContext {
        start,
        assets,
        brand,
        frame_ancestors,
    } = expect_context();
    provide_context(start.clone());
    let Start {
        progress, language, ..
    } = &start;
    let words = language.words();
    let nonce = nonce_under_policy(frame_ancestors.as_deref());
    let title = text::title(words, progress);
    let refresh_seconds = refresh_seconds(progress.phase).filter(|_| !start.lost_post);
    let check = if refresh_seconds.is_some() {
        "check"
    } else {
        "check quiet"
    };
    let start_json = serde_json::to_string(&start).unwrap_or_default();
    let words_json = LoaderWords::json(*language);
    let Assets {
        js,
        wasm,
        css,
        loader,
    } = &*assets;
    let [js, wasm, style, script] =
        [js, wasm, &css.name, &loader.name].map(|name| start.file_url(name));

    view! {
        <!DOCTYPE html>
        <html lang=language.tag()>
            <head>
                {head(title, progress.phase, &css.text, nonce.clone())}
                // A proxy may have added a policy under which a plain form would not send its origin.
                <meta name="referrer" content="same-origin"/>
                <noscript><link rel="stylesheet" href=style.clone()/></noscript>
                <link rel="modulepreload" href=js/>
                <link rel="preload" r#as="fetch" r#type="application/wasm" crossorigin="anonymous" href=wasm/>
                <script defer src=script></script>
                {refresh_seconds.map(|seconds| view! { <noscript><meta http-equiv="refresh" content=seconds/></noscript> })}
            </head>
            <body data-start=start_json data-style=style data-waits=start.waits>
                <script type="application/json" id="words">{words_json}</script>
                <script nonce=nonce>{loader.text.clone()}</script>
                {header(&brand)}
                <Wake/>
                {start.wakes.clone().map(|at| view! { <p class="wakes">{words.wakes.replacen("{}", &at, 1)}</p> })}
                {contact(&brand)}
                {(!start.lost_post).then(|| view! { <nav class=check><a href="">{words.check}</a></nav> })}
            </body>
        </html>
    }
}

/// The part of the head that all documents share.
fn head(title: String, phase: Phase, css: &str, nonce: Option<Nonce>) -> impl IntoView + use<> {
    view! {
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <meta name="robots" content="noindex"/>
        <meta name="color-scheme" content="light dark"/>
        <title>{title}</title>
        <link rel="icon" href=icon(phase)/>
        <style nonce=nonce>{css.to_owned()}</style>
    }
}

/// The nonce of a document, after its policy has been set.
fn nonce_under_policy(frame_ancestors: Option<&str>) -> Option<Nonce> {
    let nonce = use_nonce()?;
    set_content_security_policy(&nonce, frame_ancestors);
    Some(nonce)
}

/// The document for a person who was turned away: the requested resource is not here, so that there is nothing to keep
/// up to date.
#[component]
pub fn TurnedAway(
    /// The context that the page would have had.
    context: PageContext,
    /// Whether the server's limits are the cause, so that it loads again by itself.
    is_crowded: bool,
    /// The link back to the page.
    back: String,
) -> impl IntoView {
    let PageContext {
        start,
        assets,
        brand,
        frame_ancestors,
    } = context;
    let Start {
        progress,
        language,
        lost_post,
        ..
    } = start;
    let words = language.words();
    let nonce = nonce_under_policy(frame_ancestors.as_deref());
    let heading = text::heading(words, progress.phase).of(progress.title.as_deref());
    let title = text::title(words, &progress);
    let said = if lost_post {
        words.lost_post
    } else if is_crowded {
        words.crowded
    } else {
        words.refused
    };
    // Loading it again would not submit the form again.
    let looks_again = (is_crowded && !lost_post).then(|| {
        let refresh = format!("{CROWDED_SECONDS};url={back}");
        // A reload keeps the fragment of the address.
        let go = if back.is_empty() {
            "location.reload()"
        } else {
            "location.replace(document.querySelector('.check a').href)"
        };
        let script = format!("setTimeout(() => {go}, {CROWDED_SECONDS}e3)");
        view! {
            <noscript><meta http-equiv="refresh" content=refresh/></noscript>
            <script nonce=nonce.clone()>{script}</script>
        }
    });

    view! {
        <!DOCTYPE html>
        <html lang=language.tag()>
            <head>
                {head(title, progress.phase, &assets.css.text, nonce)}
                {looks_again}
            </head>
            <body>
                {header(&brand)}
                <main data-phase=progress.phase.name()>
                    <div class="moon" aria-hidden="true"></div>
                    <h1>{heading}</h1>
                    <p class="notice">{said}</p>
                </main>
                {contact(&brand)}
                <nav class="check"><a href=back>{words.check}</a></nav>
            </body>
        </html>
    }
}

fn header(brand: &Brand) -> Option<impl IntoView + use<>> {
    let Brand { name, logo, .. } = brand;
    let logo = logo
        .clone()
        .map(|logo| view! { <img src=logo.to_string() alt=""/> });
    (name.is_some() || logo.is_some())
        .then(|| view! { <header class="brand">{logo}<span>{name.clone()}</span></header> })
}

fn contact(brand: &Brand) -> Option<impl IntoView + use<>> {
    let text = brand.contact.clone()?;
    let line = match brand.contact_url.clone() {
        Some(url) => Either::Left(view! { <a href=url>{text}</a> }),
        None => Either::Right(text),
    };
    Some(view! { <footer class="contact">{line}</footer> })
}

/// A strict policy ([CSP Level 3](https://www.w3.org/TR/CSP3/)): our own style and loader by nonce, our own module
/// from our own origin, and nothing from anywhere else.
fn set_content_security_policy(nonce: &str, frame_ancestors: Option<&str>) {
    let frame_ancestors = frame_ancestors.unwrap_or("'none'");
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'self' 'wasm-unsafe-eval'; style-src 'nonce-{nonce}' 'self'; \
         img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {frame_ancestors}"
    );
    if let (Some(options), Ok(policy)) = (use_context::<ResponseOptions>(), policy.parse()) {
        options.insert_header(http::header::CONTENT_SECURITY_POLICY, policy);
    }
}
