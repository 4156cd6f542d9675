//! The build plan: what each bin/detect offers and wants, what was agreed (`plan.toml`), and what each bin/build
//! gets and leaves unmet (buildpack.md, "Build Plan", "Buildpack Plan", "build.toml").

use crate::id::BuildpackId;
use serde::{Deserialize, Serialize};

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
