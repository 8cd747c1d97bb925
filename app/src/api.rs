//! The server function. It is thin: it calls the hub that the server puts into its context.

use leptos::{prelude::*, server_fn::ServerFn};

/// Where to post to.
pub const WAKE_URL: &str = <Wake as ServerFn>::PATH;

/// Starts the wake-up of the app that the request's `Host` names, or begins again after a failure.
///
/// A plain form posts to it, so it works without scripts: the browser is sent back to the page it came from.
///
/// # Errors
///
/// Only if the server has not set up what this needs.
#[server(prefix = "/_unidler/api", endpoint = "wake")]
pub async fn wake() -> Result<(), ServerFnError> {
    use leptos::context::use_context;
    use unidler::{host::Host, hub::Hub};

    let (Some(hub), Some(host)) = (use_context::<Hub>(), use_context::<Host>()) else {
        return Err(ServerFnError::new("the server gave no hub and no host"));
    };
    hub.retry(&host);
    Ok(())
}
