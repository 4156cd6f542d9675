//! Where a Django project has its application objects: beside the settings that its manage.py names.

use super::{Served, sources::below};
use buildpack_support::files;
use std::path::Path;

pub(super) fn served(app_dir: &Path, manage: String) -> Served {
    let folder = manage
        .strip_suffix("manage.py")
        .unwrap_or_default()
        .trim_end_matches('/')
        .to_owned();
    let base = app_dir.join(&folder);
    let text = files::read(app_dir, &manage).ok().flatten().unwrap_or_default();
    let package = settings_package(&text);
    let module = |name: &str| {
        let of_settings = package
            .iter()
            .map(|package| format!("{}/{name}.py", package.replace('.', "/")))
            .find(|path| files::exists(&base, path));
        of_settings
            .or_else(|| {
                below(&base)
                    .into_iter()
                    .map(|folder| format!("{folder}/{name}.py"))
                    .find(|path| files::exists(&base, path))
            })
            .or_else(|| files::exists(&base, &format!("{name}.py")).then(|| format!("{name}.py")))
            .map(|path| path.trim_end_matches(".py").replace('/', "."))
    };
    Served::Django {
        wsgi: module("wsgi"),
        asgi: module("asgi"),
        manage,
        folder,
    }
}

// `config` of `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")`.
fn settings_package(manage: &str) -> Option<String> {
    let line = manage
        .lines()
        .find(|line| line.contains("DJANGO_SETTINGS_MODULE"))?;
    let module = line
        .rsplit(['"', '\''])
        .find(|word| word.contains('.') || word.starts_with(|c: char| c.is_ascii_lowercase()))?;
    let end = module.find(".settings").or_else(|| module.rfind('.'))?;
    Some(module[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_the_settings_is_read_in_any_quotes() {
        assert_eq!(
            settings_package("    \"DJANGO_SETTINGS_MODULE\", \"mysite.settings\")").as_deref(),
            Some("mysite")
        );
    }
}
