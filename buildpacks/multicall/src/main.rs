//! All our buildpacks in one program.

fn main() {
    let folder = std::env::var_os("CNB_BUILDPACK_DIR").unwrap_or_default();
    let text =
        std::fs::read_to_string(std::path::Path::new(&folder).join("buildpack.toml")).unwrap_or_default();
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("id = "))
        .map(|id| id.trim_matches('"'));
    match id {
        Some("pvdify/nodejs") => libcnb::libcnb_runtime(&buildpack_nodejs::NodejsBuildpack),
        Some("pvdify/python") => libcnb::libcnb_runtime(&buildpack_python::PythonBuildpack),
        Some("pvdify/go") => libcnb::libcnb_runtime(&buildpack_go::GoBuildpack),
        Some("pvdify/rust") => libcnb::libcnb_runtime(&buildpack_rust::RustBuildpack),
        Some("pvdify/java") => libcnb::libcnb_runtime(&buildpack_java::JavaBuildpack),
        Some("pvdify/ruby") => libcnb::libcnb_runtime(&buildpack_ruby::RubyBuildpack),
        Some("pvdify/php") => libcnb::libcnb_runtime(&buildpack_php::PhpBuildpack),
        Some("pvdify/static") => libcnb::libcnb_runtime(&buildpack_static::StaticBuildpack),
        Some("pvdify/procfile") => libcnb::libcnb_runtime(&buildpack_procfile::ProcfileBuildpack),
        Some("pvdify/apt") => libcnb::libcnb_runtime(&buildpack_apt::AptBuildpack),
        Some("pvdify/deno") => libcnb::libcnb_runtime(&buildpack_deno::DenoBuildpack),
        _ => std::process::exit(1),
    }
}
