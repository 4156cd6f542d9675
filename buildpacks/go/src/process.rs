//! The image's process types: each program by its name, and `web`.

use crate::{compile::Compiled, packages};
use buildpack_support::{Result, output, process::direct, procfile};
use libcnb::data::{
    launch::{Launch, LaunchBuilder, Process, ProcessType},
    process_type,
};
use std::path::Path;

/// Go's own limits, from the container's: it collects garbage before the memory is used up, and does not start
/// more threads than it may run. (From Go 1.25 on it sees the CPUs itself.)
pub(crate) const SIZING: &str = r#"
if [ "$is_limited" = yes ]; then set_default GOMEMLIMIT "$((memory_mb * 9 / 10))MiB"; fi
if [ "$cpus" -lt "$(nproc 2>/dev/null || echo 1)" ]; then set_default GOMAXPROCS "$cpus"; fi
"#;

/// The process types; the Procfile's come later, from its own buildpack, and win.
pub(crate) fn launch(app_dir: &Path, compiled: &Compiled) -> Result<Launch> {
    let mut launch = LaunchBuilder::new();
    for program in &compiled.programs {
        if let Ok(name) = program.name.parse::<ProcessType>() {
            launch.process(direct(name, [program.name.as_str()]));
        }
    }
    if procfile::has_web(app_dir)? {
        return Ok(launch.build());
    }
    if let Some((program, guessed)) = packages::web(&compiled.programs, compiled.module.as_deref()) {
        output::step("Process types").quiet();
        output::detail(format!("web: {}", program.name));
        if guessed {
            let names: Vec<&str> = compiled
                .programs
                .iter()
                .map(|program| program.name.as_str())
                .collect();
            output::warning(format!(
                "The app has several programs ({}), and none is called `web`:\n\
                 the first serves. Say which by a Procfile: `web: {}`.",
                names.join(", "),
                program.name
            ));
        }
        launch.process(Process {
            default: true,
            ..direct(process_type!("web"), [program.name.as_str()])
        });
    }
    Ok(launch.build())
}
