//! The build plan: what each bin/detect offers and wants, what was agreed (`plan.toml`), and what each bin/build
//! gets and leaves unmet (buildpack.md, "Build Plan", "Buildpack Plan", "build.toml").

use crate::{descriptor::Kind, id::BuildpackId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What one bin/detect wrote.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct BuildPlan {
    /// The first choice.
    #[serde(flatten)]
    pub first: PlanChoice,
    /// The others, tried in order.
    pub or: Vec<PlanChoice>,
}

/// A text that is no build plan.
#[derive(Debug, Error)]
pub enum BadPlan {
    /// Not TOML, or a field of another kind.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A key that the Buildpack APIs that are run no longer have.
    #[error("it requires {name:?} with the key \"version\", which belongs into \"metadata.version\"")]
    Version {
        /// The dependency.
        name: String,
    },
    /// An image extension can't want anything.
    #[error("an image extension may provide and not require, and this one requires {name:?}")]
    ExtensionRequires {
        /// The dependency.
        name: String,
    },
}

impl BuildPlan {
    /// Reads what bin/detect wrote.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, BadPlan> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Versions {
            requires: Vec<Version>,
            or: Vec<Versions>,
        }
        #[derive(Deserialize)]
        struct Version {
            name: String,
            version: Option<toml::Value>,
        }
        fn find(versions: Versions) -> Option<String> {
            let versioned = |it: Version| it.version.is_some().then_some(it.name);
            let own = versions.requires.into_iter().find_map(versioned);
            own.or_else(|| versions.or.into_iter().find_map(find))
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let plan: Self = toml::from_str(text)?;
        if let Some(name) = find(toml::from_str(text)?) {
            return Err(BadPlan::Version { name });
        }
        let required = plan.choices().flat_map(|choice| &choice.requires).next();
        if let Some(require) = required.filter(|_| kind == Kind::Extension) {
            return Err(BadPlan::ExtensionRequires {
                name: require.name.clone(),
            });
        }
        Ok(plan)
    }

    /// All choices, the first one first.
    pub fn choices(&self) -> impl Iterator<Item = &PlanChoice> {
        std::iter::once(&self.first).chain(&self.or)
    }
}

impl Plan {
    /// What one buildpack or extension is to provide.
    #[must_use]
    pub fn of(&self, kind: Kind, id: &BuildpackId) -> BuildpackPlan {
        let is_own = |it: &Provider| it.id == *id && it.extension == (kind == Kind::Extension);
        let entries = self
            .entries
            .iter()
            .filter(|entry| entry.providers.iter().any(is_own));
        BuildpackPlan {
            entries: entries.flat_map(|entry| entry.requires.iter().cloned()).collect(),
        }
    }

    /// Takes off what a buildpack was given and did not leave unmet: the providers after it do not get it.
    pub fn remove_met(&mut self, given: &BuildpackPlan, unmet: &[Provide]) {
        let is_met = |require: &Require| {
            given.entries.iter().any(|it| it.name == require.name)
                && !unmet.iter().any(|it| it.name == require.name)
        };
        self.entries.retain(|entry| !entry.requires.iter().any(is_met));
    }
}

impl BuildToml {
    /// The first name it leaves unmet that `given` did not ask for.
    #[must_use]
    pub fn unknown<'a>(&'a self, given: &BuildpackPlan) -> Option<&'a str> {
        let is_unknown = |name: &&str| !given.entries.iter().any(|it| it.name == *name);
        self.unmet.iter().map(|it| it.name.as_str()).find(is_unknown)
    }
}

/// One choice of a build plan.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct PlanChoice {
    /// What is offered.
    pub provides: Vec<Provide>,
    /// What is wanted.
    pub requires: Vec<Require>,
}

/// A dependency that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Provide {
    /// Its name.
    pub name: String,
}

/// A dependency that is wanted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Require {
    /// Its name.
    pub name: String,
    /// Whatever the provider understands.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub metadata: toml::Table,
}

/// `plan.toml`: what was agreed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Plan {
    /// One for each dependency.
    pub entries: Vec<PlanEntry>,
}

/// One dependency, those that provide it and all that want it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct PlanEntry {
    /// In group order.
    pub providers: Vec<Provider>,
    /// In group order.
    pub requires: Vec<Require>,
}

/// A buildpack as a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Provider {
    /// Which one.
    pub id: BuildpackId,
    /// In which version.
    pub version: String,
    /// Whether it is an image extension.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extension: bool,
}

/// What one bin/build is given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct BuildpackPlan {
    /// What it is to provide.
    pub entries: Vec<Require>,
}

/// What one bin/build leaves to the providers after it (`build.toml`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct BuildToml {
    /// Names of dependencies.
    pub unmet: Vec<Provide>,
}
