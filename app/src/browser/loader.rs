//! The interface to `loader.js`, which asks, starts and hands over on behalf of the module as well.

use js_sys::{Function, Promise, Reflect};
use leptos::prelude::window;
use unidler::progress::Forwarding;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::api::EVENTS;

/// The object that the loader has put on the window.
fn loader() -> JsValue {
    get(&window(), "unidler")
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or_default()
}

/// Calls an async function of the loader.
async fn call(name: &str, argument: &JsValue) -> Option<JsValue> {
    let loader = loader();
    let function: Function = get(&loader, name).dyn_into().ok()?;
    let promise: Promise = function.call1(&loader, argument).ok()?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}

/// Asks for the state of the app: returns the JSON, which is empty if unidler answered without a status, or nothing.
/// Hands the visitor over if the app answers.
pub(crate) async fn ask() -> Option<String> {
    call("ask", &JsValue::UNDEFINED).await?.as_string()
}

/// Starts the sleeping app, and again if it still sleeps some seconds later, since the first request may have been
/// lost.
pub(crate) async fn start_when_due() {
    call("startWhenDue", &JsValue::UNDEFINED).await;
}

/// Submits a form for the visitor: starts the app, or tries again after a failure. Returns whether that was accepted.
pub(crate) async fn press(form: JsValue) -> bool {
    let status = call("press", &form)
        .await
        .and_then(|status| status.as_f64());
    status.is_some_and(|status| (200.0..300.0).contains(&status))
}

/// A number that the loader keeps.
pub(crate) fn number(name: &str) -> f64 {
    get(&loader(), name).as_f64().unwrap_or_default()
}

/// A flag that the loader keeps.
pub(crate) fn flag(name: &str) -> bool {
    get(&loader(), name).is_truthy()
}

/// Records what the server has reported: whether the app is ready, and what happens to requests that still reach
/// unidler.
pub(crate) fn note_ready(ready: bool, forwarding: Option<Forwarding>) {
    let forwarding = forwarding.map_or(JsValue::UNDEFINED, |forwarding| forwarding.name().into());
    let loader = loader();
    if let Ok(note) = get(&loader, "note").dyn_into::<Function>() {
        drop(note.call2(&loader, &ready.into(), &forwarding));
    }
}

/// Records that something was received from the server.
pub(crate) fn note_heard(now: f64) {
    drop(Reflect::set(&loader(), &"heard".into(), &now.into()));
}

/// The address of the event stream.
pub(crate) fn events_url() -> String {
    get(&loader(), "base").as_string().unwrap_or_default() + EVENTS
}
