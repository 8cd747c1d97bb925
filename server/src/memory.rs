//! The memory that this process may use, and the number of clients that fit into it.

use std::{fs, path::Path};

/// The maximum number of bytes that a connection takes: a head or a response of the maximum size, and the kernel's
/// buffers. A waiting visitor takes about 24 KiB (`docs/benchmarks.md`).
const CONNECTION: u64 = 32 * 1024;
/// The maximum number of connections, however much memory there is.
const MAX_CONNECTIONS: u64 = 25_000;

/// The maximum number of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Connections.
    pub connections: usize,
    /// Event streams, which leave some connections for other requests.
    pub streams: usize,
    /// Event streams of one app.
    pub streams_per_app: usize,
}

impl Capacity {
    /// The number of clients that fits into half of the memory that this process may use. The other half is for the
    /// caches of the cluster.
    #[must_use]
    pub fn of_process() -> Self {
        Self::of(limit())
    }

    fn of(limit: Option<u64>) -> Self {
        let connections = limit.map_or(MAX_CONNECTIONS, |bytes| {
            (bytes / 2 / CONNECTION).clamp(64, MAX_CONNECTIONS)
        });
        Self::with(usize::try_from(connections).unwrap_or(usize::MAX))
    }

    /// The capacity for this many connections.
    #[must_use]
    pub fn with(connections: usize) -> Self {
        let streams = connections.saturating_mul(4).div_ceil(5);
        Self {
            connections,
            streams,
            streams_per_app: streams.div_ceil(4),
        }
    }
}

/// The limit of this process's control group, in bytes; `None` if there is none.
fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_in(Path::new("/sys/fs/cgroup"), &groups)
}

/// The lowest limit of all groups that contain the process ([cgroups(7)]): version 2 has one line `0::PATH`, version 1
/// one with the controller's name, and a number beyond any machine's memory where there is no limit. In a container the
/// path may be that of the host, of which only the root is visible.
///
/// [cgroups(7)]: https://man7.org/linux/man-pages/man7/cgroups.7.html
fn limit_in(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (root, file) = match parts.next()? {
            "" => (root.to_owned(), "memory.max"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let path = parts.next()?.trim_start_matches('/').to_owned();
        let group = Path::new(&path)
            .ancestors()
            .map(|group| root.join(group).join(file))
            .collect::<Vec<_>>();
        Some(group)
    });
    let bytes = limits
        .flatten()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    bytes.filter(|bytes| *bytes < 1 << 50).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_fit_into_half_of_the_memory() {
        let mib = |mib: u64| Some(mib * 1024 * 1024);
        for (limit, connections, streams) in [
            (mib(128), 2_048, 1_639),
            (mib(512), 8_192, 6_554),
            (mib(1), 64, 52),
            (mib(100_000), 25_000, 20_000),
            (None, 25_000, 20_000),
        ] {
            let capacity = Capacity::of(limit);
            assert_eq!(
                (capacity.connections, capacity.streams),
                (connections, streams),
                "{limit:?}"
            );
        }
        assert_eq!(Capacity::of(None).streams_per_app, 5_000);
    }

    #[test]
    fn the_lowest_limit_of_all_groups_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        assert_eq!(limit_in(root.path(), "0::/\n"), None, "no limit");
        write("memory.max", "max\n");
        assert_eq!(limit_in(root.path(), "0::/\n"), None);
        write("pods/memory.max", "134217728\n");
        write("pods/one/memory.max", "max\n");
        assert_eq!(
            limit_in(root.path(), "0::/pods/one\n"),
            Some(134_217_728),
            "of the group around"
        );
        assert_eq!(
            limit_in(root.path(), "0::/../elsewhere\n"),
            None,
            "a path of the host"
        );
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit_in(root.path(), "5:cpu:/\n4:memory:/docker/x\n"), None);
        write("memory/docker/x/memory.limit_in_bytes", "1048576\n");
        assert_eq!(
            limit_in(root.path(), "5:cpu:/\n4:memory:/docker/x\n"),
            Some(1_048_576)
        );
    }
}
