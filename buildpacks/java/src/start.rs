//! The default web process: what was built, started by `java`, with the port that the platform gives.

use crate::{
    artifact::{Found, Kind},
    problems,
    project::Project,
};
use buildpack_support::{Result, output, process::shell};
use libcnb::data::{launch::Process, process_type};
use std::path::Path;

// Modules that a web app in several is mostly in.
const WEB_NAMES: [&str; 9] = [
    "web",
    "server",
    "app",
    "application",
    "api",
    "service",
    "backend",
    "main",
    "bootstrap",
];

/// The web process, unless the Procfile gives one.
pub(crate) fn web(project: &Project, found: &[Found]) -> Result<Option<Process>> {
    if project.procfile.command("web").is_some() {
        return Ok(None);
    }
    let Some(found) = choose(found)? else {
        if project.procfile.entries.is_empty() {
            output::warning(
                "Nothing that was built can be started: no jar has a Main-Class, and there is no Procfile.\n\
                 Add a Procfile as in `web: java -cp target/classes com.example.Main`.",
            );
        }
        return Ok(None);
    };
    let command = command(found);
    output::step(format!("Web process: {command}")).quiet();
    Ok(Some(Process {
        default: true,
        ..shell(process_type!("web"), &command)
    }))
}

fn choose(found: &[Found]) -> Result<Option<&Found>> {
    let rank = |kind: &Kind| match kind {
        Kind::SpringBoot | Kind::Quarkus => 0,
        Kind::ExecutableWar | Kind::Script => 1,
        Kind::Jar => 2,
        Kind::Class(_) => 3,
        Kind::War => 4,
    };
    let Some(best) = found.iter().map(|found| rank(&found.kind)).min() else {
        return Ok(None);
    };
    let best: Vec<&Found> = found.iter().filter(|found| rank(&found.kind) == best).collect();
    if best[0].kind == Kind::War {
        return Err(problems::only_a_war(&best[0].path));
    }
    let root: Vec<&Found> = best
        .iter()
        .copied()
        .filter(|found| module(&found.path).is_none())
        .collect();
    let named = best.iter().find(|found| {
        module(&found.path).is_some_and(|module| {
            module
                .split(['-', '_'])
                .any(|word| WEB_NAMES.contains(&word.to_ascii_lowercase().as_str()))
        })
    });
    match (&best[..], &root[..]) {
        ([one], _) | (_, [one]) => Ok(Some(one)),
        // A shaded jar stands beside the plain one; its name is the longer.
        (_, [first, rest @ ..]) => Ok(Some(rest.iter().fold(first, |best, found| {
            if found.path.as_os_str().len() > best.path.as_os_str().len() {
                found
            } else {
                best
            }
        }))),
        (_, []) => match named {
            Some(found) => Ok(Some(found)),
            None => Err(problems::several(
                &best
                    .iter()
                    .map(|found| found.path.display().to_string())
                    .collect::<Vec<_>>(),
            )),
        },
    }
}

// `web` of `web/target/x.jar`; nothing for `target/x.jar`.
fn module(path: &Path) -> Option<String> {
    let mut parts = path.components().map(|part| part.as_os_str().to_string_lossy());
    let first = parts.next()?;
    let inside: Vec<_> = std::iter::once(first)
        .chain(parts)
        .take_while(|part| part != "target" && part != "build")
        .collect();
    inside.last().map(|part| part.clone().into_owned())
}

fn command(found: &Found) -> String {
    let path = quoted(&found.path.display().to_string());
    match &found.kind {
        Kind::SpringBoot | Kind::ExecutableWar => {
            format!("exec java $JAVA_OPTS -Dserver.port=$PORT -jar {path}")
        }
        Kind::Quarkus => format!("exec java $JAVA_OPTS -Dquarkus.http.port=$PORT -jar {path}"),
        Kind::Jar | Kind::War => format!("exec java $JAVA_OPTS -jar {path}"),
        Kind::Script => format!("exec {path}"),
        Kind::Class(class) => {
            let dependency = found.path.with_file_name("dependency");
            format!(
                "exec java $JAVA_OPTS -cp {path}:{}/* {class}",
                quoted(&dependency.display().to_string())
            )
        }
    }
}

fn quoted(path: &str) -> String {
    let is_plain = path
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./+@%".contains(c));
    if is_plain {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn found(kind: Kind, path: &str) -> Found {
        Found {
            kind,
            path: path.into(),
            manifest: BTreeMap::new(),
        }
    }

    fn chosen(all: &[(Kind, &str)]) -> Option<String> {
        let all: Vec<Found> = all.iter().map(|(kind, path)| found(kind.clone(), path)).collect();
        choose(&all).unwrap().map(command)
    }

    #[test]
    fn the_web_process_is_what_most_likely_serves() {
        assert_eq!(chosen(&[]), None);
        assert_eq!(
            chosen(&[
                (Kind::Jar, "cli/target/cli.jar"),
                (Kind::SpringBoot, "core/target/x.jar")
            ])
            .unwrap(),
            "exec java $JAVA_OPTS -Dserver.port=$PORT -jar core/target/x.jar"
        );
        assert_eq!(
            chosen(&[
                (Kind::SpringBoot, "admin/target/a.jar"),
                (Kind::SpringBoot, "shop-web/target/w.jar")
            ])
            .unwrap(),
            "exec java $JAVA_OPTS -Dserver.port=$PORT -jar shop-web/target/w.jar"
        );
        assert_eq!(
            chosen(&[
                (Kind::Jar, "target/a.jar"),
                (Kind::Jar, "target/a-with-dependencies.jar")
            ])
            .unwrap(),
            "exec java $JAVA_OPTS -jar target/a-with-dependencies.jar"
        );
        assert_eq!(
            chosen(&[(Kind::Class("com.App".into()), "target/classes")]).unwrap(),
            "exec java $JAVA_OPTS -cp target/classes:target/dependency/* com.App"
        );
        assert_eq!(
            chosen(&[(Kind::Script, "app/build/install/a b/bin/a b")]).unwrap(),
            "exec 'app/build/install/a b/bin/a b'"
        );
    }

    #[test]
    fn a_war_needs_a_server() {
        insta::assert_snapshot!(choose(&[found(Kind::War, "target/shop.war")]).unwrap_err().text(), @r"
        Nothing starts the web archive target/shop.war

        A .war needs a server of servlets (Tomcat, Jetty), and the app brings none.

        With Spring Boot: let spring-boot-maven-plugin make the archive (goal `repackage`). Otherwise let
        maven-dependency-plugin copy a runner into target/dependency, and commit a Procfile as in
        `web: java $JAVA_OPTS -jar target/dependency/webapp-runner.jar --port $PORT target/shop.war`.
        ");
    }

    #[test]
    fn several_that_could_be_it() {
        let all = [
            found(Kind::SpringBoot, "a/target/a.jar"),
            found(Kind::SpringBoot, "b/target/b.jar"),
        ];
        insta::assert_snapshot!(choose(&all).unwrap_err().text(), @r"
        Several of the app's jars could be the web process

        These can be started: a/target/a.jar, b/target/b.jar.

        Commit a Procfile that names one, as in `web: java $JAVA_OPTS -Dserver.port=$PORT -jar a/target/a.jar`.
        ");
    }
}
