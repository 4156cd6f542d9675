//! Debian's own compilers, for when Rust's server is out of reach.

use super::{Context, Source};
use crate::{problems, version::Asked};
use buildpack_support::{
    Result, output,
    toolchain::deb,
    version::{self, Requirement, Wanted},
};
use libcnb::Env;
use std::collections::BTreeMap;

// Debian has its own compiler, and a newer one that it builds browsers with.
const COMPILERS: [(&str, &str); 2] = [("cargo", "rustc"), ("cargo-web", "rustc-web")];

/// The Rust that Debian has and the app asks for; `why` the server is out of reach.
pub(super) fn find(context: &Context, asked: &Asked, env: &Env, why: &str) -> Result<Source> {
    let apt = deb::Apt::of_layer(context, env, deb::Base::Build)?;
    let known = apt.names()?;
    let mut found: BTreeMap<String, Vec<deb::Planned>> = BTreeMap::new();
    for (cargo, rustc) in COMPILERS {
        if !known.iter().any(|name| name == rustc) {
            continue;
        }
        let planned = apt.plan(&[cargo.to_owned(), rustc.to_owned()], false)?;
        if let Some(version) = deb::version_of(&planned, rustc) {
            found.insert(version, planned);
        }
    }
    let available: Vec<String> = found.keys().cloned().collect();
    if available.is_empty() {
        return Err(problems::no_rust(why));
    }
    let version = choose(asked, &available, env, why)?;
    let planned = found.remove(&version).unwrap_or_default();
    Ok(Source::Debian {
        version,
        from: format!("Debian's: the server of Rust can't be reached ({})", why.trim()),
        planned,
    })
}

fn choose(asked: &Asked, available: &[String], env: &Env, why: &str) -> Result<String> {
    let newest = || available.iter().max_by(|a, b| version::compare(a, b)).cloned();
    if !asked.is_version() {
        if asked.channel != "stable" && !asked.from.is_empty() {
            output::warning(format!(
                "{} asks for {}, and the server of Rust can't be reached: using Debian's newest.",
                asked.from, asked.channel
            ));
        }
        return newest().ok_or_else(|| problems::no_rust(why));
    }
    let wanted = Wanted {
        name: "Rust",
        text: &asked.channel,
        from: &asked.from,
    };
    let Some(requirement) = Requirement::prefix(&asked.channel) else {
        return Err(version::unreadable(wanted, "`1.91.0` or `stable`"));
    };
    version::choose(wanted, &requirement, available, env).map(|chosen| chosen.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_server_debians_versions_are_chosen_from() {
        let available = ["1.85.1", "1.96.0"].map(str::to_owned);
        let asked = |channel: &str| Asked {
            channel: channel.to_owned(),
            from: "rust-toolchain.toml".to_owned(),
            ..Asked::default()
        };
        let chosen = |channel: &str| choose(&asked(channel), &available, &Env::new(), "no route");
        assert_eq!(chosen("stable").unwrap(), "1.96.0");
        assert_eq!(chosen("1.85").unwrap(), "1.85.1");
        assert_eq!(chosen("1.90").unwrap(), "1.96.0");
        assert_eq!(chosen("1.59.0").unwrap(), "1.85.1");
        insta::assert_snapshot!(chosen("2.0").unwrap_err().text(), @r"
        Rust 2.0 is not available

        It is asked for by rust-toolchain.toml.
        The nearest that are: 1.96.0.

        Change rust-toolchain.toml to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest.
        ");
    }
}
