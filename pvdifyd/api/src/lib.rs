//! The wire: every body of the REST API under `/api/v1` and of the control socket, and every path.
//!
//! Requests refuse unknown fields, so that a misspelt one is named and not dropped; answers may gain
//! fields. The OpenAPI document ([`openapi`]) is made from these types.

pub mod apps;
pub mod bindings;
pub mod buildpacks;
pub mod config;
pub mod control;
pub mod domains;
pub mod error;
pub mod health;
pub mod keys;
pub mod logs;
pub mod one_offs;
pub mod openapi;
pub mod paths;
pub mod ps;
pub mod releases;
pub mod session;
pub mod stack;
pub mod volumes;

pub use error::ErrorBody;
