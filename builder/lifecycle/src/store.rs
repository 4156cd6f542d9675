//! The buildpacks and extensions in the container: `<buildpacks>/<id with _>/<version>/buildpack.toml`.

use crate::{files, settings::Settings};
use pvdify_cnb::{
    catalog::{Catalog, Key},
    descriptor::{Descriptor, Kind},
    group::{Order, OrderGroup},
    id::{BuildpackId, BuildpackVersion},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Where they are.
pub(crate) struct Store<'a> {
    settings: &'a Settings,
}

impl<'a> Store<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self { settings }
    }

    /// The folder of one.
    pub(crate) fn folder(&self, key: &Key) -> PathBuf {
        self.all_versions(key.kind, &key.id).join(key.version.as_str())
    }

    /// All that an order leads to; no others are read.
    pub(crate) fn catalog(&self, order: &Order) -> Result<Catalog, String> {
        let mut catalog = Catalog::default();
        let mut seen = BTreeSet::new();
        self.add_groups(&order.order_extensions, Kind::Extension, &mut catalog, &mut seen)?;
        self.add_groups(&order.order, Kind::Buildpack, &mut catalog, &mut seen)?;
        Ok(catalog)
    }

    /// One by its version.
    pub(crate) fn descriptor(
        &self,
        kind: Kind,
        id: &BuildpackId,
        version: &BuildpackVersion,
    ) -> Result<Descriptor, String> {
        let file = self
            .all_versions(kind, id)
            .join(version.as_str())
            .join(file_name(kind));
        let text = files::text(&file)?.ok_or_else(|| {
            format!(
                "{id}@{version} is in the order, and {} is not there",
                file.display()
            )
        })?;
        let descriptor =
            Descriptor::parse(&text).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
        let (own_id, own_version) = (&descriptor.id, &descriptor.version);
        if (own_id, own_version, descriptor.kind) != (id, version, kind) {
            let file = file.display();
            return Err(format!(
                "{file} describes {own_id}@{own_version} where {id}@{version} must be"
            ));
        }
        Ok(descriptor)
    }

    fn add_groups(
        &self,
        groups: &[OrderGroup],
        kind: Kind,
        catalog: &mut Catalog,
        seen: &mut BTreeSet<Key>,
    ) -> Result<(), String> {
        for element in groups.iter().flat_map(|it| &it.group) {
            let versions = match &element.version {
                Some(version) => vec![version.clone()],
                None => self.versions(kind, &element.id)?,
            };
            for version in versions {
                let key = Key {
                    kind,
                    id: element.id.clone(),
                    version,
                };
                // Composites may contain themselves; whoever unfolds them says so.
                if seen.contains(&key) {
                    continue;
                }
                let descriptor = self.descriptor(kind, &key.id, &key.version)?;
                seen.insert(key);
                let order = descriptor.order.clone();
                catalog.add(descriptor);
                self.add_groups(&order, kind, catalog, seen)?;
            }
        }
        Ok(())
    }

    fn versions(&self, kind: Kind, id: &BuildpackId) -> Result<Vec<BuildpackVersion>, String> {
        let folder = self.all_versions(kind, id);
        let names = files::names(&folder)?
            .into_iter()
            .filter_map(|it| it.to_str()?.parse().ok());
        let is_one =
            |version: &BuildpackVersion| folder.join(version.as_str()).join(file_name(kind)).exists();
        let versions: Vec<BuildpackVersion> = names.filter(is_one).collect();
        if versions.is_empty() {
            return Err(format!(
                "{id} is in the order, and {} has no version of it",
                folder.display()
            ));
        }
        Ok(versions)
    }

    fn all_versions(&self, kind: Kind, id: &BuildpackId) -> PathBuf {
        let base: &Path = match kind {
            Kind::Buildpack => &self.settings.buildpacks,
            Kind::Extension => &self.settings.extensions,
        };
        base.join(id.folder())
    }
}

fn file_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Buildpack => "buildpack.toml",
        Kind::Extension => "extension.toml",
    }
}
