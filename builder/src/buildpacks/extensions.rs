//! Image extensions that come from outside: found beside buildpacks, put where the lifecycle finds them, and before
//! which groups they stand.
//!
//! A set of buildpacks may bring an order of its own (`order.toml`, as builders have it): its `[[order]]` becomes a
//! composite buildpack, its `[[order-extensions]]` stand before all groups of the build.

use super::{
    owned::write_new,
    selection::{Came, Selection},
};
use crate::export::beneath::Beneath;
use pvdify_cnb::{
    descriptor::Descriptor,
    group::{Order, OrderElement, OrderGroup},
    id::{BuildpackId, BuildpackVersion},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The file of a set's order.
pub(super) const ORDER: &str = "order.toml";
/// The largest one.
const MAX_ORDER: u64 = 1 << 20;
/// Groups of extensions that are tried.
const MOST_GROUPS: usize = 100;
/// What an image says of its order (as builders do).
const ORDER_LABEL: &str = "io.buildpacks.buildpack.order";
const ORDER_EXTENSIONS_LABEL: &str = "io.buildpacks.buildpack.order-extensions";

impl Selection {
    /// Whether image extensions may take part.
    pub(super) fn has_extensions(&self) -> bool {
        !self.order.order_extensions.is_empty()
    }

    /// `/cnb/extensions`
    pub(super) fn extensions(&self) -> Option<PathBuf> {
        let folder = self.folder.as_deref().filter(|_| self.has_extensions());
        folder.map(beside)
    }
}

/// `/cnb/extensions`, beside the folder of `/cnb/buildpacks`.
pub(super) fn beside(buildpacks: &Path) -> PathBuf {
    buildpacks.with_file_name("extensions")
}

/// The order that a set brings, if it does.
pub(super) fn order(root: &Beneath) -> Result<Option<Order>, String> {
    let text = root
        .text_if_there(Path::new(ORDER), MAX_ORDER)
        .map_err(|error| format!("{ORDER}: {error}"))?;
    let order = text.map(|text| toml::from_str(&text)).transpose();
    order.map_err(|error: toml::de::Error| format!("{ORDER}: {error}"))
}

/// Writes down the order that an image's labels have, where it has one of extensions.
pub(super) fn note_order(labels: &BTreeMap<&str, &str>, folder: &Path) -> io::Result<()> {
    let groups = |label: &str| -> io::Result<Vec<OrderGroup>> {
        let json = labels.get(label).map(|json| serde_json::from_str(json));
        Ok(json.transpose()?.unwrap_or_default())
    };
    let order = Order {
        order: groups(ORDER_LABEL)?,
        order_extensions: groups(ORDER_EXTENSIONS_LABEL)?,
    };
    if order.order_extensions.is_empty() {
        return Ok(());
    }
    let text = toml::to_string(&order).map_err(io::Error::other)?;
    write_new(&folder.join(ORDER), text.as_bytes(), 0o644)
}

/// Extensions without an order: one group of all of them.
pub(super) fn one_group<'a>(all: impl Iterator<Item = &'a Descriptor>) -> Vec<OrderGroup> {
    let element = |one: &Descriptor| OrderElement::new(one.id.clone(), Some(one.version.clone()));
    let group: Vec<OrderElement> = all.map(element).collect();
    (!group.is_empty())
        .then_some(OrderGroup { group })
        .into_iter()
        .collect()
}

/// Writes the composite buildpack that a set's order is.
pub(super) fn composite(
    order: &Order,
    id: &BuildpackId,
    version: &BuildpackVersion,
    own: &Path,
) -> io::Result<OrderElement> {
    #[derive(Serialize)]
    struct File<'a> {
        api: &'a str,
        buildpack: Info<'a>,
        order: &'a [OrderGroup],
    }
    #[derive(Serialize)]
    struct Info<'a> {
        id: &'a BuildpackId,
        version: &'a BuildpackVersion,
    }
    let file = File {
        api: "0.10",
        buildpack: Info { id, version },
        order: &order.order,
    };
    let folder = own.join(id.folder()).join(version.as_str());
    fs::create_dir_all(&folder)?;
    let text = toml::to_string(&file).map_err(io::Error::other)?;
    write_new(&folder.join("buildpack.toml"), text.as_bytes(), 0o644)?;
    Ok(OrderElement::new(id.clone(), Some(version.clone())))
}

/// The groups of extensions before each group of buildpacks: of each source one of its own, in the order the sources
/// were named.
pub(super) fn combined<'a>(named: impl Iterator<Item = &'a str>, came: &Came) -> Vec<OrderGroup> {
    let mut seen = Vec::new();
    let mut groups = vec![OrderGroup::default()];
    for name in named {
        let Some(one) = came.get(name).filter(|_| !seen.contains(&name)) else {
            continue;
        };
        seen.push(name);
        if one.extensions.is_empty() {
            continue;
        }
        let with = |group: &OrderGroup, more: &OrderGroup| OrderGroup {
            group: [&group.group[..], &more.group[..]].concat(),
        };
        groups = groups
            .iter()
            .flat_map(|group| one.extensions.iter().map(move |more| with(group, more)))
            .take(MOST_GROUPS)
            .collect();
    }
    groups.retain(|group| !group.group.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildpacks::adopt::Adopted;

    fn groups(text: &str) -> Vec<OrderGroup> {
        let element = |id: &str| OrderElement::new(id.parse().unwrap(), None);
        text.split(';')
            .filter(|row| !row.is_empty())
            .map(|row| OrderGroup {
                group: row.split(',').map(element).collect(),
            })
            .collect()
    }

    fn text(groups: &[OrderGroup]) -> String {
        let row = |group: &OrderGroup| -> String {
            let ids: Vec<&str> = group.group.iter().map(|one| one.id.as_str()).collect();
            ids.join(",")
        };
        groups.iter().map(row).collect::<Vec<_>>().join(";")
    }

    #[test]
    fn of_each_source_one_group_in_the_order_they_were_named() {
        let come = |(name, extensions): (&str, &str)| {
            let adopted = Adopted {
                element: None,
                extensions: groups(extensions),
                classic: None,
                shown: String::new(),
            };
            (name.to_owned(), adopted)
        };
        let came = Came::from([("one", "a,b;c"), ("two", ""), ("three", "d"), ("four", "e;f")].map(come));
        for (named, expected) in [
            ("", ""),
            ("two,unknown", ""),
            ("one", "a,b;c"),
            ("three,one,three", "d,a,b;d,c"),
            ("one,two,four", "a,b,e;a,b,f;c,e;c,f"),
        ] {
            assert_eq!(text(&combined(named.split(','), &came)), expected, "{named}");
        }
    }

    #[test]
    fn an_images_order_is_that_of_its_labels() {
        let dir = tempfile::tempdir().unwrap();
        let order = r#"[{"group":[{"id":"a","version":"1"}]}]"#;
        let extensions = r#"[{"group":[{"id":"x","version":"1","optional":true}]}]"#;
        let plain = BTreeMap::from([(ORDER_LABEL, order)]);
        note_order(&plain, dir.path()).unwrap();
        let root = Beneath::open(dir.path()).unwrap();
        assert_eq!(super::order(&root), Ok(None));
        let labels = BTreeMap::from([(ORDER_LABEL, order), (ORDER_EXTENSIONS_LABEL, extensions)]);
        note_order(&labels, dir.path()).unwrap();
        let noted = super::order(&root).unwrap().unwrap();
        assert_eq!(
            (text(&noted.order), text(&noted.order_extensions)),
            ("a".to_owned(), "x".to_owned())
        );
        assert!(note_order(&BTreeMap::from([(ORDER_EXTENSIONS_LABEL, "{")]), dir.path()).is_err());
    }
}
