//! Cloud Native Buildpacks: the files of the specification (buildpacks/spec: Platform API 0.15, Buildpack API
//! 0.7-0.12) and the rules between them.
//!
//! Three programs share it: the lifecycle in the build container, the launcher in the image, and the builder on
//! the host. What always holds:
//!
//! - Nothing here does I/O, runs a program or reads the clock: text and values in, values out.
//! - A file that a buildpack may write is read tolerantly: fields of a newer API are left alone, never an error.
//! - What ends up in a path or a label has been parsed into a newtype first.

pub mod analyzed;
pub mod api;
pub mod catalog;
pub mod descriptor;
pub mod env;
pub mod exec_env;
pub mod extension;
pub mod group;
pub mod id;
pub mod image;
pub mod launch;
pub mod layer;
pub mod merge;
pub mod plan;
pub mod project;
pub mod resolve;
pub mod restore;
pub mod sbom;
pub mod target;
pub mod trial;
pub mod value;
