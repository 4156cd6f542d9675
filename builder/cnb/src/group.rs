//! `order.toml` and `group.toml` (platform.md, "order.toml", "group.toml").

use crate::{
    api::Api,
    id::{BuildpackId, BuildpackVersion},
};
use serde::{Deserialize, Serialize};

/// Groups to try, the first that passes is taken; of image extensions likewise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Order {
    /// The groups.
    pub order: Vec<OrderGroup>,
    /// Groups of image extensions; each extension is optional.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order_extensions: Vec<OrderGroup>,
}

/// One group of an order, also of a composite buildpack's `[[order]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct OrderGroup {
    /// In the order they run.
    pub group: Vec<OrderElement>,
}

/// A buildpack as an order names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct OrderElement {
    /// Which one.
    pub id: BuildpackId,
    /// Without one, the only version that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<BuildpackVersion>,
    /// Whether the group goes on without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// What detection chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Group {
    /// In the order they build.
    pub group: Vec<GroupElement>,
    /// Image extensions that passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_extensions: Vec<GroupElement>,
}

/// A buildpack that passed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct GroupElement {
    /// Which one.
    pub id: BuildpackId,
    /// In which version.
    pub version: BuildpackVersion,
    /// The Buildpack API it speaks.
    pub api: Api,
    /// Where to read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
}
