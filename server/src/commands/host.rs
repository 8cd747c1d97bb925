//! Parses the hosts that are passed to commands.

use unidler::host::Host;

pub(super) fn host(text: &str) -> Result<Host, String> {
    Host::parse(text)
        .map_err(|_| "expected a host as in the app's route, such as tool.example.org".to_owned())
}
