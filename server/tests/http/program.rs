//! The program itself: how it starts, and how it says that it cannot.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::harness::site;

/// Runs the program to its end, with nothing in its environment but what is given.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let site = site();
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_unidler"))
        .args(arguments)
        .env_clear()
        .env("UNIDLER_SITE", site.path())
        .env("HOME", site.path())
        .envs(variables.iter().copied())
        .output()
        .expect("the program runs");
    assert!(begun.elapsed() < Duration::from_secs(10), "it ends at once");
    output
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_any_cluster_it_ends_at_once_and_says_what_to_do() {
    let output = run(&[], &[("PORT", "127.0.0.1:0")]);
    assert!(!output.status.success());
    for word in ["found no Kubernetes cluster", "KUBECONFIG", "unidler demo"] {
        assert!(complaint(&output).contains(word), "{}", complaint(&output));
    }
}

#[test]
fn without_its_files_it_ends_at_once_and_says_what_to_do() {
    let output = run(&["--site", "/nowhere", "demo"], &[("PORT", "127.0.0.1:0")]);
    assert!(!output.status.success());
    for word in ["/nowhere", "make build", "--site"] {
        assert!(complaint(&output).contains(word), "{}", complaint(&output));
    }
}

#[test]
fn a_wrong_value_is_refused_with_the_value_the_rule_and_an_example() {
    for (variable, value, example) in [
        ("PORT", "http", "127.0.0.1:8080"),
        ("UNIDLE_KEY_LABEL", "a=b", "unidle-key"),
        ("UNIDLER_MAX_REPLICAS", "0", "1.."),
        ("UNIDLER_PAGE_STATUS", "404", "503"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://collector",
            "http://collector:4318",
        ),
    ] {
        let output = run(&[], &[(variable, value)]);
        assert!(!output.status.success());
        for word in [value, example] {
            assert!(
                complaint(&output).contains(word),
                "{word} in: {}",
                complaint(&output)
            );
        }
    }
}

/// The log of a pod is read by more people than its Secrets.
#[test]
fn what_is_secret_about_prometheus_is_not_repeated_in_an_error() {
    for (url, headers) in [
        ("http://prometheus", "Authorization Basic s3cret"),
        ("http://me:s3cret@prometheus", "X-Scope-OrgID: team-a"),
    ] {
        let arguments = ["plan", "--requests", "traefik", "--prometheus", url];
        let refused = run(&arguments, &[("UNIDLER_PROMETHEUS_HEADERS", headers)]);
        let told = complaint(&refused);
        assert!(
            told.contains("Prometheus") && !told.contains("s3cret"),
            "{told}"
        );
    }
}

/// A running demo, with metrics.
struct Demo {
    process: Child,
    page: String,
    metrics: String,
    _site: TempDir,
}

impl Demo {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let site = site();
        let mut process = Command::new(env!("CARGO_BIN_EXE_unidler"))
            .args(["demo", "--admin-port", "127.0.0.1:0"])
            .env_clear()
            .envs([("PORT", "127.0.0.1:0"), ("UNIDLER_LOG_FORMAT", "json")])
            .env("UNIDLER_SITE", site.path())
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut log = BufReader::new(process.stderr.take().expect("a log"))
            .lines()
            .map_while(Result::ok);
        let mut next = |word: &str| {
            let line = log
                .find(|line| line.contains(word))
                .expect("the line in the log");
            serde_json::from_str::<serde_json::Value>(&line).expect("JSON")
        };
        let port = next("the demo is at")["message"]
            .as_str()
            .expect("a message")
            .trim_matches(|c: char| !c.is_ascii_digit())
            .to_owned();
        let metrics = next("serving metrics and probes")["address"]
            .as_str()
            .expect("an address")
            .to_owned();
        // Nobody reads on, and a full pipe would hold the program up.
        std::thread::spawn(move || log.for_each(drop));
        Self {
            process,
            page: format!("127.0.0.1:{port}"),
            metrics,
            _site: site,
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What a server answers before it closes the connection.
fn get(address: &str, host: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}Connection: close\r\n\r\n"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn what_happens_is_counted_on_a_port_of_its_own() {
    let demo = Demo::start();
    let scene = |name: &str, header: &str| {
        get(&demo.page, &format!("{name}.localhost"), "/events/", header)
    };
    // Each stream ends with the wake-up.
    assert!(scene("quick", "").contains("event: success"));
    assert!(scene("not-found", "").contains("event: failure"));
    assert!(scene("slow", "Sec-Fetch-Site: cross-site\r\n").contains("403"));

    let numbers = get(&demo.metrics, "localhost", "/metrics", "");
    for line in [
        "unidler_outcomes_total{outcome=\"ready\"} 1",
        "unidler_refused_total{cause=\"cross_site\"} 1",
        "unidler_refused_total{cause=\"prefetch\"} 0",
        "unidler_wake_seconds_bucket{le=\"2.5\"} 0",
        "unidler_wake_seconds_count 1",
        "unidler_step_seconds_count{step=\"pulling\"} 1",
        "unidler_visitors 0",
        "unidler_waking 0",
        "unidler_ready 1",
    ] {
        assert!(
            numbers.lines().any(|found| found == line),
            "{line} in:\n{numbers}"
        );
    }
    // Strangers' hosts are none of an operator's apps.
    for name in ["localhost", "quick", "not-found", "no_route"] {
        assert!(!numbers.contains(name), "{name} in:\n{numbers}");
    }
    // One that sleeps: at the address of the other, the app answers by now.
    let page = get(&demo.page, "slow.localhost", "/metrics", "");
    assert!(
        !page.contains("unidler_"),
        "strangers are told nothing: {page}"
    );
    assert!(get(&demo.page, "slow.localhost", "/_unidler/metrics", "").contains("404"));
    for (path, answer) in [
        ("/healthz", "Still OK"),
        ("/readyz", "ready"),
        ("/_unidler/readyz", "ready"),
    ] {
        assert!(
            get(&demo.metrics, "10.0.0.1:9090", path, "").ends_with(answer),
            "{path}"
        );
    }
}

#[test]
fn variables_that_are_meant_for_something_else_break_no_command() {
    let foreign = [
        ("PORT", "x"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
        ("UNIDLER_ADMIN_PORT", "y"),
    ];
    for command in [&["status"][..], &["--service", "unidler", "doctor"]] {
        let output = run(command, &foreign);
        let complaint = complaint(&output);
        assert!(
            complaint.contains("KUBECONFIG") && !complaint.contains("PORT"),
            "{command:?}: {complaint}"
        );
    }
}

#[test]
fn the_page_is_shown_in_frames_of_those_who_may_and_of_nobody_else() {
    for (origins, policy) in [
        ("", "frame-ancestors 'none'"),
        (
            "https://portal.example.org",
            "frame-ancestors https://portal.example.org\r\n",
        ),
    ] {
        let demo = Demo::with(&[("UNIDLER_FRAME_ANCESTORS", origins)]);
        let page = get(&demo.page, "quick.localhost", "/", "Accept: text/html\r\n");
        assert!(page.contains(policy), "{page}");
    }
}

#[test]
fn an_empty_variable_is_none() {
    let names = [
        "PORT",
        "UNIDLE_KEY_LABEL",
        "UNIDLER_ADMIN_PORT",
        "UNIDLER_CONTACT_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    let output = run(&["--port", "127.0.0.1:0"], &names.map(|name| (name, "")));
    assert!(
        complaint(&output).contains("KUBECONFIG"),
        "{}",
        complaint(&output)
    );
}

/// A collector for traces: answers every request, and gives the first one that comes.
fn collector() -> (String, impl FnOnce() -> (String, Vec<u8>)) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let first = move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("the same connection"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("a head") > 0, "{head}");
        }
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        let mut body = vec![0; length.expect("a length")];
        reader.read_exact(&mut body).expect("a body");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .expect("it is sent");
        (head, body)
    };
    (address, first)
}

#[test]
fn a_wake_up_is_traced_and_nothing_of_it_is_lost_at_the_end() {
    let (address, first) = collector();
    // No batch would be due for an hour.
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let mut demo = Demo::with(&variables);
    let told = get(&demo.page, "quick.localhost", "/events/", "");
    assert!(told.contains("event: success"));
    let (_, reference) = told.split_once("\"reference\":\"").expect("a reference");
    let terminated = Command::new("kill")
        .args(["-TERM", &demo.process.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(terminated.success());
    let (head, body) = first();
    assert!(demo.process.wait().expect("an end").success());
    assert!(head.starts_with("POST /v1/traces "), "{head}");
    let body = String::from_utf8_lossy(&body);
    // In a protobuf message, texts are as they are.
    for text in [
        "wake-up",
        "quick.localhost",
        &reference[..9],
        "Restore {",
        "app is ready",
        "unidler",
        "outcome",
    ] {
        assert!(body.contains(text), "{text} in {body}");
    }
}

#[test]
fn a_collector_that_is_not_there_holds_nobody_up() {
    let (address, first) = collector();
    drop(first);
    let mut demo = Demo::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address)]);
    assert!(get(&demo.page, "quick.localhost", "/events/", "").contains("event: success"));
    let begun = Instant::now();
    let terminated = Command::new("kill")
        .args(["-TERM", &demo.process.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(terminated.success() && demo.process.wait().expect("an end").success());
    assert!(begun.elapsed() < Duration::from_secs(10));
}
