//! The default web process: the program that most likely serves.

use crate::build::{Built, Program};
use buildpack_support::{output, process::direct, procfile::Procfile};
use libcnb::data::{launch::Process, process_type};

const WEB_NAMES: [&str; 5] = ["web", "server", "app", "api", "main"];

/// The web process, unless the Procfile gives one.
pub(crate) fn web(built: &Built, procfile: &Procfile) -> Option<Process> {
    if procfile.command("web").is_some() {
        return None;
    }
    let Some((program, why)) = choose(&built.programs) else {
        if procfile.entries.is_empty() {
            let names: Vec<&str> = built
                .programs
                .iter()
                .map(|program| program.name.as_str())
                .collect();
            output::warning(format!(
                "Nothing says which of the programs is the web process: {}.\n\
                 Commit a Procfile as in `web: {}`, or set default-run in Cargo.toml.",
                names.join(", "),
                names.first().unwrap_or(&"NAME")
            ));
        }
        return None;
    };
    output::step(format!("Web process: {} ({why})", program.name)).quiet();
    Some(Process {
        default: true,
        ..direct(process_type!("web"), [program.name.as_str()])
    })
}

fn choose(programs: &[Program]) -> Option<(&Program, &'static str)> {
    if let [only] = programs {
        return Some((only, "the only program"));
    }
    let mut defaults = programs.iter().filter(|program| program.is_default);
    if let (Some(default), None) = (defaults.next(), defaults.next()) {
        return Some((default, "default-run in Cargo.toml"));
    }
    let named = WEB_NAMES
        .iter()
        .find_map(|name| programs.iter().find(|program| program.name == *name));
    if let Some(program) = named {
        return Some((program, "by its name"));
    }
    let mut main = programs.iter().filter(|program| program.name == program.package);
    match (main.next(), main.next()) {
        (Some(program), None) => Some((program, "named as its package")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(programs: &[(&str, &str, bool)]) -> Option<String> {
        let programs: Vec<Program> = programs
            .iter()
            .map(|(name, package, is_default)| Program {
                name: (*name).to_owned(),
                package: (*package).to_owned(),
                is_default: *is_default,
                path: name.into(),
            })
            .collect();
        choose(&programs).map(|(program, _)| program.name.clone())
    }

    #[test]
    fn the_program_that_most_likely_serves() {
        assert_eq!(chosen(&[("x", "y", false)]).unwrap(), "x");
        assert_eq!(chosen(&[("x", "y", false), ("z", "y", true)]).unwrap(), "z");
        assert_eq!(
            chosen(&[("x", "y", false), ("server", "y", false)]).unwrap(),
            "server"
        );
        assert_eq!(
            chosen(&[("x", "shop", false), ("shop", "shop", false)]).unwrap(),
            "shop"
        );
        assert_eq!(chosen(&[("x", "a", false), ("y", "a", false)]), None);
        assert_eq!(chosen(&[("a", "a", false), ("b", "b", false)]), None);
    }
}
