//! Pvdify's domain words, once: what a name may be, which states follow which, which host meets which app.
//!
//! Everything that enters Pvdify is parsed into these types at the door; inside, no bare string is an
//! app name. This crate has no async, no I/O and no clock: what it decides is decided by its arguments.

pub mod app;
pub mod app_json;
pub mod binding;
pub mod build;
pub mod buildpack;
pub mod config_vars;
pub mod domain;
pub mod formation;
pub mod id;
pub mod image;
pub mod image_name;
pub mod name;
mod newtype;
pub mod one_off;
pub mod procfile;
pub mod release;
pub mod route;
pub mod selection;
pub mod setup;
pub mod terminal;
pub mod version;
pub mod volume;

pub use app::{AppStatus, Environment};
pub use binding::{Binding, BindingName, BindingWord, EntryName};
pub use build::BuildStatus;
pub use buildpack::{BuildpackKind, BuildpackName};
pub use config_vars::{BuildVar, BuildVars, ConfigScope, ConfigSet, ConfigValue, ConfigVar, ConfigVars};
pub use domain::DomainStatus;
pub use formation::{Formation, Resources};
pub use id::{AppId, BuildId, InstallationId, InstanceId, SnapshotId, VolumeId};
pub use image::{Digest, ImageRef};
pub use image_name::ImageName;
pub use name::{AppName, ConfigKey, Hostname, ProcessType};
pub use one_off::{OneOffKind, OneOffName, OneOffStatus};
pub use release::{ReleaseCause, ReleaseStatus};
pub use route::{Endpoint, Route, RouteTable};
pub use selection::Selection;
pub use setup::Setup;
pub use terminal::TerminalSize;
pub use version::{ConfigVersion, Generation, ReleaseVersion};
pub use volume::{MountPath, SnapshotName, VolumeMount, VolumeName};
