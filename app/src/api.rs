//! The URLs by which the page finds the server, shared by both.
//!
//! All of them are below the visitor's own address, after [`RESERVED`]. `loader.js` is a separate file and repeats
//! them; a test keeps the two in sync.

/// The beginning of the part of a path that is reserved for unidler. If there are several, the last one counts.
pub const RESERVED: &str = "/_unidler/";

/// The event stream, which joins a wake-up and never starts one.
pub const EVENTS: &str = "events";
/// The state of the app as JSON.
pub const STATUS: &str = "status";
/// The target of the browser's POST that starts the app or tries again.
pub const WAKE: &str = "wake";
/// The prefix of the names of the page's files.
pub const FILES: &str = "pkg/";
/// Readiness.
pub const READY: &str = "readyz";
/// Metrics, only on the admin port.
pub const METRICS: &str = "metrics";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_asks_at_the_same_addresses() {
        let loader = include_str!("loader.js");
        for line in [
            format!(
                r#"base: location.origin + location.pathname.replace(/\/+$/, "") + "{RESERVED}","#
            ),
            format!(r#"fetch(page.base + "{WAKE}", {{ method: "POST""#),
            format!(r#"fetch(page.base + "{STATUS}?t=" + "#),
        ] {
            assert!(loader.contains(&line), "{line}");
        }
        assert_eq!(loader.matches("fetch(").count(), 2);
    }

    #[test]
    fn the_build_puts_the_files_where_the_server_looks_for_them() {
        let folder = format!("{}{}", &RESERVED[1..], FILES.trim_end_matches('/'));
        let line = format!("site-pkg-dir = \"{folder}\"");
        assert!(include_str!("../../Cargo.toml").contains(&line), "{line}");
    }
}
