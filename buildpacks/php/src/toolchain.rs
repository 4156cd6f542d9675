//! PHP, PHP-FPM and a web server: Debian packages, unpacked into a layer that is in the image, and told where
//! they are now.

use crate::{
    boot::{self, Servers},
    composer_json::ComposerJson,
    constraint, ini,
};
use buildpack_support::{
    Failure, Result,
    download::Downloads,
    files,
    layer::{self, Spec},
    output, process,
    toolchain::deb,
    version::{self, Chosen, Requirement, Wanted},
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{ModificationBehavior, Scope},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

type Context = BuildContext<crate::PhpBuildpack>;

// What the packages depend on for machines that boot.
const NOT_NEEDED: [&str; 26] = [
    "systemd",
    "libsystemd-shared",
    "systemd-standalone-tmpfiles",
    "systemd-standalone-sysusers",
    "libelf1t64",
    "libbpf1",
    "libmnl0",
    "libtirpc-common",
    "libtirpc3t64",
    "libxtables12",
    "libcap2-bin",
    "iproute2",
    "libproc2-0",
    "procps",
    "sensible-utils",
    "libtext-charwidth-perl",
    "libtext-wrapi18n-perl",
    "ucf",
    "psmisc",
    "mount",
    "adduser",
    "init-system-helpers",
    "lsb-base",
    "passwd",
    "php-common",
    "libfdisk1",
];

fn is_needed(package: &str) -> bool {
    // Perl is for the scripts that administer Apache.
    let is_perl =
        package.starts_with("perl") || package.starts_with("libperl") || package.starts_with("libgdbm");
    !is_perl && !NOT_NEEDED.contains(&package)
}

// A worker for each 128 MB, PHP's own limit of memory; without a limit by the CPUs.
const SIZES: &str = r#"
concurrency=$((memory_mb / 128))
if [ "$is_limited" = no ] && [ "$concurrency" -gt $((cpus * 8)) ]; then concurrency=$((cpus * 8)); fi
[ "$concurrency" -ge 1 ] || concurrency=1
set_default WEB_CONCURRENCY "$concurrency"
"#;

#[derive(Serialize, Deserialize, PartialEq)]
struct Key {
    packages: Vec<String>,
    servers: String,
    scripts: String,
    recipe: u32,
}

/// The lines of PHP that the package sources have: `8.4`.
pub(crate) fn available(apt: &deb::Apt) -> Result<Vec<String>> {
    let lines: BTreeSet<String> = apt
        .names()?
        .iter()
        .filter_map(|name| {
            let line = name.strip_prefix("php")?.strip_suffix("-fpm")?;
            line.starts_with(|c: char| c.is_ascii_digit())
                .then(|| line.to_owned())
        })
        .collect();
    Ok(lines.into_iter().collect())
}

/// The line to use. Its newest patch is what the sources have, so that no patch is told from another here.
pub(crate) fn choose(json: Option<&ComposerJson>, available: &[String], env: &Env) -> Result<Chosen> {
    let asked = json.and_then(|json| json.required("php"));
    let text = asked.unwrap_or("*");
    let wanted = Wanted {
        name: "PHP",
        text,
        from: "require.php in composer.json",
    };
    let requirement = constraint::to_npm(text)
        .and_then(|npm| Requirement::npm(&npm))
        .ok_or_else(|| version::unreadable(wanted, "`^8.2`"))?;
    // A patch that is high enough for `>=8.4.5` and low enough for `<8.5`.
    let patched: Vec<String> = available.iter().map(|line| format!("{line}.99")).collect();
    let chosen = match requirement.highest(&patched) {
        Some(patch) => Chosen {
            version: patch.trim_end_matches(".99").to_owned(),
            is_fallback: false,
        },
        None => version::choose(wanted, &requirement, available, env)?,
    };
    let from = asked.map_or_else(
        || "the newest".to_owned(),
        |text| format!("require.php in composer.json is {text}"),
    );
    output::detail(format!("PHP {} ({from})", chosen.version));
    Ok(chosen)
}

/// Installs all into a layer, and gives the environment with it.
pub(crate) fn install(
    context: &Context,
    env: &Env,
    apt: &deb::Apt,
    (line, extensions): (&str, &[String]),
    servers: Servers,
) -> Result<Env> {
    let mut packages = vec![
        format!("php{line}-cli"),
        format!("php{line}-fpm"),
        "media-types".to_owned(),
    ];
    packages.extend(extensions.iter().map(|name| format!("php{line}-{name}")));
    packages.extend(servers.packages().iter().map(|name| (*name).to_owned()));
    let planned: Vec<_> = apt
        .plan(&packages, false)?
        .into_iter()
        .filter(|package| is_needed(package.name()))
        .collect();
    let version = deb::version_of(&planned, &format!("php{line}-cli")).unwrap_or_else(|| line.to_owned());
    let spec = Spec {
        name: layer_name!("php"),
        title: &format!(
            "PHP {version} with {} and {}",
            servers.title(),
            output::count(extensions.len(), "extension")
        ),
        build: true,
        launch: true,
        key: Key {
            packages: deb::file_names(&planned),
            servers: servers.title().to_owned(),
            scripts: files::fingerprint(boot::SCRIPTS.map(|(_, text)| text)),
            recipe: 2,
        },
    };
    let layer = layer::keyed(context, &spec, |path| {
        apt.unpack(&Downloads::of(env), &planned, path)?;
        for unused in [
            "usr/share/doc",
            "usr/share/man",
            "usr/share/lintian",
            "usr/share/bug",
            "usr/share/caddy",
            "usr/lib/systemd",
            "etc/init.d",
        ] {
            files::remove(&path.join(unused))?;
        }
        configure(path, line)?;
        boot::install(path, servers)?;
        process::install_exec_d(path, "size", SIZES)?;
        let mut env = deb::layer_env(path);
        for (name, value) in [
            ("PHPRC", path.join("etc/php.ini")),
            ("PHP_INI_SCAN_DIR", path.join("etc/conf.d")),
            ("PVDIFY_PHP", path.to_owned()),
        ] {
            env.insert(Scope::All, ModificationBehavior::Override, name, value);
        }
        Ok(env)
    })?;
    Ok(layer.apply(env))
}

// php.ini and the extensions' own settings, which Debian's scripts would have linked.
fn configure(path: &Path, line: &str) -> Result<()> {
    let folder = path.join("usr/lib/php");
    let production = files::read(&folder.join(line), "php.ini-production")?.unwrap_or_default();
    let extensions = extension_dir(&folder)?;
    files::write(
        &path.join("etc/php.ini"),
        ini::php_ini(&production, &extensions.display().to_string()),
    )?;
    let share = path.join("usr/share");
    for package in files::list(&share) {
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&format!("php{line}-")) {
            continue;
        }
        for file in files::list(&package)
            .iter()
            .flat_map(|folder| files::list(folder))
        {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.ends_with(".ini") {
                let text = fs::read_to_string(&file).unwrap_or_default();
                files::write(
                    &path.join("etc/conf.d").join(ini::ordered_name(&name, &text)),
                    text,
                )?;
            }
        }
    }
    for (name, target) in [
        ("php", format!("../usr/bin/php{line}")),
        ("php-fpm", format!("../usr/sbin/php-fpm{line}")),
    ] {
        files::make_dir(&path.join("bin"))?;
        let link = path.join("bin").join(name);
        symlink(target, &link).map_err(|error| Failure::io("write", &link, &error))?;
    }
    Ok(())
}

// `20240924`, PHP's number of the interface of extensions.
fn extension_dir(folder: &Path) -> Result<PathBuf> {
    files::list(folder)
        .into_iter()
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.len() == 8 && name.chars().all(|c| c.is_ascii_digit())
        })
        .ok_or_else(|| {
            Failure::new(
                "The packages of PHP have no folder of extensions",
                format!("None is in {}.", folder.display()),
                "The package sources of the build image give PHP in a form that is not known: tell the server's\n\
                 administrator.",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(require: &str, available: &[&str]) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        files::write(
            &dir.path().join("composer.json"),
            format!(r#"{{"require":{{"php":"{require}"}}}}"#),
        )
        .unwrap();
        let json = ComposerJson::of(dir.path()).unwrap();
        let available: Vec<String> = available.iter().map(|line| (*line).to_owned()).collect();
        choose(json.as_ref(), &available, &Env::new()).map(|chosen| chosen.version)
    }

    #[test]
    fn the_newest_line_that_is_allowed() {
        assert_eq!(chosen("^8.1", &["8.4"]).unwrap(), "8.4");
        assert_eq!(chosen(">=8.4.5 <8.5", &["8.4", "8.5"]).unwrap(), "8.4");
        assert_eq!(chosen("*", &["8.4", "8.5"]).unwrap(), "8.5");
        assert_eq!(chosen("~8.2.0", &["8.4", "8.5"]).unwrap(), "8.4");
    }

    #[test]
    fn a_line_that_is_not_there() {
        insta::assert_snapshot!(chosen("~7.4.0", &["8.4"]).unwrap_err().text(), @r"
        PHP ~7.4.0 is not available

        It is asked for by require.php in composer.json.
        The nearest that are: 8.4.

        Change require.php in composer.json to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest.
        ");
        insta::assert_snapshot!(chosen("dev-main", &["8.4"]).unwrap_err().text(), @r#"
        Can't read the version of PHP that is asked for

        require.php in composer.json is "dev-main".

        Write a version as in `^8.2`, commit and push again.
        "#);
    }
}
