//! The reference: the help of every command, in one file that a change of the command line changes too.

use crate::cli::Cli;
use insta::assert_snapshot;

async fn help(args: &[&str]) -> String {
    let output = Cli::at("").output(args).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // clap leaves blanks at the ends of some lines.
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[tokio::test]
async fn the_help_of_every_command() {
    let overview = help(&["--help"]).await;
    let commands: Vec<&str> = overview
        .lines()
        .skip_while(|line| *line != "Apps:")
        .take_while(|line| !line.starts_with("Global options"))
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    let mut reference = format!("$ pvdify --help\n{overview}");
    for command in &commands {
        let text = help(&[command, "--help"]).await;
        // The global options are the same for each: once is enough.
        let (own, _) = text.split_once("\nGlobal options:").unwrap();
        reference.push_str(&format!("\n$ pvdify {command} --help\n{own}"));
    }
    assert_snapshot!("reference", reference);
}

#[tokio::test]
async fn the_version_is_printed_without_a_server() {
    let version = concat!("pvdify ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(help(&["version"]).await, version);
    assert_eq!(help(&["--version"]).await, version);
}

#[tokio::test]
async fn a_command_that_is_none_is_a_usage_error_with_a_likely_one() {
    assert_snapshot!(Cli::at("").run(&["app:create", "demo"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'app:create'

      tip: some similar subcommands exist: 'apps:delete', 'apps:create'

    Usage: pvdify [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_eq!(Cli::at("").output(&[]).await.status.code(), Some(2));
}
