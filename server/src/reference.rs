//! The pages of `docs/reference/` that are generated from the program, and the chart's description of the options.
//! `make docs` writes them; the tests fail while they differ.

use std::{cell::RefCell, ffi::OsStr, fmt::Write as _};

use clap::{Arg, Command, CommandFactory, builder::StyledStr};
use expect_test::expect_file;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

use crate::{cli::Cli, metrics::describe};

#[test]
fn the_page_of_options_is_what_the_command_line_says() {
    let mut page = "\
# Options

Use this page to look up an option of the server or of a command. `unidler --help` says the same. This page is written by `make docs`.

Nothing is required. Each option of the server is a flag and an environment variable, and a value `config.NAME` of the chart, with
`NAME` in camel case. A variable that is empty counts as not set.
"
    .to_owned();
    let command = Cli::command();
    let mut headings: Vec<&str> = Vec::new();
    for (argument, _) in options(&command) {
        let heading = argument.get_help_heading().unwrap_or_default();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        _ = writeln!(
            page,
            "\n## {heading}\n\n| flag | variable | default | description |\n|---|---|---|---|"
        );
        for (argument, variable) in options(&command) {
            if argument.get_help_heading().unwrap_or_default() == heading {
                _ = writeln!(
                    page,
                    "| {} | `{}` | {} | {} |",
                    name(argument),
                    variable.to_string_lossy(),
                    default(argument),
                    help(argument)
                );
            }
        }
    }
    _ = writeln!(page, "\n## Commands");
    for command in command.get_subcommands() {
        render(&mut page, command);
    }
    expect_file!["../../docs/reference/configuration.md"].assert_eq(&page);
}

/// The options of the server that have variables.
fn options(command: &Command) -> impl Iterator<Item = (&Arg, &OsStr)> {
    command
        .get_arguments()
        .filter_map(|argument| Some((argument, argument.get_env()?)))
}

/// Renders a command with its own options.
fn render(page: &mut String, command: &Command) {
    let about = command.get_long_about().or(command.get_about());
    _ = writeln!(
        page,
        "\n### unidler {}\n\n{}",
        command.get_name(),
        sentence(about)
    );
    let mut own = command
        .get_arguments()
        .filter(|argument| argument.get_env().is_none())
        .peekable();
    if own.peek().is_some() {
        _ = writeln!(
            page,
            "\n| argument | default | description |\n|---|---|---|"
        );
    }
    for argument in own {
        _ = writeln!(
            page,
            "| {} | {} | {} |",
            name(argument),
            default(argument),
            help(argument)
        );
    }
}

/// The syntax of an argument, with its value.
fn name(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default().join(" ");
    let values = values.replace('|', "\\|");
    match argument.get_long() {
        Some(flag) if argument.get_action().takes_values() => format!("`--{flag} <{values}>`"),
        Some(flag) => format!("`--{flag}`"),
        None => format!("`{values}`"),
    }
}

fn default(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let values = argument.get_default_values().iter();
    let values: Vec<_> = values
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    values.join(", ")
}

/// The description of an argument as a table cell.
fn help(argument: &Arg) -> String {
    words(argument).replace('|', "\\|").replace('<', "&lt;")
}

/// The purpose of an argument, in one line.
fn words(argument: &Arg) -> String {
    let text = argument.get_long_help().or(argument.get_help());
    let mut text = sentence(text);
    for value in argument.get_possible_values() {
        if let help @ Some(_) = value.get_help() {
            _ = write!(text, " `{}`: {}", value.get_name(), sentence(help));
        }
    }
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

/// Adds the final full stop that clap omits.
fn sentence(text: Option<&StyledStr>) -> String {
    let text = text.map(StyledStr::to_string).unwrap_or_default();
    match text.ends_with('.') {
        true => text,
        false => text + ".",
    }
}

/// The chart can set every option: its template makes the variable from the name of the flag.
#[test]
fn the_chart_can_set_every_option() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../deploy/chart/values.schema.json"))
            .expect("a schema");
    let properties = schema["properties"]["config"]["properties"]
        .as_object()
        .expect("options");
    let mut flags = Vec::new();
    let command = Cli::command();
    for (argument, variable) in options(&command) {
        let flag = argument.get_long().unwrap_or_default();
        // The image has its files where the program looks for them.
        if flag == "site" {
            continue;
        }
        let name = flag.to_uppercase().replace('-', "_");
        let made = match flag {
            "port" | "unidle-key-label" => name,
            "otlp-endpoint" => format!("OTEL_EXPORTER_{name}"),
            _ => format!("UNIDLER_{name}"),
        };
        assert_eq!(
            variable.to_str(),
            Some(made.as_str()),
            "the variable of --{flag}"
        );
        flags.push(camel(flag));
    }
    let mut known: Vec<_> = properties.keys().cloned().collect();
    known.sort_unstable();
    flags.sort_unstable();
    assert_eq!(
        known, flags,
        "the options in deploy/chart/values.schema.json are the flags"
    );
}

#[test]
fn the_chart_describes_its_options_as_the_command_line_does() {
    let mut lines: Vec<_> = include_str!("../../deploy/chart/values.schema.json")
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    let command = Cli::command();
    for (argument, _) in options(&command) {
        let property = format!(
            "        \"{}\": {{",
            camel(argument.get_long().unwrap_or_default())
        );
        let mut from_property = lines.iter_mut().skip_while(|line| **line != property);
        let is_description = |line: &&mut String| line.starts_with("          \"description\"");
        if let Some(line) = from_property.find(is_description) {
            let comma = if line.ends_with(',') { "," } else { "" };
            let words = serde_json::Value::from(words(argument));
            *line = format!("          \"description\": {words}{comma}");
        }
    }
    let schema = lines.join("\n") + "\n";
    expect_file!["../../deploy/chart/values.schema.json"].assert_eq(&schema);
}

/// The name of an option in the chart.
fn camel(flag: &str) -> String {
    let mut parts = flag.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (initial, rest) = part.split_at(1);
        name + &initial.to_uppercase() + rest
    })
}

#[test]
fn the_page_of_metrics_is_what_the_program_says_of_them() {
    let described = Described::default();
    with_local_recorder(&described, describe);
    let mut rows = described.0.into_inner();
    rows.sort_unstable();
    let page = format!(
        "\
# Metrics

Use this page to look up a metric. Metrics are served at `/metrics` on the admin port (`--admin-port`). No label names an app, a host or a
namespace. This page is written by `make docs`.

| metric | kind | description |
|---|---|---|
{}
`deploy/monitoring/` has the [alerts](../operate.md#alerts) and a dashboard for Grafana.
",
        rows.concat()
    );
    expect_file!["../../docs/reference/metrics.md"].assert_eq(&page);
}

/// A row for each metric that is described.
#[derive(Default)]
struct Described(RefCell<Vec<String>>);

impl Described {
    fn add(&self, name: &KeyName, kind: &str, text: &SharedString) {
        let row = format!("| `{}` | {kind} | {text} |\n", name.as_str());
        self.0.borrow_mut().push(row);
    }
}

impl Recorder for Described {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.add(&name, "counter", &text);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.add(&name, "gauge", &text);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.add(&name, "histogram", &text);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
