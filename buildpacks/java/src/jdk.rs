//! Java in layers: the JDK for the build, and for the image a runtime that is linked from it.
//!
//! The JDK is Debian's, unpacked; scripts that would make its store of certificates do not run, so it is made
//! here, from the container's bundle and any private CA that the environment names. The runtime has all modules
//! but those for development: an app may load a class of any other by name.

use crate::{problems, version::Chosen};
use buildpack_support::{
    Command, Failure, Result,
    download::Downloads,
    env, files,
    layer::{self, Spec},
    output, process,
    toolchain::{self, deb},
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

type Context = BuildContext<crate::JavaBuildpack>;

/// Where certificates are found in an image of Debian's family.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const TRUSTSTORE: &str = include_str!("Truststore.java");

// Heap: what is left beside some 200 MB for classes, code and threads, at most 70 % of all. A heap that the app
// sets itself stays. PORT is told to the frameworks that do not read it.
const SIZES: &str = r#"
sizes=
options="${JAVA_TOOL_OPTIONS:-} ${JDK_JAVA_OPTIONS:-} ${JAVA_OPTS:-}"
case "$options" in
*-Xmx* | *RAMPercentage*) ;;
*)
  if [ "$is_limited" = yes ]; then
    heap=$((memory_mb * 70 / 100))
    beside=$((memory_mb - 200))
    [ "$beside" -ge "$heap" ] || heap=$beside
    least=$((memory_mb * 40 / 100))
    [ "$heap" -ge "$least" ] || heap=$least
    sizes="-Xmx${heap}m -Xss512k "
  fi
  ;;
esac
set_default JAVA_TOOL_OPTIONS "$sizes-XX:+ExitOnOutOfMemoryError -Dfile.encoding=UTF-8@COMPATIBLE@"
if [ -n "${PORT:-}" ]; then
  set_default SERVER_PORT "$PORT"
  set_default MICRONAUT_SERVER_PORT "$PORT"
  set_default QUARKUS_HTTP_PORT "$PORT"
fi
"#;

// What libraries for Java up to 15 reach into and later Java closes.
const OPENED: [&str; 5] = [
    "java.lang",
    "java.lang.reflect",
    "java.util",
    "java.io",
    "java.net",
];

/// Modules for development only.
const DEVELOPMENT: [&str; 16] = [
    "jdk.compiler",
    "jdk.javadoc",
    "jdk.jshell",
    "jdk.jdeps",
    "jdk.jlink",
    "jdk.jpackage",
    "jdk.jconsole",
    "jdk.jdi",
    "jdk.editpad",
    "jdk.hotspot.agent",
    "jdk.internal.ed",
    "jdk.internal.le",
    "jdk.jartool",
    "jdk.graal.compiler",
    "jdk.graal.compiler.management",
    "jdk.internal.vm.compiler",
];

/// The JDK, ready.
#[derive(Debug)]
pub(crate) struct Jdk {
    pub(crate) home: PathBuf,
    pub(crate) env: Env,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Key {
    java: u32,
    packages: Vec<String>,
    certificates: String,
    recipe: u32,
    formula: String,
}

/// The JDKs that the image's package sources have, by their first numbers.
pub(crate) fn available(apt: &deb::Apt) -> Result<Vec<u32>> {
    let names = apt.names()?;
    let majors: BTreeSet<u32> = names
        .iter()
        .filter_map(|name| {
            name.strip_prefix("openjdk-")?
                .strip_suffix("-jdk-headless")?
                .parse()
                .ok()
        })
        .collect();
    Ok(majors.into_iter().collect())
}

/// Installs the JDK for the build and the runtime for the image.
pub(crate) fn install(context: &Context, env: &Env, apt: &deb::Apt, chosen: &Chosen) -> Result<Jdk> {
    let java = chosen.major;
    let name = format!("openjdk-{java}-jdk-headless");
    let planned = apt.plan(std::slice::from_ref(&name), false)?;
    let bundles = bundles(env);
    let key = |recipe, formula: &str| Key {
        java,
        packages: deb::file_names(&planned),
        certificates: fingerprint(&bundles),
        recipe,
        formula: formula.to_owned(),
    };
    let version = deb::version_of(&planned, &name).unwrap_or_else(|| java.to_string());
    let spec = Spec {
        name: layer_name!("jdk"),
        title: &format!("OpenJDK {version}"),
        build: true,
        launch: false,
        key: key(1, ""),
    };
    let layer = layer::keyed(context, &spec, |path| {
        apt.unpack(&Downloads::of(env), &planned, path)?;
        let home = home(path, java);
        for unused in ["demo", "man", "lib/src.zip"] {
            files::remove(&home.join(unused))?;
        }
        trust(&home, &bundles)?;
        let mut env = deb::layer_env(path);
        layer::prepend(&mut env, Scope::Build, "PATH", home.join("bin"));
        env.insert(Scope::Build, ModificationBehavior::Override, "JAVA_HOME", &home);
        Ok(env)
    })?;
    let home = home(&layer.path, java);
    let formula = sizes(chosen);
    let spec = Spec {
        name: layer_name!("runtime"),
        title: &format!("Java {version} runtime for the image"),
        build: false,
        launch: true,
        key: key(1, &formula),
    };
    layer::keyed(context, &spec, |path| {
        link((&home, java), &layer.path, path)?;
        process::install_exec_d(path, "size", &formula)?;
        let mut env = LayerEnv::new();
        let runtime = path.join("jre");
        layer::prepend(&mut env, Scope::Launch, "PATH", runtime.join("bin"));
        env.insert(
            Scope::Launch,
            ModificationBehavior::Override,
            "JAVA_HOME",
            &runtime,
        );
        Ok(env)
    })?;
    Ok(Jdk {
        env: layer.apply(env),
        home,
    })
}

fn home(layer: &Path, java: u32) -> PathBuf {
    let arch = toolchain::debian_arch();
    layer.join(format!("usr/lib/jvm/java-{java}-openjdk-{arch}"))
}

fn sizes(chosen: &Chosen) -> String {
    let is_old = chosen.written_for.is_some_and(|major| major < 16);
    let opened: String = OPENED
        .iter()
        .filter(|_| is_old)
        .map(|package| format!(" --add-opens=java.base/{package}=ALL-UNNAMED"))
        .collect();
    SIZES.replace("@COMPATIBLE@", &opened)
}

fn bundles(env: &Env) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [Some(SYSTEM_BUNDLE.to_owned()), env::value(env, "SSL_CERT_FILE")]
        .into_iter()
        .flatten()
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .collect();
    found.dedup();
    found
}

fn fingerprint(bundles: &[PathBuf]) -> String {
    files::fingerprint(bundles.iter().map(|path| std::fs::read(path).unwrap_or_default()))
}

/// Makes the JDK's store of certificates.
fn trust(home: &Path, bundles: &[PathBuf]) -> Result<()> {
    let store = home.join("lib/security/cacerts");
    files::remove(&store)?;
    if bundles.is_empty() {
        output::warning("The build image has no certificates: Java can't fetch by https.");
        return Ok(());
    }
    let folder = files::temporary()?;
    let program = folder.path().join("Truststore.java");
    files::write(&program, TRUSTSTORE)?;
    Command::new(home.join("bin/java"))
        .arg(&program)
        .arg(&store)
        .args(bundles)
        .quiet()
        .run()
        .map_err(|error| problems::no_trust(error, bundles))
}

// The runtime in `into`/jre, with the libraries of the layer that only Debian's Java brings.
fn link((home, java): (&Path, u32), jdk: &Path, into: &Path) -> Result<()> {
    let modules = Command::new(home.join("bin/java"))
        .arg("--list-modules")
        .output()
        .map_err(problems::no_runtime)?;
    let wanted: Vec<&str> = modules
        .lines()
        .filter_map(|line| line.split('@').next())
        .filter(|name| !name.is_empty() && !DEVELOPMENT.contains(name))
        .collect();
    let runtime = into.join("jre");
    Command::new(home.join("bin/jlink"))
        .arg("--add-modules")
        .arg(wanted.join(","))
        .args([
            if java < 21 {
                "--compress=2"
            } else {
                "--compress=zip-6"
            },
            "--no-header-files",
            "--no-man-pages",
            "--generate-cds-archive",
            "--output",
        ])
        .arg(&runtime)
        .quiet()
        .run()
        .map_err(problems::no_runtime)?;
    let store = runtime.join("lib/security/cacerts");
    files::remove(&store)?;
    std::fs::copy(home.join("lib/security/cacerts"), &store)
        .map_err(|error| Failure::io("write", &store, &error))?;
    // For heaps of 32 GB and more only.
    files::remove(&runtime.join("lib/server/classes_nocoops.jsa"))?;
    // Found by the runtime's own path ($ORIGIN), so no other program of the app sees them.
    let libraries = jdk.join("usr/lib").join(toolchain::multiarch());
    for name in ["libjpeg.so.62", "liblcms2.so.2", "libpcsclite.so.1"] {
        let target = runtime.join("lib").join(name);
        if libraries.join(name).is_file() {
            std::fs::copy(libraries.join(name), &target)
                .map_err(|error| Failure::io("write", &target, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_for_old_java_may_reach_into_the_new() {
        let chosen = |written_for| Chosen {
            major: 21,
            from: String::new(),
            written_for,
        };
        assert!(sizes(&chosen(Some(8))).contains("--add-opens=java.base/java.lang=ALL-UNNAMED"));
        assert!(!sizes(&chosen(Some(17))).contains("--add-opens"));
        assert!(!sizes(&chosen(None)).contains('@'));
    }
}
