//! The Go buildpack through `bin/detect` and `bin/build`.

use buildpack_go::{DESCRIPTOR, GoBuildpack};
use buildpack_support::testing::entry;

entry!(GoBuildpack, DESCRIPTOR);

mod building;
mod detecting;
