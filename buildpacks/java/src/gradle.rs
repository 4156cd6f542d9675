//! Builds by Gradle, through the app's wrapper: each version of Gradle reads build files in its own way, so there
//! is no other that could stand in.
//!
//! As Heroku: the task `GRADLE_TASK` names, else `stage` if there is one; else what makes the app's archives,
//! without tests. Gradle's own files are kept between builds.

use crate::{problems, project::Project};
use buildpack_support::{Command, Failure, Result, command, env, files, layer, output};
use libcnb::{build::BuildContext, data::layer_name};
use std::path::Path;

type Context = BuildContext<crate::JavaBuildpack>;

const PROPERTIES: &str = "gradle/wrapper/gradle-wrapper.properties";
const RETRIES: u32 = 3;
const CACHE_LIMIT: u64 = 4_000_000_000;

/// Builds the app.
pub(crate) fn build(context: &Context, project: &Project) -> Result<()> {
    let what = ("The cache of Gradle", CACHE_LIMIT);
    let cache = layer::bounded_cache(context, layer_name!("gradle-cache"), 1_u32, what)?;
    let mut env = project.env.clone();
    env.insert("GRADLE_USER_HOME", &cache);
    let step = output::step("Building with Gradle");
    let mut gradle = vec!["sh".to_owned(), project.app.join("gradlew").display().to_string()];
    if files::exists(&project.app, "gradlew") {
        configure_wrapper(project)?;
    } else {
        let program = command::find(&env, "gradle").ok_or_else(problems::no_wrapper)?;
        gradle = vec![program.display().to_string()];
    }
    let run = |arguments: &[String]| {
        Command::new(&gradle[0])
            .args(&gradle[1..])
            .args(arguments)
            .envs(&env)
            .dir(&project.app)
    };
    run(&["--version".to_owned(), "--no-daemon".to_owned()])
        .output()
        .map_err(|error| problems::no_gradle(error, &distribution(project)))?;
    let tasks = tasks(project)?;
    output::detail(format!("$ ./gradlew {}", tasks.join(" ")));
    let options = ["--no-daemon", "--console=plain", "--warning-mode=none"].map(str::to_owned);
    run(&[&options[..], &tasks].concat())
        .run()
        .map_err(|error| problems::gradle(error, project))?;
    step.done();
    Ok(())
}

fn tasks(project: &Project) -> Result<Vec<String>> {
    if let Some(task) = env::value(&project.env, "GRADLE_TASK") {
        return Ok(task.split_whitespace().map(str::to_owned).collect());
    }
    let texts = build_files(&project.app)?;
    Ok(default_tasks(&texts).into_iter().map(str::to_owned).collect())
}

// The build files of the root and of the folders in it.
fn build_files(app: &Path) -> Result<String> {
    let mut folders = vec![app.to_owned()];
    let entries = std::fs::read_dir(app).into_iter().flatten().flatten();
    folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    let mut text = String::new();
    for folder in folders {
        for name in ["build.gradle", "build.gradle.kts"] {
            text.push_str(&files::read(&folder, name)?.unwrap_or_default());
            text.push('\n');
        }
    }
    Ok(text)
}

fn default_tasks(build: &str) -> Vec<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| build.contains(word));
    if has(&[
        "task stage",
        "register(\"stage\"",
        "register('stage'",
        "create(\"stage\"",
        "create('stage'",
        "val stage by",
    ]) {
        return vec!["stage"];
    }
    let mut tasks = vec!["assemble"];
    // These make an archive with all in it; `application` alone does so in a folder.
    let is_bundled = has(&[
        "org.springframework.boot",
        "io.quarkus",
        "shadow",
        "io.ktor.plugin",
        "spring.boot",
    ]);
    let is_application = has(&[
        "`application`",
        "application\n",
        "id 'application'",
        "id(\"application\")",
        "id \"application\"",
        "plugin: 'application'",
        "plugin: \"application\"",
        "io.micronaut.application",
        "buildlogic",
        "application {",
    ]);
    if is_application && !is_bundled {
        tasks.push("installDist");
    }
    if has(&["shadow"]) && !has(&["org.springframework.boot"]) {
        tasks.push("shadowJar");
    }
    tasks
}

fn distribution(project: &Project) -> String {
    let text = files::read(&project.app, PROPERTIES)
        .ok()
        .flatten()
        .unwrap_or_default();
    distribution_url(&text).unwrap_or_else(|| format!("what {PROPERTIES} names"))
}

fn distribution_url(properties: &str) -> Option<String> {
    let line = properties
        .lines()
        .find_map(|line| line.trim().strip_prefix("distributionUrl"))?;
    Some(line.trim_start().strip_prefix('=')?.trim().replace("\\:", ":"))
}

// The wrapper's properties as this build is to have them.
fn configure_wrapper(project: &Project) -> Result<()> {
    let text = files::read(&project.app, PROPERTIES)?.ok_or_else(|| {
        Failure::new(
            "The Gradle wrapper is not complete",
            format!("{PROPERTIES} is not there."),
            "Run `gradle wrapper` on your machine, commit the folder gradle/wrapper and push again.",
        )
    })?;
    let mirror = env::value(&project.env, "PVDIFY_MIRROR_GRADLE");
    let configured = configured(&text, mirror.as_deref());
    if configured == text {
        return Ok(());
    }
    files::write(&project.app.join(PROPERTIES), configured)
}

// PVDIFY_MIRROR_GRADLE is a folder, by URL, that has the files of Gradle's own site. Gradle 9 writes `retries=10`,
// each after twice the time of the one before: a site that is out of reach would cost eight silent minutes.
fn configured(properties: &str, mirror: Option<&str>) -> String {
    let url = distribution_url(properties);
    let file = url.as_deref().and_then(|url| url.rsplit('/').next());
    let lines: Vec<String> = properties
        .lines()
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap_or_default();
            match (name.trim(), mirror, file) {
                ("distributionUrl", Some(mirror), Some(file)) => {
                    let mirror = mirror.trim_end_matches('/').replace(':', "\\:");
                    format!("distributionUrl={mirror}/{file}")
                }
                ("retries", ..) if value.trim().parse().is_ok_and(|count: u32| count > RETRIES) => {
                    format!("retries={RETRIES}")
                }
                _ => line.to_owned(),
            }
        })
        .collect();
    if lines.iter().map(String::as_str).eq(properties.lines()) {
        return properties.to_owned();
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_is_by_the_plugins() {
        for (build, expected) in [
            ("task stage(dependsOn: ['build'])", vec!["stage"]),
            (
                "plugins { id 'org.springframework.boot' version '3' }",
                vec!["assemble"],
            ),
            ("plugins {\n    application\n}", vec!["assemble", "installDist"]),
            (
                "plugins { id(\"com.gradleup.shadow\"); application }",
                vec!["assemble", "shadowJar"],
            ),
            ("plugins { java }", vec!["assemble"]),
        ] {
            assert_eq!(default_tasks(build), expected, "{build}");
        }
    }

    #[test]
    fn the_wrappers_address_is_read() {
        let text = "a=b\ndistributionUrl=https\\://host/distributions/gradle-9.0-bin.zip\n";
        assert_eq!(
            distribution_url(text).unwrap(),
            "https://host/distributions/gradle-9.0-bin.zip"
        );
    }

    #[test]
    fn the_wrapper_gives_up_soon_and_asks_a_mirror() {
        let text = "distributionUrl=https\\://host/d/gradle-9.5.0-bin.zip\nretries=10\nretryBackOffMs=500\n";
        assert_eq!(
            configured(text, None),
            "distributionUrl=https\\://host/d/gradle-9.5.0-bin.zip\nretries=3\nretryBackOffMs=500\n"
        );
        assert_eq!(
            configured(text, Some("https://mirror/gradle/")),
            "distributionUrl=https\\://mirror/gradle/gradle-9.5.0-bin.zip\nretries=3\nretryBackOffMs=500\n"
        );
        let own = "retries=0\r\ndistributionUrl=x";
        assert_eq!(configured(own, None), own);
    }
}
