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
    /// The execution environments in which it takes part; empty: all.
    #[serde(default, rename = "exec-env", skip_serializing_if = "Vec::is_empty")]
    pub exec_env: Vec<String>,
}

impl OrderElement {
    /// A buildpack that must pass.
    #[must_use]
    pub fn new(id: BuildpackId, version: Option<BuildpackVersion>) -> Self {
        Self {
            id,
            version,
            optional: false,
            exec_env: Vec::new(),
        }
    }
}

/// `system.toml`: the platform's own buildpacks, in every group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct System {
    /// Before all others.
    pub pre: SystemBuildpacks,
    /// After all others.
    pub post: SystemBuildpacks,
}

/// One end of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct SystemBuildpacks {
    /// In the order they run.
    pub buildpacks: Vec<OrderElement>,
}

impl Order {
    /// The order with the platform's own buildpacks in each group, but those the group has already.
    #[must_use]
    pub fn with_system(mut self, system: &System) -> Self {
        for group in &mut self.order {
            let missing = |end: &SystemBuildpacks| -> Vec<OrderElement> {
                let is_new = |own: &&OrderElement| group.group.iter().all(|it| it.id != own.id);
                end.buildpacks.iter().filter(is_new).cloned().collect()
            };
            let (pre, post) = (missing(&system.pre), missing(&system.post));
            group.group.splice(0..0, pre);
            group.group.extend(post);
        }
        self
    }
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
