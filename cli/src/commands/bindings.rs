//! `bindings`, `bindings:add`, `bindings:remove`: the services that an app is bound to. What is in a file is sent and
//! never shown.

use super::{Context, Result};
use crate::{
    app::Rest,
    args::{Json, Name},
    error::CliError,
    output,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use pvdify_api::bindings::{Binding as Shown, SetBinding};
use pvdify_types::{AppName, Binding, BindingName, BindingWord, EntryName, binding::MAX_BINDING_BYTES};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
};

/// List the services that an app is bound to, without what is in their entries
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    json: Json,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let app = context.named(&self.name)?;
        let all = context.client.bindings(&app).await?;
        self.json.print(all, |all| {
            if all.is_empty() {
                output::talk(&format!("{app} is bound to nothing."));
                return Ok(());
            }
            output::table(["BINDING", "TYPE", "PROVIDER", "ENTRIES"], all.iter().map(row))
        })
    }
}

fn row(one: &Shown) -> [String; 4] {
    let provider = one.provider.as_ref().map(ToString::to_string);
    let entries = one
        .entries
        .iter()
        .map(|entry| format!("{} ({} bytes)", entry.name, entry.size));
    [
        one.name.to_string(),
        one.kind.to_string(),
        provider.unwrap_or_default(),
        entries.collect::<Vec<_>>().join(", "),
    ]
}

/// Bind an app to a service, from its next build and release on
///
/// The app finds the entries as files in $SERVICE_BINDING_ROOT/BINDING, while it is built by buildpacks and while it
/// runs. Entries of the type ca-certificates are PEM certificates; they are trusted besides. A binding of the same
/// name is replaced.
#[derive(Args)]
#[command(override_usage = "pvdify bindings:add [OPTIONS] --type <TYPE> [NAME] BINDING FILE...")]
pub(crate) struct Add {
    /// The app, the binding's name, and its entries: FILE, or ENTRY=FILE to call it otherwise; with --app, the
    /// app's name may be left out
    #[arg(value_name = "ARGS", required = true)]
    args: Vec<String>,
    /// What sort of service it is: postgresql, ca-certificates, ...
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Whose service it is
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
}

impl Add {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::Binding.split(&self.args, context.flag());
        let [binding, files @ ..] = rest else {
            return Err(CliError::usage("no binding is named"));
        };
        let binding: BindingName = said(binding, binding.parse())?;
        if files.is_empty() {
            return Err(CliError::usage("no file is named").hint("write [NAME] BINDING FILE..."));
        }
        // Asked for by hand: clap would say it in six lines.
        let Some(kind) = &self.kind else {
            return Err(CliError::usage("the binding has no type").hint("say it with --type TYPE"));
        };
        let kind: BindingWord = said(kind, kind.parse())?;
        let provider = self.provider.as_ref();
        let provider: Option<BindingWord> = provider.map(|text| said(text, text.parse())).transpose()?;
        let app = context.app(name)?;
        let mut entries = BTreeMap::new();
        for file in files {
            let (entry, path) = entry(file)?;
            if entries.insert(entry.clone(), read(path)?).is_some() {
                return Err(CliError::usage(format!("the entry {entry} is given twice")));
            }
        }
        // The server's own rules, before anything is sent.
        let checked = Binding::new(binding, kind, provider, entries);
        let wanted = checked.map_err(|rule| CliError::usage(rule.to_string()))?;
        let encode =
            |(name, bytes): (&EntryName, &Vec<u8>)| (name.to_string(), BASE64_STANDARD.encode(bytes));
        let body = SetBinding {
            kind: wanted.kind().to_string(),
            provider: wanted.provider().map(ToString::to_string),
            entries: wanted.reveal().iter().map(encode).collect(),
        };
        let bound = context.client.set_binding(&app, wanted.name(), &body).await?;
        output::line(&format!(
            "Binding {} added. Next release on {app} will have it.",
            bound.name
        ))?;
        next(&app);
        Ok(())
    }
}

/// Unbind an app from a service, from its next build and release on
#[derive(Args)]
#[command(override_usage = "pvdify bindings:remove [OPTIONS] [NAME] BINDING")]
pub(crate) struct Remove {
    /// The app, and the binding
    #[arg(value_name = "ARGS", num_args = 1..=2, required = true)]
    args: Vec<String>,
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, rest) = Rest::One.split(&self.args, context.flag());
        let [binding] = rest else {
            return Err(CliError::usage("no binding is named"));
        };
        let binding: BindingName = said(binding, binding.parse())?;
        let app = context.app(name)?;
        context.client.remove_binding(&app, &binding).await?;
        output::line(&format!(
            "Binding {binding} removed. Next release on {app} will not have it."
        ))?;
        next(&app);
        Ok(())
    }
}

fn next(app: &AppName) {
    output::talk(&format!(
        "Instances of the release that {app} has keep what they were started with. A push or a change of config makes the next one."
    ));
}

/// A word, or how it breaks its rule.
fn said<T, E: std::fmt::Display>(text: &str, parsed: std::result::Result<T, E>) -> Result<T> {
    parsed.map_err(|rule| CliError::usage(format!("{text:?}: {rule}")))
}

/// `FILE` or `ENTRY=FILE`.
fn entry(text: &str) -> Result<(EntryName, &str)> {
    let (name, path) = match text.split_once('=') {
        Some(both) => both,
        None => (text.rsplit('/').next().unwrap_or(text), text),
    };
    let entry = name.parse();
    let entry = entry.map_err(|rule| {
        CliError::usage(format!("{name:?}: {rule}")).hint("ENTRY=FILE calls a file's entry otherwise")
    })?;
    Ok((entry, path))
}

fn read(path: &str) -> Result<Vec<u8>> {
    let failed = |cause: io::Error| CliError::usage(format!("can't read {path}: {cause}"));
    let mut bytes = Vec::new();
    // One byte more than the limit tells a file at the limit from one beyond it.
    let limit = MAX_BINDING_BYTES as u64 + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 == limit {
        return Err(CliError::usage(format!(
            "{path} has more than 1 MiB: no binding has so much"
        )));
    }
    Ok(bytes)
}
