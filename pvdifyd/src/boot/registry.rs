//! Who may use the registry: pvdifyd itself with a password of this process alone, and API tokens as the
//! password of any user. Anybody else, also on loopback, is refused. The repositories of Pvdify itself are read by
//! tokens and written by pvdifyd alone: every app stands on what is in them.

use crate::{
    app::{App, Principal, Scope, tokens::Presented},
    engine::podman::RegistryAccess,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use pvdify_builder::stack::RESERVED_PREFIX;
use pvdify_registry::{Access, Action, Credentials};
use std::io;
use subtle::ConstantTimeEq;

/// 256 random bits, never written anywhere.
pub(super) fn fresh_password() -> io::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// The registry's authoriser.
pub(super) struct OwnAccess {
    user: String,
    password: String,
    app: App,
}

impl OwnAccess {
    pub(super) fn new(own: &RegistryAccess, app: App) -> Self {
        Self {
            user: own.user.clone(),
            password: own.password.clone(),
            app,
        }
    }

    fn is_own(&self, credentials: Credentials<'_>) -> bool {
        let same: bool = self
            .password
            .as_bytes()
            .ct_eq(credentials.password.as_bytes())
            .into();
        same && credentials.user == self.user
    }

    async fn token_allows(&self, token: &str, action: Action) -> bool {
        let needed = match action {
            Action::Pull => Scope::Read,
            Action::Push => Scope::Write,
            Action::Delete => Scope::Admin,
        };
        match self.app.authenticate(token).await {
            Ok(Presented::Valid(Principal::Token { scope, .. })) => scope >= needed,
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(%error, "a registry login could not be checked");
                false
            }
        }
    }
}

/// Whether this would change what is Pvdify's own.
fn is_reserved(repository: Option<&str>, action: Action) -> bool {
    action != Action::Pull && repository.is_some_and(|name| name.starts_with(RESERVED_PREFIX))
}

impl Access for OwnAccess {
    fn allows<'a>(
        &'a self,
        credentials: Option<Credentials<'a>>,
        repository: Option<&'a str>,
        action: Action,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match credentials {
                None => false,
                Some(credentials) if self.is_own(credentials) => true,
                Some(_) if is_reserved(repository, action) => false,
                Some(credentials) => self.token_allows(credentials.password, action).await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_pvdifyd_changes_what_apps_stand_on() {
        for action in [Action::Push, Action::Delete] {
            assert!(is_reserved(Some("pvdify/run"), action));
            assert!(!is_reserved(Some("pvdify"), action) && !is_reserved(Some("demo"), action));
            assert!(!is_reserved(None, action));
        }
        assert!(!is_reserved(Some("pvdify/run"), Action::Pull));
    }
}
