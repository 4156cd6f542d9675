//! The connection to the server: made from flags and environment, refused where it would give a token away.
//!
//! A token over plain HTTP to another host can be read by everyone on the way, and is as good as the
//! server. It is sent there only when the person says so (`--insecure`), and then with a warning; loopback
//! (also an `ssh -L` tunnel) and https need no word.

use crate::{error::CliError, output};
use clap::Args;
use pvdify_client::Client;

const DEFAULT_API_URL: &str = "http://127.0.0.1:9443";

/// Flags of every command; no `Debug`, for the token's sake.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Connection {
    /// Where Pvdify's API answers
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PVDIFY_API_URL",
        default_value = DEFAULT_API_URL,
        hide_env_values = true
    )]
    api_url: String,
    /// The API token; better set in the environment, where other users of the host don't see it
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "PVDIFY_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// Send the token over plain HTTP to another host, readable on the way
    #[arg(long, global = true, env = "PVDIFY_INSECURE", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    insecure: bool,
}

impl Connection {
    /// An empty variable, as CI systems set for a missing one, counts as none.
    pub(crate) fn api_url(&self) -> &str {
        let url = self.api_url.trim();
        if url.is_empty() { DEFAULT_API_URL } else { url }
    }

    /// The client for it; sends nothing yet.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        let url = self.api_url();
        if url.contains('@') {
            // Not echoed: what stands before the @ is a secret.
            return Err(CliError::usage("the API's URL can't hold a user or a password")
                .hint("give the token in PVDIFY_TOKEN"));
        }
        let token = self
            .token
            .as_deref()
            .map(str::trim)
            .filter(|token| !token.is_empty());
        if token.is_some_and(|token| !token.chars().all(|c| c.is_ascii_graphic())) {
            return Err(CliError::usage("the token holds characters that no token has")
                .hint("set PVDIFY_TOKEN to what `pvdifyd token create` printed"));
        }
        let client = Client::over_tcp(url, token.map(str::to_owned))?;
        if token.is_some() && client.crosses_network_in_clear() {
            if !self.insecure {
                return Err(CliError::usage(format!("the token would be sent unencrypted to {url}")).hint(
                    "use https, or a tunnel (`ssh -L 9443:127.0.0.1:9443 HOST`); --insecure sends it all the same",
                ));
            }
            output::talk(&format!("warning: the token is sent unencrypted to {url}"));
        }
        Ok(client)
    }
}
