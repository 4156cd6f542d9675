//! What package managers and scripts say when they fail, turned into what happened, why, and what to do.
//!
//! The command's own output is in the log above; here it is only searched for what tells one cause from
//! another. What is not known gets the command's status, and the way to reproduce it.

mod install;
mod script;

pub(crate) use install::install;
pub(crate) use script::script;

use buildpack_support::{Failure, command::CommandError};

// The host is what a person needs to know: it may be Git's or a binary's, not the registry's.
fn unreachable(what: &str, error: &CommandError) -> Failure {
    let line = error
        .tail
        .iter()
        .rfind(|line| NETWORK.iter().any(|text| line.contains(text)));
    let host = line
        .and_then(|line| host(line))
        .or_else(|| error.tail.iter().rev().find_map(|line| host(line)));
    let why = match host {
        Some(host) => format!("{host} could not be reached from the build."),
        None => format!("A host could not be reached from the build; the output above names it. {error}"),
    };
    Failure::new(
        what,
        why,
        "Push again. If it stays, the server's network does not allow it: its administrator sets a proxy, a mirror\n\
         or a CA for builds (HTTPS_PROXY, npm_config_registry).",
    )
}

// `getaddrinfo ENOTFOUND host`, `https://host/path`.
fn host(line: &str) -> Option<&str> {
    let rest = [
        "getaddrinfo ENOTFOUND ",
        "getaddrinfo EAI_AGAIN ",
        "https://",
        "http://",
    ]
    .iter()
    .find_map(|mark| line.split_once(mark).map(|(_, rest)| rest))?;
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-')
        .unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.')).filter(|host| host.contains('.'))
}

fn disk(error: &CommandError) -> Failure {
    Failure::new(
        "The disk of the build is full",
        error.to_string(),
        "Tell the server's administrator, or make the app's dependencies smaller.",
    )
}

const NETWORK: &[&str] = &[
    "ETIMEDOUT",
    "ECONNREFUSED",
    "ECONNRESET",
    "ENOTFOUND",
    "DNSResolveFailed",
    "ConnectionRefused downloading",
    "EAI_AGAIN",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "There appears to be trouble with your network connection",
];

#[cfg(test)]
mod fixtures {
    use crate::{manager::Kind, package_json::PackageJson, project::Project};
    use buildpack_support::command::{Cause, CommandError};
    use std::path::Path;

    pub(super) fn project(kind: Kind) -> Project {
        let package_json = PackageJson::parse(r#"{"scripts":{"build":"vite build"}}"#).unwrap();
        Project {
            package_json,
            ..Project::of(Path::new("/nowhere"), kind)
        }
    }

    pub(super) fn error(command: &str, status: i32, line: &str) -> CommandError {
        CommandError {
            command: command.into(),
            cause: Cause::Status(status),
            tail: vec![line.into()],
        }
    }
}
