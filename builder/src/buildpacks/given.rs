//! What a build container is given on the host's side: which folders it sees, and the files that are put there before
//! it starts.

use super::{
    bundle::Bundle,
    container::Mounts,
    folders::{self, AppFolder},
    owned::{self, write_new},
    platform,
    selection::Selection,
};
use crate::{Builder, Request, export::Owner};
use pvdify_cnb::project::Files;
use pvdify_types::Binding;
use std::{collections::BTreeMap, fs, io, path::Path};

/// The folder of a build's own that its container is given things from.
const GIVEN: &str = "given";

impl Builder {
    pub(super) fn mounts(
        &self,
        request: &Request<'_>,
        bundle: &Bundle,
        app: &AppFolder,
        selection: &Selection,
        folder: &Path,
        with_ca: bool,
    ) -> Mounts {
        // Podman is another process: it may have another working folder.
        let path = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let own = |name: &str| path(&folder.join(name));
        let given = |name: &str| path(&folder.join(GIVEN).join(name));
        Mounts {
            source: path(request.source),
            files: given("files.toml"),
            workspace: own("workspace"),
            layers: path(&app.layers()),
            platform: given("platform"),
            lifecycle: path(&bundle.lifecycle),
            buildpacks: selection.folder.as_deref().map(path),
            extensions: selection.extensions().as_deref().map(path),
            order: given("order.toml"),
            downloads_shared: path(&folders::downloads(&self.config.work_dir)),
            downloads_new: own("downloads"),
            tmp: own("tmp"),
            home: own("home"),
            app_dir: if selection.has_classic {
                "/app"
            } else {
                "/workspace"
            },
            ca: with_ca.then(|| (given("ca.crt"), given("apt.conf"))),
        }
    }
}

/// The files that a build container is given beside its source.
pub(super) struct Given<'a> {
    pub(super) order: String,
    pub(super) files: String,
    pub(super) analyzed: String,
    pub(super) bindings: &'a [Binding],
    /// What it trusts.
    pub(super) ca: Option<Vec<u8>>,
}

impl Given<'_> {
    pub(super) fn write(
        &self,
        mounts: &Mounts,
        owner: Owner,
        env: &BTreeMap<String, String>,
    ) -> io::Result<()> {
        fs::create_dir_all(&mounts.platform)?;
        folders::prepare(mounts, owner)?;
        owned::readable(&mounts.source, owner)?;
        platform::write(&mounts.platform, owner, env, self.bindings)?;
        write_new(&mounts.order, self.order.as_bytes(), 0o644)?;
        write_new(&mounts.files, self.files.as_bytes(), 0o644)?;
        write_new(
            &mounts.layers.join("analyzed.toml"),
            self.analyzed.as_bytes(),
            0o644,
        )?;
        if let (Some((to, apt)), Some(ca)) = (&mounts.ca, &self.ca) {
            write_new(to, ca, 0o644)?;
            write_new(apt, platform::APT_CONFIG.as_bytes(), 0o644)?;
        }
        Ok(())
    }
}

/// What is built of the source: as project.toml says or, where it says nothing, as `.slugignore` does. That has no
/// patterns that take back another.
pub(super) fn built_files(project: &Files, slugignore: Option<&[u8]>) -> Files {
    let text = String::from_utf8_lossy(slugignore.unwrap_or_default());
    let patterns = text.lines().map(str::trim_end);
    let patterns: Vec<String> = patterns
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .map(str::to_owned)
        .collect();
    match project {
        Files::All if !patterns.is_empty() => Files::Exclude(patterns),
        said => said.clone(),
    }
}

/// `/run/pvdify/files.toml`
pub(super) fn files_toml(files: &Files) -> String {
    let (name, patterns) = match files {
        Files::All => return String::new(),
        Files::Include(patterns) => ("include", patterns),
        Files::Exclude(patterns) => ("exclude", patterns),
    };
    let list = patterns.iter().cloned().map(toml::Value::String).collect();
    toml::Table::from_iter([(name.to_owned(), toml::Value::Array(list))]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugignore_counts_where_project_toml_says_nothing() {
        let ignored = b"# docs\n/docs\n\n!docs/kept\n*.psd \n".as_slice();
        let files = built_files(&Files::All, Some(ignored));
        assert_eq!(files_toml(&files), "exclude = [\"/docs\", \"*.psd\"]\n");
        let said = Files::Include(vec!["a".to_owned()]);
        assert_eq!(built_files(&said, Some(ignored)), said);
        assert_eq!(files_toml(&built_files(&Files::All, None)), "");
    }
}
