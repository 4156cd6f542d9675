//! Builds by Maven: the app's wrapper if what it needs can be fetched, else Debian's Maven.
//!
//! As Heroku: `clean install` without tests; `MAVEN_CUSTOM_GOALS`, `MAVEN_CUSTOM_OPTS`, `MAVEN_JAVA_OPTS` and
//! `MAVEN_SETTINGS_PATH` change that. The local repository is kept between builds.

use crate::{problems, project::Project};
use buildpack_support::{
    Command, Failure, Result, command,
    download::Downloads,
    env, files,
    layer::{self, Spec},
    output,
    toolchain::deb,
};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use std::path::{Path, PathBuf};

type Context = BuildContext<crate::JavaBuildpack>;

const CACHE_LIMIT: u64 = 4_000_000_000;

/// A Maven that can be run.
#[derive(Debug)]
pub(crate) struct Maven {
    program: PathBuf,
    first: Option<PathBuf>,
    options: Vec<String>,
    env: Env,
}

/// Builds the app.
pub(crate) fn build(context: &Context, project: &Project) -> Result<()> {
    let maven = prepare(context, project)?;
    let goals = words(&project.env, "MAVEN_CUSTOM_GOALS", "clean install");
    let options = words(&project.env, "MAVEN_CUSTOM_OPTS", "-DskipTests");
    let step = output::step("Building with Maven");
    maven.run(project, &[goals, options].concat())?;
    if wants_dependencies(project) {
        copy_dependencies(&maven, project)?;
    }
    step.done();
    Ok(())
}

fn prepare(context: &Context, project: &Project) -> Result<Maven> {
    let what = ("The local repository", CACHE_LIMIT);
    let cache = layer::bounded_cache(context, layer_name!("maven-cache"), 1_u32, what)?;
    let mut env = project.env.clone();
    env.insert("MAVEN_USER_HOME", cache.join("home"));
    if env::value(&env, "MAVEN_OPTS").is_none() {
        let options = env::value(&env, "MAVEN_JAVA_OPTS");
        // A build is short: the second compiler of Java would cost more than it gains.
        let options = options.unwrap_or_else(|| "-Xmx1g -XX:+UseSerialGC -XX:TieredStopAtLevel=1".to_owned());
        env.insert("MAVEN_OPTS", options);
    }
    let mut options = vec![
        "--batch-mode".to_owned(),
        "--no-transfer-progress".to_owned(),
        format!("-Dmaven.repo.local={}", cache.join("repository").display()),
        // What is pushed is no repository of git: the plugin that asks it would fail.
        "-Dmaven.gitcommitid.skip=true".to_owned(),
    ];
    let pom = files::read(&project.app, "pom.xml")?.unwrap_or_default();
    if !pom.contains("project.build.outputTimestamp") {
        // The same source gives the same jar.
        options.push("-Dproject.build.outputTimestamp=1980-01-01T00:00:02Z".to_owned());
    }
    if let Some(settings) = settings(project)? {
        options.extend(["--settings".to_owned(), settings]);
    }
    let wrapper = wrapper(project, &env);
    let (program, first) = match wrapper {
        Some(script) => ("sh".into(), Some(script)),
        None => match command::find(&env, "mvn") {
            Some(program) => (program, None),
            None => (debians(context, project)?, None),
        },
    };
    Ok(Maven {
        program,
        first,
        options,
        env,
    })
}

impl Maven {
    fn run(&self, project: &Project, arguments: &[String]) -> Result<()> {
        let name = if self.first.is_some() { "./mvnw" } else { "mvn" };
        output::detail(format!("$ {name} {}", arguments.join(" ")));
        let command = Command::new(&self.program).args(&self.first);
        let command = self.options.iter().fold(command, Command::hidden_arg);
        command
            .args(arguments)
            .envs(&self.env)
            .dir(&project.app)
            .run()
            .map_err(|error| problems::maven(error, project))
    }
}

// The wrapper fetches its Maven when it is first asked for anything.
fn wrapper(project: &Project, env: &Env) -> Option<PathBuf> {
    let script = project.app.join("mvnw");
    if !script.is_file()
        || !project
            .app
            .join(".mvn/wrapper/maven-wrapper.properties")
            .is_file()
    {
        return None;
    }
    let asked = Command::new("sh")
        .arg(&script)
        .arg("--version")
        .envs(env)
        .dir(&project.app)
        .output();
    match asked {
        Ok(text) => {
            let version = text
                .lines()
                .find(|line| line.contains("Apache Maven "))
                .unwrap_or("Maven");
            output::detail(format!("{}, by the app's wrapper", first_words(version)));
            Some(script)
        }
        Err(error) => {
            let why = error.tail.last().cloned().unwrap_or_else(|| error.to_string());
            output::warning(format!(
                "The app's Maven wrapper can't get its Maven ({}): using Debian's instead.",
                why.trim()
            ));
            None
        }
    }
}

// `Apache Maven 3.9.9 (8e8579...)`, in some terminals with colours.
fn first_words(line: &str) -> String {
    let from = line.find("Apache").unwrap_or_default();
    line[from..]
        .split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
        .split('\u{1b}')
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn debians(context: &Context, project: &Project) -> Result<PathBuf> {
    let apt = deb::Apt::of_layer(context, &project.env, deb::Base::Build)?;
    // Java itself is there already.
    let planned: Vec<_> = apt
        .plan(&["maven".to_owned()], false)?
        .into_iter()
        .filter(|package| package.file.ends_with("_all.deb") && !package.name().starts_with("default-jre"))
        .collect();
    let version = deb::version_of(&planned, "maven").unwrap_or_default();
    let spec = Spec {
        name: layer_name!("maven"),
        title: &format!("Maven {version}"),
        build: true,
        launch: false,
        key: deb::file_names(&planned),
    };
    let layer = layer::keyed(context, &spec, |path| {
        apt.unpack(&Downloads::of(&project.env), &planned, path)?;
        Ok(LayerEnv::new())
    })?;
    Ok(layer.path.join("usr/share/maven/bin/mvn"))
}

fn settings(project: &Project) -> Result<Option<String>> {
    if let Some(path) = env::value(&project.env, "MAVEN_SETTINGS_PATH") {
        return if project.app.join(&path).is_file() {
            Ok(Some(path))
        } else {
            Err(Failure::new(
                "The settings of Maven are not there",
                format!("MAVEN_SETTINGS_PATH is {path:?}, and the app has no such file."),
                "Commit the file, or correct or remove MAVEN_SETTINGS_PATH, then push again.",
            ))
        };
    }
    Ok(files::exists(&project.app, "settings.xml").then(|| "settings.xml".to_owned()))
}

fn words(env: &Env, name: &str, default: &str) -> Vec<String> {
    let text = env::value(env, name).unwrap_or_else(|| default.to_owned());
    text.split_whitespace().map(str::to_owned).collect()
}

// A plain jar has no dependencies in it: its classes are run beside copies of them.
fn wants_dependencies(project: &Project) -> bool {
    let is_bare = |text: &str| {
        ![
            "spring-boot-maven-plugin",
            "quarkus-maven-plugin",
            "maven-shade-plugin",
            "maven-assembly-plugin",
            "copy-dependencies",
            "<modules>",
            "<packaging>war",
            "<packaging>pom",
            "<packaging>ear",
            "micronaut-maven-plugin",
            "jib-maven-plugin",
            "wildfly-maven-plugin",
            "appassembler",
        ]
        .iter()
        .any(|name| text.contains(name))
    };
    let pom = files::read(&project.app, "pom.xml")
        .ok()
        .flatten()
        .unwrap_or_default();
    is_bare(&pom) && pom.contains("<dependency>") && project.procfile.command("web").is_none()
}

fn copy_dependencies(maven: &Maven, project: &Project) -> Result<()> {
    let arguments = [
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        "-DoutputDirectory=target/dependency",
    ];
    maven.run(project, &arguments.map(str::to_owned))
}

/// What the build leaves that only the build uses, below a `target` folder.
pub(crate) fn leftovers(target: &Path) -> Vec<PathBuf> {
    [
        "test-classes",
        "generated-test-sources",
        "maven-status",
        "maven-archiver",
        "surefire-reports",
    ]
    .iter()
    .map(|name| target.join(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mavens_name_is_short() {
        assert_eq!(
            first_words("\u{1b}[1mApache Maven 3.9.9 (8e85)\u{1b}[m"),
            "Apache Maven 3.9.9"
        );
    }

    #[test]
    fn goals_and_options_are_words() {
        let mut env = Env::new();
        assert_eq!(
            words(&env, "MAVEN_CUSTOM_GOALS", "clean install"),
            ["clean", "install"]
        );
        env.insert("MAVEN_CUSTOM_GOALS", " package  -pl web ");
        assert_eq!(
            words(&env, "MAVEN_CUSTOM_GOALS", "clean install"),
            ["package", "-pl", "web"]
        );
    }
}
