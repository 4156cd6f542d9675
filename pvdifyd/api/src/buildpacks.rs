//! `/apps/{name}/buildpacks`.

use pvdify_types::BuildpackName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The buildpacks that an app was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Buildpacks {
    #[schema(value_type = Vec<String>)]
    /// In the order they run; none: as the source says, or as detected.
    pub buildpacks: Vec<BuildpackName>,
}

/// `PUT /apps/{name}/buildpacks`: these in place of all before.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBuildpacks {
    /// Each parsed as an ID, an address, an image or a folder of the server.
    pub buildpacks: Vec<String>,
}
