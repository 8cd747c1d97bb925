//! The pages of `unidler demo`: the start page, and the app that each scene ends in.

use leptos::prelude::*;
use unidler::demo::{CHAPTERS, Scene};

#[component]
fn Document(title: String, css: String, children: Children) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <title>{title}</title>
                <style>{css}</style>
            </head>
            <body>{children()}</body>
        </html>
    }
}

/// The list of the scenes.
#[must_use]
pub fn start_page(css: &str, port: &str) -> String {
    let title = "unidler demo";
    let scene = |scene: &'static Scene| {
        let host = format!("{}.localhost", scene.name);
        let href = format!("http://{host}{port}/");
        view! { <li><a href=href>{host}</a><span>{scene.summary}</span></li> }
    };
    let chapter = |(heading, scenes): &'static (&str, &[Scene])| {
        view! { <h2>{*heading}</h2><ul class="scenes">{scenes.iter().map(scene).collect_view()}</ul> }
    };
    let chapters = CHAPTERS.iter().map(chapter).collect_view();
    let css = css.to_owned();
    view! {
        <Document title=title.to_owned() css>
            <main class="demo">
                <h1>{title}</h1>
                <p class="lead">"Each of these apps is asleep. Open one and watch it wake up. Its own page lets you put it to sleep again."</p>
                {chapters}
            </main>
        </Document>
    }
    .to_html()
}

/// The page of an app that is awake.
#[must_use]
pub fn app_page(css: &str, scene: &'static Scene, path_and_query: &str) -> String {
    let (css, path) = (css.to_owned(), path_and_query.to_owned());
    view! {
        <Document title=format!("{} – demo app", scene.name) css>
            <main class="demo">
                <h1>"Hello from the app “"{scene.name}"”"</h1>
                <p class="lead">"You asked for "<code>{path}</code>", and here you are."</p>
                {scene.idle_after.map(|after| view! {
                    <p>"Leave it alone for "{after.as_secs()}" seconds, and it falls asleep. Reload this page then to wake it."</p>
                })}
                <form method="post" action="/idle"><button>"Put it to sleep again"</button></form>
            </main>
        </Document>
    }
    .to_html()
}
