//! The program itself: how it starts, and how it says that it cannot.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

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
    ] {
        let output = run(&[], &[(variable, value)]);
        assert!(!output.status.success());
        for word in [value, example] {
            assert!(complaint(&output).contains(word), "{word} in: {}", complaint(&output));
        }
    }
}
