//! The services that an app is bound to. A change makes no release: the next build and the next release have it, and
//! the instances of a release that is there keep what it had.

use super::{
    Acting, Action,
    authorise::{known_app, living_app},
    error::{Error, Result},
};
use crate::store::{self, apps, bindings};
use base64::{Engine, prelude::BASE64_STANDARD};
use pvdify_api::bindings as wire;
use pvdify_types::{AppName, Binding, BindingName, EntryName, binding::MAX_BINDINGS};
use std::{collections::BTreeMap, sync::Arc};

impl Acting {
    /// All of an app's that its next release has, without what is in them.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn bindings(&self, name: &AppName) -> Result<Vec<wire::Binding>> {
        self.may(Action::ReadBindings)?;
        let name = name.clone();
        let listed = self.app.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            Ok::<_, Error>(bindings::list(reader, &app.id)?)
        });
        Ok(listed.await?.into_iter().map(face).collect())
    }

    /// Binds an app, in place of what is bound by this name.
    ///
    /// # Errors
    /// When refused, unknown, one too many, or it breaks a rule of bindings.
    pub async fn set_binding(
        &self,
        name: &AppName,
        typed: &str,
        body: wire::SetBinding,
    ) -> Result<wire::Binding> {
        self.may(Action::ChangeBindings)?;
        let binding = parse(typed, body)?;
        let secrets = Arc::clone(&self.app.inner.secrets);
        let (name, wanted) = (name.clone(), binding.name().clone());
        let listed = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                let before = bindings::of_app(tx, &secrets, &app.id)?;
                // The same again leaves the next release as it would be.
                if !before.contains(&binding) {
                    let others = before.iter().filter(|one| one.name() != binding.name()).count();
                    if others >= MAX_BINDINGS {
                        return Err(Error::Invalid(format!(
                            "an app has at most {MAX_BINDINGS} bindings"
                        )));
                    }
                    bindings::put(tx, &secrets, &app.id, &binding)?;
                    apps::touch(tx, &app.id, store::now())?;
                }
                Ok::<_, Error>(bindings::list(tx, &app.id)?)
            })
            .await?;
        let set = listed.into_iter().find(|one| one.name == wanted);
        set.map(face).ok_or(Error::Store(store::Error::Stopped))
    }

    /// Unbinds an app.
    ///
    /// # Errors
    /// When refused, unknown, or it has no such binding.
    pub async fn remove_binding(&self, name: &AppName, typed: &str) -> Result<()> {
        self.may(Action::ChangeBindings)?;
        let (name, typed) = (name.clone(), typed.to_owned());
        self.app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                let removed = match typed.parse() {
                    Ok(binding) => bindings::remove(tx, &app.id, &binding)?,
                    Err(_) => false,
                };
                if !removed {
                    return Err(Error::NoBinding {
                        app: name,
                        binding: typed.chars().take(64).collect(),
                    });
                }
                apps::touch(tx, &app.id, store::now())?;
                Ok(())
            })
            .await
    }
}

fn parse(typed: &str, body: wire::SetBinding) -> Result<Binding> {
    let name: BindingName = typed.parse().map_err(Error::invalid)?;
    let entry = |(name, text): (String, String)| {
        let entry: EntryName = name.parse().map_err(|rule| {
            Error::Invalid(format!("{:?}: {rule}", name.chars().take(64).collect::<String>()))
        })?;
        // Not with its own words: those would show a part of it.
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|_| Error::Invalid(format!("the entry {entry} is not in base64")))?;
        Ok((entry, bytes))
    };
    let entries = body
        .entries
        .into_iter()
        .map(entry)
        .collect::<Result<BTreeMap<_, _>>>()?;
    let kind = body.kind.parse().map_err(Error::invalid)?;
    let provider = body.provider.map(|text| text.parse()).transpose();
    Binding::new(name, kind, provider.map_err(Error::invalid)?, entries).map_err(Error::invalid)
}

fn face(one: bindings::Face) -> wire::Binding {
    let entry = |(name, size)| wire::BindingEntry { name, size };
    wire::Binding {
        name: one.name,
        kind: one.kind,
        provider: one.provider,
        entries: one.entries.into_iter().map(entry).collect(),
    }
}
