//! The buildpacks that are there, and what an order can ask of them that is not.

use crate::{
    descriptor::{Descriptor, Kind},
    group::{Order, OrderGroup},
    id::{BuildpackId, BuildpackVersion},
};
use std::{collections::BTreeMap, fmt};
use thiserror::Error;

/// One version of one buildpack or extension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Buildpack or extension.
    pub kind: Kind,
    /// Its ID.
    pub id: BuildpackId,
    /// Its version.
    pub version: BuildpackVersion,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.version)
    }
}

/// The buildpacks and extensions that are there.
#[derive(Clone, Debug, Default)]
pub struct Catalog(BTreeMap<(Kind, BuildpackId), BTreeMap<BuildpackVersion, Descriptor>>);

impl Catalog {
    /// Adds one.
    pub fn add(&mut self, descriptor: Descriptor) {
        let key = (descriptor.kind, descriptor.id.clone());
        self.0
            .entry(key)
            .or_default()
            .insert(descriptor.version.clone(), descriptor);
    }

    /// The one of this version or, without a version, the only one.
    pub fn find(
        &self,
        kind: Kind,
        id: &BuildpackId,
        version: Option<&BuildpackVersion>,
    ) -> Result<&Descriptor, OrderError> {
        let versions = self.0.get(&(kind, id.clone()));
        let missing = || OrderError::Missing {
            id: id.clone(),
            version: version.cloned(),
        };
        let versions = versions.ok_or_else(missing)?;
        match version {
            Some(version) => versions.get(version).ok_or_else(missing),
            None if versions.len() > 1 => Err(OrderError::Several { id: id.clone() }),
            None => versions.values().next().ok_or_else(missing),
        }
    }

    /// The one of this key.
    pub fn get(&self, key: &Key) -> Result<&Descriptor, OrderError> {
        self.find(key.kind, &key.id, Some(&key.version))
    }
}

/// An order that can't be unfolded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    /// It names what is not there.
    #[error("{id}{} is in the order and is not there", version.as_ref().map(|it| format!("@{it}")).unwrap_or_default())]
    Missing {
        /// Which one.
        id: BuildpackId,
        /// In which version.
        version: Option<BuildpackVersion>,
    },
    /// It names no version and there are several.
    #[error("{id} is there in several versions; the order must name one")]
    Several {
        /// Which one.
        id: BuildpackId,
    },
    /// A composite contains itself, or too many contain one another.
    #[error(
        "{id} consists of buildpacks that consist of others more than {DEEPEST} levels deep, or of itself"
    )]
    TooDeep {
        /// Where it was noticed.
        id: BuildpackId,
    },
    /// Too many groups.
    #[error("the order unfolds to more than {MOST_GROUPS} groups")]
    TooMany,
}

/// Composites within composites.
pub(crate) const DEEPEST: usize = 32;
/// Groups that an order unfolds to.
pub(crate) const MOST_GROUPS: usize = 10_000;

impl Key {
    /// That of what is described.
    #[must_use]
    pub fn of(descriptor: &Descriptor) -> Self {
        Self {
            kind: descriptor.kind,
            id: descriptor.id.clone(),
            version: descriptor.version.clone(),
        }
    }
}

/// All buildpacks that have programs and that the order leads to, each once, in the order they are come to.
pub fn components(order: &Order, catalog: &Catalog) -> Result<Vec<Key>, OrderError> {
    fn walk(
        groups: &[OrderGroup],
        kind: Kind,
        catalog: &Catalog,
        depth: usize,
        found: &mut Vec<Key>,
    ) -> Result<(), OrderError> {
        for element in groups.iter().flat_map(|it| &it.group) {
            let descriptor = catalog.find(kind, &element.id, element.version.as_ref())?;
            if descriptor.is_composite() {
                if depth == DEEPEST {
                    return Err(OrderError::TooDeep {
                        id: element.id.clone(),
                    });
                }
                walk(&descriptor.order, kind, catalog, depth + 1, found)?;
            } else {
                let key = Key::of(descriptor);
                if !found.contains(&key) {
                    found.push(key);
                }
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(&order.order_extensions, Kind::Extension, catalog, 0, &mut found)?;
    walk(&order.order, Kind::Buildpack, catalog, 0, &mut found)?;
    Ok(found)
}
