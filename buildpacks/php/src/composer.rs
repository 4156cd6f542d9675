//! `composer install`, by Debian's Composer, as Heroku: no packages for development, an optimised autoloader,
//! then the app's script `compile` if there is one.

use crate::{composer_json::ComposerJson, problems};
use buildpack_support::{
    Command, Failure, Result,
    download::Downloads,
    env, files,
    layer::{self, Layer, Spec},
    output,
    toolchain::{self, deb},
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{fs, path::Path};

type Context = BuildContext<crate::PhpBuildpack>;

/// Installs the app's packages.
pub(crate) fn install(context: &Context, env: &Env, json: &ComposerJson, line: &str) -> Result<()> {
    let app = &context.app_dir;
    let has_lock = files::exists(app, "composer.lock");
    if !json.has_packages() && !has_lock && !json.has_script("compile") {
        return Ok(());
    }
    if !has_lock && json.has_packages() {
        output::warning(
            "The app has no composer.lock: each build may get other versions of its packages.\n\
             Run `composer update` on your machine and commit composer.lock.",
        );
    }
    let tool = composer(context, env, line)?;
    let program = tool.path.join("usr/bin/composer");
    let mut env = tool.apply(env);
    env.insert(
        "COMPOSER_CACHE_DIR",
        layer::cache(context, layer_name!("composer-cache"), 1_u32)?,
    );
    env.insert("COMPOSER_HOME", std::env::temp_dir().join("composer"));
    env.insert("COMPOSER_NO_INTERACTION", "1");
    env.insert("COMPOSER_NO_AUDIT", "1");
    let step = output::step("Installing packages with Composer");
    let run = |arguments: &[&str]| {
        output::detail(format!("$ composer {}", arguments.join(" ")));
        Command::new(&program)
            .args(arguments)
            .envs(&env)
            .dir(app)
            .run()
            .map_err(|error| problems::composer(error, line))
    };
    run(&[
        "install",
        "--no-dev",
        "--prefer-dist",
        "--optimize-autoloader",
        "--no-progress",
    ])?;
    if json.has_script("compile") {
        run(&["compile", "--no-dev"])?;
    }
    step.done();
    Ok(())
}

// Composer, on the PATH too, where scripts of packages look for it.
fn composer(context: &Context, env: &Env, line: &str) -> Result<Layer> {
    let apt = deb::Apt::of_layer(context, env, deb::Base::Build)?;
    let planned: Vec<_> = apt
        .plan(&["composer".to_owned(), format!("php{line}-intl")], false)?
        .into_iter()
        .filter(|package| is_part(package, line))
        .collect();
    let version = deb::version_of(&planned, "composer").unwrap_or_default();
    let spec = Spec {
        name: layer_name!("composer"),
        title: &format!("Composer {version}"),
        build: true,
        launch: false,
        key: deb::file_names(&planned),
    };
    layer::keyed(context, &spec, |path| {
        apt.unpack(&Downloads::of(env), &planned, path)?;
        for unused in ["usr/share/doc", "usr/share/man", "usr/share/lintian"] {
            files::remove(&path.join(unused))?;
        }
        relocate(path, &path.join("usr/share"))?;
        files::write(&path.join("usr/bin/composer"), relocated_head(path)?)?;
        let mut layer_env = LayerEnv::new();
        layer::prepend(&mut layer_env, Scope::Build, "PATH", path.join("usr/bin"));
        configure_intl(path, env, &mut layer_env)?;
        Ok(layer_env)
    })
}

// PHP itself is there; Debian's Composer asks for intl besides, which an app may do without.
fn is_part(package: &deb::Planned, line: &str) -> bool {
    let name = package.name();
    (package.file.ends_with("_all.deb") && name != "php-common")
        || name == format!("php{line}-intl")
        || name.starts_with("libicu")
}

fn configure_intl(path: &Path, env: &Env, layer_env: &mut LayerEnv) -> Result<()> {
    let folders = fs::read_dir(path.join("usr/lib/php"))
        .into_iter()
        .flatten()
        .flatten();
    let file = folders
        .map(|entry| entry.path().join("intl.so"))
        .find(|file| file.is_file());
    let scanned = env::value(env, "PHP_INI_SCAN_DIR").unwrap_or_default();
    let Some(file) = file.filter(|_| !Path::new(&scanned).join("20-intl.ini").exists()) else {
        return Ok(());
    };
    let folder = path.join("etc/conf.d");
    files::write(
        &folder.join("20-intl.ini"),
        format!("extension={}\n", file.display()),
    )?;
    let (name, all) = ("PHP_INI_SCAN_DIR", format!("{scanned}:{}", folder.display()));
    layer_env.insert(Scope::Build, ModificationBehavior::Override, name, all);
    let libraries = path.join("usr/lib").join(toolchain::multiarch());
    layer::prepend(layer_env, Scope::Build, "LD_LIBRARY_PATH", libraries);
    Ok(())
}

fn relocated_head(path: &Path) -> Result<String> {
    let text = files::read(&path.join("usr/bin"), "composer")?.unwrap_or_default();
    Ok(text.replacen("#!/usr/bin/php", "#!/usr/bin/env php", 1))
}

// Debian's loaders name each other from the root.
fn relocate(layer: &Path, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link {
            relocate(layer, &path)?;
        } else if !is_link && path.extension().is_some_and(|extension| extension == "php") {
            let text = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
            let text = String::from_utf8_lossy(&text);
            if text.contains("'/usr/share/") {
                let there = format!("'{}/usr/share/", layer.display());
                files::write(&path, text.replace("'/usr/share/", &there))?;
            }
        }
    }
    Ok(())
}
