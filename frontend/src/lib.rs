//! The WASM entry point: hydrates the islands of the page, nothing else.

// Without this the linker drops the islands.
use unidler_app as _;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the page's loader once the module is there.
#[wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}
