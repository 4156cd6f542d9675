//! Makes unpacked packages work where they are: not at `/`, and without their packages' scripts having run.
//!
//! Files that name `/usr` name the layer instead (`names`); programs that look for their data in a fixed place are
//! told by their variable (`places`); lists of plug-ins, which scripts would make, are made (`registers`). What no
//! process reads is removed before (`strip`).

mod names;
mod places;
mod registers;
mod strip;

pub(crate) use strip::strip;

use buildpack_support::{Failure, Result};
use libcnb::{
    Env,
    layer_env::{LayerEnv, Scope},
};
use std::{fs, path::Path};

/// Adjusts what is in `root`, and adds to its environment what the packages in it need.
pub(crate) fn adjust(root: &Path, env: &Env, mut layer_env: LayerEnv) -> Result<LayerEnv> {
    names::of_the_layer(root)?;
    places::add_lists(root, &mut layer_env);
    registers::make(root, &layer_env.apply(Scope::Build, env))?;
    places::add_defaults(root, &mut layer_env);
    Ok(layer_env)
}

// Every file and link below a folder, which may not be there.
fn each(folder: &Path, act: &mut impl FnMut(&Path, bool) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => each(&path, act)?,
            Ok(kind) => act(&path, kind.is_symlink())?,
            Err(error) => return Err(Failure::io("read", &path, &error)),
        }
    }
    Ok(())
}
