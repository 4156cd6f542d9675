//! `pvdify`: Pvdify's command line, a thin face over the REST API.
//!
//! Data goes to stdout, talk to stderr; what ends the program is a value (`error.rs`), turned into text and
//! an exit code here and nowhere else.

mod api;
mod app;
mod args;
mod commands;
mod env_file;
mod error;
mod output;
mod session;
mod shell;
mod terminal;
mod wait;

use error::CliError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::Cli::of_command_line() {
        Ok(cli) => cli,
        Err(refusal) => return error::show_clap(&refusal),
    };
    let api_url = cli.connection.api_url().to_owned();
    // One connection and one stream at a time: more threads would only cost their start.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(cause) => Err(CliError::failed(format!("can't start: {cause}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.show(&api_url),
    }
}
