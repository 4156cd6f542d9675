//! The daemon's command line. Only the host's administrator uses it; people use `pvdify`.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Receives pushes, builds images, releases them and routes to them.
///
/// Every setting is a PVDIFY_* environment variable or a line of the --config file.
#[derive(Debug, Parser)]
#[command(name = "pvdifyd", version)]
pub struct Args {
    /// Development: loopback only, no token needed from loopback, state in ./.pvdify
    #[arg(long, global = true)]
    pub dev: bool,
    /// A TOML file of settings; the environment overrides it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; without a command, serve
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this host gives and lacks, each finding with its fix
    Doctor,
    /// API tokens
    #[command(subcommand)]
    Token(TokenCommand),
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, this once
    Create {
        /// For whom or what, for the list and for releases
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "admin")]
        scope: ScopeArg,
        /// Days until it expires
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// List tokens, without their values
    List,
    /// End a token
    Revoke {
        /// Its name in the list
        name: String,
    },
}

/// A token's scope as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum ScopeArg {
    Read,
    Write,
    Admin,
}
