//! The rules of the specification, as tables.

mod env;
