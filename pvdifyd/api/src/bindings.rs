//! `/apps/{name}/bindings`. What is in an entry goes in and never comes out.

use pvdify_types::{BindingName, BindingWord, EntryName};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use utoipa::ToSchema;

/// A service that an app is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Binding {
    #[schema(value_type = String)]
    /// Its folder's name, below `SERVICE_BINDING_ROOT`.
    pub name: BindingName,
    #[schema(value_type = String)]
    /// What sort of service: `postgresql`, `ca-certificates`.
    #[serde(rename = "type")]
    pub kind: BindingWord,
    #[schema(value_type = Option<String>)]
    /// Whose; `null` when it was not said.
    pub provider: Option<BindingWord>,
    /// Its files, without what is in them.
    pub entries: Vec<BindingEntry>,
}

/// A file of a binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BindingEntry {
    #[schema(value_type = String)]
    /// Its name.
    pub name: EntryName,
    /// Its bytes.
    pub size: u64,
}

/// `PUT /apps/{name}/bindings/{binding}`: this in place of the one before.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBinding {
    /// Parsed as a type; the entries of `ca-certificates` are PEM certificates, and are trusted.
    #[serde(rename = "type")]
    pub kind: String,
    /// Parsed as a provider.
    pub provider: Option<String>,
    /// Each file's name, and what is in it in base64.
    pub entries: BTreeMap<String, String>,
}

impl fmt::Debug for SetBinding {
    /// Without what is in the entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetBinding")
            .field("kind", &self.kind)
            .field("provider", &self.provider)
            .field("entries", &self.entries.keys())
            .finish()
    }
}
