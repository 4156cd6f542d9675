//! The static sites buildpack: pages as they are, or as a front end's framework builds them, with a server of ours.
//!
//! What happens, in order: what kind of site it is (`detect`); what its files configure (`settings`); where its
//! pages are, once built (`root`); which of them may be seen (`tree`); the layer with all of it, each file with
//! its compressed forms (`site`, `compress`); the app's folder without what the image does not need (`trim`).

mod compress;
mod detect;
mod frontend;
mod manifest;
mod netlify;
mod package_json;
mod pattern;
mod root;
mod settings;
mod site;
mod static_json;
mod staticfile;
mod tree;
mod trim;
mod types;

use crate::{detect::Kind, manifest::Config, settings::Settings, tree::Tree};
use buildpack_support::{Failure, Result, failure, files, layer, output, process::direct};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::{
        build_plan::BuildPlanBuilder,
        launch::{LaunchBuilder, Process},
        layer_name, process_type,
    },
    detect::{DetectContext, DetectResult, DetectResultBuilder},
    generic::{GenericMetadata, GenericPlatform},
    layer_env::LayerEnv,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// What is required of Node.js: to build what is served here, and to leave nothing of itself in the image.
const FRONT_END: &str = "pvdify/front-end";

/// The buildpack.
#[derive(Debug)]
pub struct StaticBuildpack;

impl libcnb::Buildpack for StaticBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        let Some(kind) = detect::kind(&context.app_dir)? else {
            return DetectResultBuilder::fail().build();
        };
        output::reason(detect::reason(&kind));
        let pass = DetectResultBuilder::pass();
        if !files::exists(&context.app_dir, "package.json") || trim::starts_more(&context.app_dir) {
            return pass.build();
        }
        // And if no buildpack has it to offer, the pages may be there already.
        let plan = BuildPlanBuilder::new().requires(FRONT_END).or().build();
        pass.build_plan(plan).build()
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app = &context.app_dir;
        let step = output::step("Reading the site");
        let kind = detect::kind(app)?.unwrap_or(Kind::Plain("."));
        let mut settings = settings::of_app(app)?;
        let root = root::choose(app, &kind, &settings)?;
        settings::of_root(app, &app.join(&root), &mut settings)?;
        let tree = tree::walk(app, &app.join(&root))?;
        check(&tree, &root)?;
        finish(&mut settings, &kind, &tree);
        report(&settings, &kind, &root, &tree);
        step.quiet();

        output::step("Preparing the site").quiet();
        let charset = settings.charset.as_deref().unwrap_or("utf-8");
        let is_built = detect::needs_node(app, &kind)?;
        let folder = site::make(&context, &tree, settings.config, charset, is_built)?;
        server(&context)?;
        let command = ["static-server".to_owned(), folder.display().to_string()];
        trim::trim(app, is_built, &root, &tree, &command)?;
        let web = Process {
            default: true,
            ..direct(process_type!("web"), command)
        };
        BuildResultBuilder::new()
            .launch(LaunchBuilder::new().process(web).build())
            .build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

fn check(tree: &Tree, root: &str) -> Result<()> {
    if !tree.files.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        "The site has no files",
        format!(
            "Its folder is {root}, and there is nothing in it that may be seen (files that begin with a dot may not)."
        ),
        "Is another folder meant? Name it in a file `Staticfile`: `root: FOLDER`. Commit and push again.",
    ))
}

// What is said nowhere is by what there is.
fn finish(settings: &mut Settings, kind: &Kind, tree: &Tree) {
    let has = |path: &str| tree.files.iter().any(|file| file.path == path);
    let is_herokus = settings.from.contains(&"static.json");
    let missing = settings.config.not_found.take_if(|page| !has(page));
    if let Some(page) = missing {
        settings.warn(format!(
            "static.json: there is no {page} in the site's folder for `error_page`."
        ));
    }
    let config: &mut Config = &mut settings.config;
    if !is_herokus {
        config.clean_urls = true;
    }
    if config.not_found.is_none() && has("404.html") {
        config.not_found = Some("404.html".to_owned());
    }
    let by_framework = match kind {
        Kind::Built(frontend) => {
            let page = frontend
                .fallback
                .clone()
                .filter(|page| has(page) && page != "404.html");
            let is_app = frontend.is_single_page && config.not_found.is_none() && has("index.html");
            page.or_else(|| is_app.then(|| "index.html".to_owned()))
        }
        Kind::Configured(_) | Kind::Plain(_) => None,
    };
    let own = has("200.html").then(|| "200.html".to_owned());
    config.fallback = match settings.single_page {
        Some(true) => Some(own.unwrap_or_else(|| "index.html".to_owned())),
        Some(false) => None,
        None => own.or(by_framework),
    };
}

fn report(settings: &Settings, kind: &Kind, root: &str, tree: &Tree) {
    let size: u64 = tree
        .files
        .iter()
        .filter_map(|file| fs::metadata(&file.source).ok())
        .map(|file| file.len())
        .sum();
    let place = if root == "." {
        "the app's folder".to_owned()
    } else {
        format!("{root}/")
    };
    let by = match kind {
        Kind::Built(frontend) => format!(" (built by {})", frontend.name),
        Kind::Configured(_) | Kind::Plain(_) => String::new(),
    };
    let count = output::count(tree.files.len(), "file");
    output::detail(format!("{count} in {place}{by}, {}", output::size(size)));
    if !settings.from.is_empty() {
        output::detail(format!("Configured by {}", settings.from.join(", ")));
    }
    if let Some(page) = &settings.config.fallback {
        output::detail(format!("Paths that are no file: {page} (a single-page app)"));
    } else if let Some(page) = &settings.config.not_found {
        output::detail(format!("Paths that are no file: {page}, with status 404"));
    }
    let mut warnings = settings.warnings.clone();
    warnings.extend(
        tree.left_out
            .iter()
            .map(|path| format!("Left out of the site: {path}.")),
    );
    for warning in warnings {
        output::warning(warning);
    }
}

// The program that serves, as it lies beside this one.
fn server(context: &BuildContext<StaticBuildpack>) -> Result<PathBuf> {
    let program = context.buildpack_dir.join("bin/static-server");
    let missing = |error: std::io::Error| {
        Failure::new(
            "The server for static sites is not there",
            format!("{}: {error}.", program.display()),
            "Pvdify's installation is not whole: tell the server's administrator.",
        )
    };
    let bytes = fs::read(&program).map_err(missing)?;
    let spec = layer::Spec {
        name: layer_name!("server"),
        title: concat!("static-server ", env!("CARGO_PKG_VERSION")),
        build: false,
        launch: true,
        key: files::fingerprint([&bytes]),
    };
    let made = layer::keyed(context, &spec, |layer| {
        install(&bytes, &layer.join("bin/static-server")).map(|()| LayerEnv::new())
    })?;
    Ok(made.path)
}

fn install(bytes: &[u8], place: &Path) -> Result<()> {
    files::write(place, bytes)?;
    fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(|error| Failure::io("write", place, &error))
}
