//! The scripts that boot PHP-FPM and a web server, under the names that Heroku gives them.
//!
//! `heroku-php-apache2` and `heroku-php-nginx` take Heroku's options, so that Procfiles work as they are. One
//! script is behind both: it writes the configurations for this container, starts the two, and ends both when one
//! ends or when it is told to.

use buildpack_support::{Failure, Result, env, files, procfile::Procfile};
use libcnb::Env;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

/// Name and text of each file of the boot.
pub(crate) const SCRIPTS: [(&str, &str); 3] = [
    ("boot.sh", include_str!("boot/boot.sh")),
    ("apache2.conf", include_str!("boot/apache2.conf")),
    ("nginx.conf", include_str!("boot/nginx.conf")),
];

/// The web servers that the app needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    Apache,
    Nginx,
    Both,
}

impl Servers {
    /// Their Debian packages.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Apache => &["apache2-bin"],
            Self::Nginx => &["nginx"],
            Self::Both => &["apache2-bin", "nginx"],
        }
    }

    /// The command that starts the app when nothing else is said.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Apache | Self::Both => "heroku-php-apache2",
            Self::Nginx => "heroku-php-nginx",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Apache => "Apache",
            Self::Nginx => "nginx",
            Self::Both => "Apache and nginx",
        }
    }
}

/// By the Procfile: Apache, unless it names the other. Without a web process there BP_PHP_SERVER counts, which
/// projects set in project.toml for the buildpacks of others.
pub(crate) fn servers(procfile: &Procfile, env: &Env) -> Servers {
    let names = |name: &str| procfile.entries.iter().any(|entry| entry.command.contains(name));
    let is_free = procfile.command("web").is_none();
    let is_nginx = is_free && env::value(env, "BP_PHP_SERVER").as_deref() == Some("nginx");
    match (
        names("heroku-php-apache2") || is_free && !is_nginx,
        names("heroku-php-nginx") || is_nginx,
    ) {
        (true, true) => Servers::Both,
        (false, true) => Servers::Nginx,
        (_, false) => Servers::Apache,
    }
}

/// Writes the scripts into the layer.
pub(crate) fn install(layer: &Path, servers: Servers) -> Result<()> {
    let folder = layer.join("boot");
    for (name, text) in SCRIPTS {
        files::write(&folder.join(name), text)?;
    }
    let script = folder.join("boot.sh");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .map_err(|error| Failure::io("write", &script, &error))?;
    let names: &[&str] = match servers {
        Servers::Apache => &["heroku-php-apache2"],
        Servers::Nginx => &["heroku-php-nginx"],
        Servers::Both => &["heroku-php-apache2", "heroku-php-nginx"],
    };
    for name in names {
        link(Path::new("../boot/boot.sh"), &layer.join("bin").join(name))?;
    }
    media_types(layer, Path::new("/etc/mime.types"))
}

// Apache reads them from the layer. They come with its packages, unless the run image has them, and so the build
// image, which stands on it.
fn media_types(layer: &Path, of_image: &Path) -> Result<()> {
    let own = layer.join("etc/mime.types");
    if own.exists() || !of_image.exists() {
        return Ok(());
    }
    files::make_dir(&layer.join("etc"))?;
    fs::copy(of_image, &own)
        .map(drop)
        .map_err(|error| Failure::io("write", &own, &error))
}

/// Old Procfiles have `vendor/bin/heroku-php-apache2`: a package of Heroku's put it there.
pub(crate) fn link_scripts(app: &Path, procfile: &Procfile) -> Result<()> {
    for name in ["heroku-php-apache2", "heroku-php-nginx"] {
        let path = format!("vendor/bin/{name}");
        if procfile.entries.iter().any(|entry| entry.command.contains(&path)) {
            let script = format!("#!/bin/sh\nexec {name} \"$@\"\n");
            let path = app.join(path);
            files::remove(&path)?;
            files::write(&path, script)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .map_err(|error| Failure::io("write", &path, &error))?;
        }
    }
    Ok(())
}

fn link(target: &Path, link: &Path) -> Result<()> {
    if let Some(folder) = link.parent() {
        files::make_dir(folder)?;
    }
    files::remove(link)?;
    symlink(target, link).map_err(|error| Failure::io("write", link, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_by_the_procfile() {
        let of = |text: &str| servers(&Procfile::parse(text).unwrap(), &Env::new());
        assert_eq!(of(""), Servers::Apache);
        assert_eq!(of("web: heroku-php-nginx public/"), Servers::Nginx);
        assert_eq!(of("web: vendor/bin/heroku-php-apache2 web/"), Servers::Apache);
        assert_eq!(of("worker: heroku-php-nginx x"), Servers::Both);
        assert_eq!(of("web: php -S 0.0.0.0:$PORT"), Servers::Apache);
    }

    #[test]
    fn the_server_may_be_set_for_the_build() {
        let mut env = Env::new();
        env.insert("BP_PHP_SERVER", "nginx");
        let of = |text: &str| servers(&Procfile::parse(text).unwrap(), &env);
        assert_eq!(of(""), Servers::Nginx);
        assert_eq!(of("web: heroku-php-apache2"), Servers::Apache);
    }

    #[test]
    fn media_types_are_in_the_layer_also_when_the_image_has_their_package() {
        let dir = tempfile::tempdir().unwrap();
        let (layer, image) = (dir.path().join("layer"), dir.path().join("mime.types"));
        let own = layer.join("etc/mime.types");
        fs::create_dir(&layer).unwrap();
        media_types(&layer, &image).unwrap();
        assert!(!own.exists());
        fs::write(&image, "of the image").unwrap();
        media_types(&layer, &image).unwrap();
        assert_eq!(fs::read_to_string(&own).unwrap(), "of the image");
        fs::write(&own, "of the packages").unwrap();
        media_types(&layer, &image).unwrap();
        assert_eq!(fs::read_to_string(&own).unwrap(), "of the packages");
    }
}
