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
    /// The key that config vars and bindings are sealed with
    #[command(subcommand)]
    Key(KeyCommand),
    /// The images that apps are built in and run on
    #[command(subcommand)]
    Stack(StackCommand),
}

/// What can be done with the sealing key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Put a new key in place of the one that is there, and seal every value anew; finishes a rotation that was broken
    /// off
    Rotate,
}

/// What can be done with the base images.
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Make the base images in Podman's storage, unless they are there
    Build(StackArgs),
    /// Make them anew, of the newest packages, and put every app on them without a build
    Update(StackArgs),
    /// Put every app on the newest run image, without a build
    Rebase,
}

/// Where base images come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StackArgs {
    /// The image of a Debian or Ubuntu to put the packages on, or "packages" for Debian 13's alone; as before when
    /// left out
    #[arg(long, value_name = "IMAGE")]
    pub from: Option<String>,
    /// A Debian mirror instead of those of this host's apt
    #[arg(long, value_name = "URL", env = "PVDIFY_DEBIAN_MIRROR")]
    pub mirror: Option<String>,
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
