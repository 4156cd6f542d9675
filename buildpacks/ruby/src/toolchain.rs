//! Debian's Ruby and Bundler in a layer that is in the image.
//!
//! Ruby finds its files by where its configuration lies, if the folders of libraries are given (RUBYLIB); Debian's
//! own paths of gems are turned off, and the layer's given instead.

use crate::version::Ruby;
use buildpack_support::{
    Failure, Result,
    download::Downloads,
    files,
    layer::{self, Layer, Spec},
    process,
    toolchain::{deb, multiarch},
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{ModificationBehavior, Scope},
};
use std::{fs, path::Path};

type Context = BuildContext<crate::RubyBuildpack>;

// A worker of Puma for each 512 MB; one alone needs no master.
const SIZES: &str = r#"
concurrency=$((memory_mb / 512))
if [ "$is_limited" = no ] && [ "$concurrency" -gt "$cpus" ]; then concurrency=$cpus; fi
if [ "$concurrency" -ge 2 ]; then set_default WEB_CONCURRENCY "$concurrency"; fi
"#;

/// The Rubies that the package sources have.
pub(crate) fn available(apt: &deb::Apt) -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for name in apt.names()? {
        let line = name.strip_prefix("ruby").unwrap_or_default();
        let is_line = line.split('.').count() == 2 && line.split('.').all(|part| part.parse::<u32>().is_ok());
        if !is_line {
            continue;
        }
        let planned = apt.plan(std::slice::from_ref(&name), false)?;
        // Of a package that is there already the plan says nothing.
        versions.push(deb::version_of(&planned, &name).unwrap_or_else(|| format!("{line}.0")));
    }
    Ok(versions)
}

/// Installs Ruby and Bundler; gives the layer, and the names of the packages in it.
pub(crate) fn install(
    context: &Context,
    env: &Env,
    apt: &deb::Apt,
    ruby: &Ruby,
) -> Result<(Layer, Vec<String>)> {
    let line = ruby.line();
    let packages = [
        format!("ruby{line}"),
        format!("ruby{line}-dev"),
        "ruby".to_owned(),
        "bundler".to_owned(),
    ];
    let planned = apt.plan(&packages, false)?;
    let spec = Spec {
        name: layer_name!("ruby"),
        title: &format!("Ruby {} with Bundler", ruby.version),
        build: true,
        launch: true,
        key: deb::file_names(&planned).join(" ") + SIZES,
    };
    let layer = layer::keyed(context, &spec, |path| {
        apt.unpack(&Downloads::of(env), &planned, path)?;
        for unused in [
            "usr/share/doc",
            "usr/share/man",
            "usr/share/ri",
            "usr/share/lintian",
        ] {
            files::remove(&path.join(unused))?;
        }
        own_ruby(&path.join("usr/bin"))?;
        process::install_exec_d(path, "size", SIZES)?;
        let mut env = deb::layer_env(path);
        let usr = path.join("usr");
        let abi = abi(&usr, &line);
        let arch = multiarch();
        let libraries = [
            format!("lib/ruby/vendor_ruby/{abi}"),
            format!("lib/{arch}/ruby/vendor_ruby/{abi}"),
            "lib/ruby/vendor_ruby".to_owned(),
            format!("lib/ruby/{abi}"),
            format!("lib/{arch}/ruby/{abi}"),
        ];
        let gems = [
            "share/rubygems-integration/all".to_owned(),
            format!("share/rubygems-integration/{abi}"),
            format!("lib/{arch}/rubygems-integration/{abi}"),
            format!("lib/ruby/gems/{abi}"),
        ];
        for (name, folders) in [("RUBYLIB", &libraries[..]), ("GEM_PATH", &gems[..])] {
            let folders: Vec<String> = folders
                .iter()
                .map(|folder| usr.join(folder).display().to_string())
                .collect();
            layer::prepend(&mut env, Scope::All, name, folders.join(":"));
        }
        env.insert(
            Scope::All,
            ModificationBehavior::Override,
            "DEBIAN_DISABLE_RUBYGEMS_INTEGRATION",
            "1",
        );
        Ok(env)
    })?;
    let names = planned.iter().map(|package| package.name().to_owned()).collect();
    Ok((layer, names))
}

// `3.3.0`: the interface of extensions, of which there is one a line.
fn abi(usr: &Path, line: &str) -> String {
    let entries = fs::read_dir(usr.join("lib/ruby")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| name.starts_with(&format!("{line}.")))
        .unwrap_or_else(|| format!("{line}.0"))
}

// Scripts begin with the Ruby of the system's own folder.
fn own_ruby(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() || !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
        if let Some(rest) = bytes.strip_prefix(b"#!/usr/bin/ruby") {
            let text = [b"#!/usr/bin/env ruby".as_slice(), rest].concat();
            fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_begin_with_the_ruby_on_the_path() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("a"), "#!/usr/bin/ruby3.3\nputs 1\n").unwrap();
        files::write(&dir.path().join("b"), "\x7fELF").unwrap();
        own_ruby(dir.path()).unwrap();
        assert_eq!(
            files::read(dir.path(), "a").unwrap().unwrap(),
            "#!/usr/bin/env ruby3.3\nputs 1\n"
        );
        assert_eq!(files::read(dir.path(), "b").unwrap().unwrap(), "\x7fELF");
    }
}
