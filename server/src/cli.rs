//! The command line: which command, with only the options that it needs.

use std::{collections::HashSet, env, ffi::OsString};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    commands::Operate,
    config::{ClusterArgs, ServerArgs},
};

/// Wakes idled Kubernetes apps on their next visit and shows visitors the progress.
#[derive(Debug, Parser)]
#[command(name = "unidler", version, max_term_width = 100)]
pub struct Cli {
    /// What to do instead of serving the cluster's idled apps.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What every command needs to know of the cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What the server needs.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run against a simulated cluster, without Kubernetes. Open the start page in a browser to wake the demo apps.
    Demo,
    /// What else there is to do in a cluster.
    #[command(flatten)]
    Operate(Box<Operate>),
}

impl Cli {
    /// Parses the command line and the environment of this process. Exits the process if they are invalid.
    #[must_use]
    pub fn read() -> Self {
        let arguments: Vec<OsString> = env::args_os().collect();
        let matches = Self::command_for(&arguments).get_matches_from(arguments);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The command line for these arguments. An empty variable counts as unset. The commands for operators have none of
    /// the server's flags and variables: those in an operator's shell are meant for something else.
    fn command_for(arguments: &[OsString]) -> clap::Command {
        let command = Self::command().mut_args(|argument| {
            let is_empty = argument
                .get_env()
                .and_then(env::var_os)
                .is_some_and(|value| value.is_empty());
            if is_empty {
                argument.env(None)
            } else {
                argument
            }
        });
        if !Self::is_for_operators(arguments) {
            return command;
        }
        let of_server = ServerArgs::augment_args(clap::Command::new("server"));
        let of_server: HashSet<_> = of_server
            .get_arguments()
            .map(|argument| argument.get_id().clone())
            .collect();
        command.mut_args(|argument| {
            if of_server.contains(argument.get_id()) {
                argument.global(false).env(None)
            } else {
                argument
            }
        })
    }

    fn is_for_operators(arguments: &[OsString]) -> bool {
        let names = Operate::augment_subcommands(clap::Command::new("operate"));
        let lenient = Self::command()
            .mut_args(|argument| argument.env(None))
            .ignore_errors(true)
            .disable_help_flag(true);
        let matches = lenient.try_get_matches_from(arguments);
        matches.is_ok_and(|matches| {
            matches
                .subcommand_name()
                .is_some_and(|name| names.find_subcommand(name).is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_for_operators_have_no_flags_of_the_server() {
        let parse = |words: &[&str]| {
            let arguments: Vec<OsString> = words.iter().map(Into::into).collect();
            Cli::command_for(&arguments)
                .try_get_matches_from(arguments)
                .map(drop)
        };
        for words in [
            &["unidler", "--port", "1"][..],
            &["unidler", "demo", "--port", "1"],
            &["unidler", "--port", "1", "demo"],
        ] {
            assert!(parse(words).is_ok(), "{words:?}");
        }
        assert!(parse(&["unidler", "status", "--unidle-key-label", "key"]).is_ok());
        assert!(parse(&["unidler", "--unidle-key-label", "key", "status"]).is_ok());
        assert!(parse(&["unidler", "status", "--port", "1"]).is_err());
    }
}
