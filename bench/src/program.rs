//! A server as a process of its own, and what the system says of it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use axum::http::StatusCode;
use tokio::time::sleep;

use crate::{client::Connection, table::Kib};

/// How long anything may take before there is no sense in waiting for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether a server is ready.
const LOOK: Duration = Duration::from_millis(2);
/// How many of its complaints are shown.
const MAX_COMPLAINTS: usize = 5;
/// The unit of the times in `/proc`: 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A running server. It ends with this value.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    began: Instant,
    pub(crate) port: u16,
}

impl Program {
    /// Starts a server at any port, with nothing in its environment but what is given, and waits until its log tells the
    /// port.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PORT", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let log = BufReader::new(child.stderr.take().context("it has no log")?);
        let (sender, port) = mpsc::channel();
        // The log has to be read to the end, or its writer would stop.
        thread::spawn(move || {
            let mut complaints = 0;
            for line in log.lines().map_while(Result::ok) {
                match port_in(&line) {
                    Some(port) => drop(sender.send(port)),
                    None if complaints < MAX_COMPLAINTS && is_complaint(&line) => {
                        complaints += 1;
                        eprintln!("{line}");
                    }
                    None => {}
                }
            }
        });
        let started = port
            .recv_timeout(PATIENCE)
            .map(|port| Self { began, port, child });
        started.context("it does not say at which port it listens")
    }

    /// Waits until it is ready, and answers how long that took from its start.
    pub(crate) async fn ready(&self) -> anyhow::Result<Duration> {
        let mut connection = Connection::open(self.port).await?;
        while self.began.elapsed() < PATIENCE {
            if connection
                .get("localhost", "/_unidler/readyz", "*/*")
                .await?
                .0
                == StatusCode::OK
            {
                return Ok(self.began.elapsed());
            }
            sleep(LOOK).await;
        }
        bail!("it does not become ready")
    }

    /// Fails if it does not run any more, which explains whatever else has failed.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server has ended: {status}"),
        }
    }

    /// The memory that it has at present.
    pub(crate) fn resident(&self) -> anyhow::Result<Kib> {
        self.memory("VmRSS:")
    }

    /// The most memory that it has had so far.
    pub(crate) fn peak(&self) -> anyhow::Result<Kib> {
        self.memory("VmHWM:")
    }

    /// Lets the [peak](Self::peak) begin again from what it has now ([proc_pid_clear_refs(5)]).
    ///
    /// [proc_pid_clear_refs(5)]: https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&file, "5").with_context(|| format!("cannot write {file}"))
    }

    fn memory(&self, field: &str) -> anyhow::Result<Kib> {
        kib(&format!("/proc/{}/status", self.child.id()), field)
    }

    /// The processor time that it has used so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the name, in brackets, and may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("/proc is not as expected")?;
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u32>)
            .sum::<Result<u32, _>>()?;
        Ok(TICK * ticks)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The memory of this machine.
pub(crate) fn total_memory() -> anyhow::Result<String> {
    let Kib(total) = kib("/proc/meminfo", "MemTotal:")?;
    Ok(format!("{:.0} GiB", total / 1024.0 / 1024.0))
}

fn kib(file: &str, field: &str) -> anyhow::Result<Kib> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {file}, which Linux has"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|value| value.trim().strip_suffix(" kB"));
    Ok(Kib(value
        .with_context(|| format!("{file} has no {field}"))?
        .trim()
        .parse()?))
}

/// Whether a line of the log says that something is not as it should be.
fn is_complaint(line: &str) -> bool {
    ["WARN", "ERROR", "panicked"]
        .iter()
        .any(|word| line.contains(word))
}

/// The port in the line of the log that tells it.
fn port_in(line: &str) -> Option<u16> {
    let tells = ["listening", "the demo is at"]
        .iter()
        .any(|words| line.contains(words));
    line.trim_end_matches('/')
        .rsplit_once(':')
        .filter(|_| tells)?
        .1
        .parse()
        .ok()
}
