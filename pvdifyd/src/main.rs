//! The `pvdifyd` binary: arguments in, exit code out; everything else is in the library.

use clap::Parser;
use pvdifyd::{
    args::{Args, Command},
    boot,
    config::Config,
    doctor, key_command, stack_command, tokens_command,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match Config::load(args.dev, args.config.as_deref(), |name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("can't start: {error}")),
    };
    runtime.block_on(run(args.command, config))
}

async fn run(command: Option<Command>, config: Config) -> ExitCode {
    match command {
        None => match boot::serve(config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        },
        Some(Command::Doctor) => {
            let findings = doctor::examine(&config).await;
            print!("{}", doctor::render(&findings));
            if doctor::has_problem(&findings) {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
        Some(Command::Token(command)) => match tokens_command::run(command, &config).await {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        },
        Some(Command::Key(command)) => match key_command::run(command, &config).await {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        },
        Some(Command::Stack(command)) => match stack_command::run(command, &config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
