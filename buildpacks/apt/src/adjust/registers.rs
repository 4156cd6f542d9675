//! Lists of plug-ins, which scripts of their packages make. Without one, the program works without the plug-ins.

use super::places;
use buildpack_support::{Command, Result, command::CommandError, files, output, toolchain};
use libcnb::Env;
use std::path::Path;

/// Makes those of the packages in `root`.
pub(super) fn make(root: &Path, env: &Env) -> Result<()> {
    let arch = toolchain::multiarch();
    let graphviz = root.join(format!("usr/lib/{arch}/graphviz"));
    if graphviz.is_dir() && root.join("usr/bin/dot").exists() {
        let made = Command::new(root.join("usr/bin/dot"))
            .arg("-c")
            .envs(env)
            .env("GVBINDIR", &graphviz)
            .quiet()
            .run();
        tell(made.err());
    }
    let query = root.join(format!("usr/lib/{arch}/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders"));
    for loaders in places::find(root, "usr/lib/{arch}/gdk-pixbuf-2.0/*/loaders") {
        if query.exists() {
            match Command::new(&query)
                .envs(env)
                .env("GDK_PIXBUF_MODULEDIR", &loaders)
                .output()
            {
                Ok(text) => files::write(&loaders.with_file_name("loaders.cache"), text)?,
                Err(error) => tell(Some(error)),
            }
        }
    }
    Ok(())
}

fn tell(error: Option<CommandError>) {
    if let Some(error) = error {
        output::warning(format!("{error} Its plug-ins will not be found."));
    }
}
