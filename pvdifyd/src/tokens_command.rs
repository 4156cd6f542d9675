//! `pvdifyd token ...`: the first token, and all others, come from the host. Works beside a running daemon.

use crate::{
    app::{Scope, tokens},
    args::{ScopeArg, TokenCommand},
    config::Config,
    store::{Store, as_date},
};
use std::{fmt::Write as _, time::Duration};
use time::format_description::well_known::Rfc3339;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Does it and gives what to print; the error is one line.
///
/// # Errors
/// When there is no database yet, or the store refuses.
pub async fn run(command: TokenCommand, config: &Config) -> Result<String, String> {
    let path = config.state_dir.join("pvdify.db");
    if !path.exists() {
        return Err(format!(
            "{} is not there: start pvdifyd once, or set PVDIFY_STATE_DIR",
            path.display()
        ));
    }
    let store = Store::open(&path).map_err(|error| error.to_string())?;
    match command {
        TokenCommand::Create { name, scope, days } => {
            let token = tokens::create(&store, &name, scope_of(scope), DAY * days).await;
            token
                .map(|token| format!("{token}\n"))
                .map_err(|error| error.to_string())
        }
        TokenCommand::List => {
            let all = tokens::list(&store).await.map_err(|error| error.to_string())?;
            let mut text = String::new();
            for token in all {
                let expires = as_date(token.expires_at).format(&Rfc3339).unwrap_or_default();
                // Writing to a string can't fail.
                writeln!(text, "{}  {}  expires {expires}", token.name, token.scope).ok();
            }
            Ok(text)
        }
        TokenCommand::Revoke { name } => {
            let revoked = tokens::revoke(&store, &name).await;
            revoked
                .map(|()| format!("{name} ended\n"))
                .map_err(|error| error.to_string())
        }
    }
}

fn scope_of(typed: ScopeArg) -> Scope {
    match typed {
        ScopeArg::Read => Scope::Read,
        ScopeArg::Write => Scope::Write,
        ScopeArg::Admin => Scope::Admin,
    }
}
