//! What is known of the app while it is built.

use buildpack_support::{env, files, procfile::Procfile};
use libcnb::Env;
use std::path::{Path, PathBuf};

/// What builds the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Maven,
    Gradle,
}

/// The files that Gradle builds by.
pub(crate) const GRADLE_FILES: [&str; 4] = [
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "settings.gradle.kts",
];

impl Tool {
    /// By the files in the app's folder, with the file that told; Gradle where its wrapper alone is complete.
    pub(crate) fn of(app: &Path) -> Option<(Self, &'static str)> {
        let maven = files::first(app, &["pom.xml"]).map(|file| (Self::Maven, file));
        let gradle = files::first(app, &GRADLE_FILES).map(|file| (Self::Gradle, file));
        if files::exists(app, "gradlew") && !files::exists(app, "mvnw") {
            gradle.or(maven)
        } else {
            maven.or(gradle)
        }
    }
}

/// An app in the middle of its build.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) app: PathBuf,
    pub(crate) tool: Tool,
    pub(crate) procfile: Procfile,
    /// Java's major version.
    pub(crate) java: u32,
    /// The JDK.
    pub(crate) java_home: PathBuf,
    /// The environment of commands.
    pub(crate) env: Env,
}

impl Project {
    /// A program of the JDK.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.java_home.join("bin").join(name)
    }
}

/// Java does not read `HTTPS_PROXY`: it is told by properties.
pub(crate) fn set_proxies(env: &mut Env) {
    let mut options: Vec<String> = env::value(env, "JAVA_TOOL_OPTIONS").into_iter().collect();
    for scheme in ["http", "https"] {
        let name = format!("{scheme}_proxy");
        let proxy = env::value(env, &name).or_else(|| env::value(env, &name.to_uppercase()));
        if let Some((host, port)) = proxy.as_deref().and_then(host_and_port) {
            options.push(format!("-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}"));
        }
    }
    let except = env::value(env, "no_proxy").or_else(|| env::value(env, "NO_PROXY"));
    if let Some(except) = except.filter(|_| options.iter().any(|option| option.contains("proxyHost"))) {
        options.push(format!("-Dhttp.nonProxyHosts={}", non_proxy_hosts(&except)));
    }
    if !options.is_empty() {
        env.insert("JAVA_TOOL_OPTIONS", options.join(" "));
    }
}

fn host_and_port(proxy: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", proxy));
    let address = rest.split('/').next()?;
    // Credentials would be seen in the list of processes; Java takes none this way in any case.
    let address = address.rsplit('@').next()?;
    match address.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => Some((host, port)),
        _ if !address.is_empty() => Some((address, if scheme == "https" { "443" } else { "80" })),
        _ => None,
    }
}

fn non_proxy_hosts(except: &str) -> String {
    let hosts: Vec<String> = except
        .split([',', ' '])
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .map(|host| {
            host.strip_prefix('.')
                .map_or_else(|| host.to_owned(), |rest| format!("*.{rest}"))
        })
        .collect();
    hosts.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_becomes_properties() {
        let mut env = Env::new();
        env.insert("HTTPS_PROXY", "http://user:secret@proxy.example:3128/");
        env.insert("no_proxy", "localhost,.internal");
        set_proxies(&mut env);
        assert_eq!(
            env.get_string_lossy("JAVA_TOOL_OPTIONS").unwrap(),
            "-Dhttps.proxyHost=proxy.example -Dhttps.proxyPort=3128 -Dhttp.nonProxyHosts=localhost|*.internal"
        );
        let mut bare = Env::new();
        set_proxies(&mut bare);
        assert!(!bare.contains_key("JAVA_TOOL_OPTIONS"));
    }

    #[test]
    fn the_tool_is_by_the_files() {
        let of = |names: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            for name in names {
                files::write(&dir.path().join(name), "").unwrap();
            }
            Tool::of(dir.path()).map(|(tool, _)| tool)
        };
        assert_eq!(of(&["pom.xml"]), Some(Tool::Maven));
        assert_eq!(of(&["build.gradle.kts"]), Some(Tool::Gradle));
        assert_eq!(of(&["pom.xml", "build.gradle"]), Some(Tool::Maven));
        assert_eq!(of(&["pom.xml", "build.gradle", "gradlew"]), Some(Tool::Gradle));
        assert_eq!(of(&["index.html"]), None);
    }
}
