//! Whether a `package.json` builds a site, by which framework, and into which folder.
//!
//! A framework that can also make a server is a site's only where its configuration says so. Configurations are
//! programs: they are searched for what is usually written, not run.

use crate::package_json::PackageJson;
use buildpack_support::{Result, files, procfile::Procfile};
use serde_json::Value;
use std::path::Path;

/// A front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frontend {
    /// The framework's name.
    pub(crate) name: &'static str,
    /// Where the site may be after the build, the likeliest first.
    pub(crate) folders: Vec<String>,
    /// Paths that are no file are the app's.
    pub(crate) is_single_page: bool,
    /// The page for them, where it is not `index.html`.
    pub(crate) fallback: Option<String>,
}

/// The front end of an app, if it has one and nothing that would serve it.
pub(crate) fn of(app: &Path) -> Result<Option<Frontend>> {
    let Some(package_json) = PackageJson::of(app)? else {
        return Ok(None);
    };
    if package_json.build_script().is_none() || package_json.server_script().is_some() {
        return Ok(None);
    }
    // What `npm start` runs when there is no such script.
    if package_json.script("start").is_none() && files::exists(app, "server.js") {
        return Ok(None);
    }
    Ok(framework(app, &package_json))
}

/// Whether the app's Procfile starts a server of its own. `bin/boot` is Heroku's name for ours.
pub(crate) fn has_own_web(app: &Path) -> bool {
    // What is wrong with the file is told in the build.
    let procfile = Procfile::of(app).unwrap_or_default().unwrap_or_default();
    procfile.command("web").is_some_and(|command| !is_ours(command))
}

/// Whether a command of the Procfile means our server.
pub(crate) fn is_ours(command: &str) -> bool {
    matches!(command.trim(), "bin/boot" | "./bin/boot" | "static-server")
}

fn framework(app: &Path, package_json: &PackageJson) -> Option<Frontend> {
    let has = |package: &str| package_json.has(package);
    let build = package_json.build_script().unwrap_or_default();
    let config = |names: &[&str]| configuration(app, names);
    let pages = |name, folders: &[&str]| Some(made(name, folders, false));
    let app_of = |name, folders: &[&str]| Some(made(name, folders, true));

    if has("next") {
        let config = config(&[
            "next.config.js",
            "next.config.mjs",
            "next.config.ts",
            "next.config.cjs",
        ]);
        let is_export =
            value(&config, "output").as_deref() == Some("export") || build.contains("next export");
        let folder = value(&config, "distDir").unwrap_or_default();
        return is_export.then(|| made("Next.js export", &["out", &folder], false));
    }
    if has("nuxt") || has("nuxt3") {
        return build
            .contains("generate")
            .then(|| made("Nuxt", &[".output/public", "dist"], false));
    }
    if has("@sveltejs/kit") {
        let config = config(&[
            "svelte.config.js",
            "svelte.config.ts",
            "svelte.config.mjs",
            "vite.config.js",
            "vite.config.ts",
        ]);
        let folder = value(&config, "pages").unwrap_or_else(|| "build".to_owned());
        return has("@sveltejs/adapter-static").then(|| Frontend {
            fallback: value(&config, "fallback"),
            ..made("SvelteKit", &[&folder, "build"], false)
        });
    }
    if has("@react-router/dev") || package_json.has_prefix("@remix-run/") && has("vite") {
        let config = config(&[
            "react-router.config.ts",
            "react-router.config.js",
            "vite.config.ts",
            "vite.config.js",
        ]);
        let folder = value(&config, "buildDirectory").unwrap_or_else(|| "build".to_owned());
        let folder = format!("{folder}/client");
        return is_false(&config, "ssr").then(|| made("React Router", &[&folder], true));
    }
    if has("astro") {
        let config = config(&[
            "astro.config.mjs",
            "astro.config.ts",
            "astro.config.js",
            "astro.config.mts",
        ]);
        let is_server = matches!(value(&config, "output").as_deref(), Some("server" | "hybrid"))
            || mentions(&config, "adapter");
        let folder = value(&config, "outDir").unwrap_or_else(|| "dist".to_owned());
        return (!is_server).then(|| made("Astro", &[&folder], false));
    }
    if package_json.has_prefix("@tanstack/react-start")
        || [
            "@solidjs/start",
            "vinxi",
            "@builder.io/qwik-city",
            "@qwik.dev/router",
            "@analogjs/platform",
            "waku",
        ]
        .iter()
        .any(|package| has(package))
    {
        return None;
    }
    if has("@angular/core") && files::exists(app, "angular.json") {
        return angular(app);
    }
    if has("@docusaurus/core") {
        return pages("Docusaurus", &["build"]);
    }
    if has("vitepress") {
        return pages(
            "VitePress",
            &["docs/.vitepress/dist", ".vitepress/dist", "src/.vitepress/dist"],
        );
    }
    if has("vuepress") {
        return pages(
            "VuePress",
            &["docs/.vuepress/dist", ".vuepress/dist", "src/.vuepress/dist"],
        );
    }
    let simple = [
        ("gatsby", "Gatsby", "public", false),
        ("react-scripts", "Create React App", "build", true),
        ("@craco/craco", "Create React App", "build", true),
        ("@vue/cli-service", "Vue CLI", "dist", true),
        ("@11ty/eleventy", "Eleventy", "_site", false),
        ("ember-cli", "Ember", "dist", true),
        ("preact-cli", "Preact CLI", "build", true),
        ("gridsome", "Gridsome", "dist", false),
        ("hexo", "Hexo", "public", false),
        ("@stencil/core", "Stencil", "www", true),
        ("@rsbuild/core", "Rsbuild", "dist", true),
    ];
    if let Some((_, name, folder, is_app)) = simple.iter().find(|(package, ..)| has(package)) {
        let config = config(&[
            "vue.config.js",
            "gatsby-config.js",
            ".eleventy.js",
            "eleventy.config.js",
        ]);
        let other = value(&config, "outputDir").or_else(|| value(&config, "output"));
        return Some(made(name, &[other.as_deref().unwrap_or(folder), folder], *is_app));
    }
    if package_json.has_prefix("@quasar/app") {
        return build
            .contains("quasar build")
            .then(|| made("Quasar", &["dist/spa", "dist/pwa"], true));
    }
    if has("expo") {
        return build
            .contains("expo export")
            .then(|| made("Expo", &["dist", "web-build"], true));
    }
    if has("vite") || build.contains("vite build") {
        let config = config(&[
            "vite.config.ts",
            "vite.config.js",
            "vite.config.mjs",
            "vite.config.mts",
        ]);
        let is_server = is_true(&config, "ssr") || build.contains("--ssr");
        let folder = after(build, "--outDir").or_else(|| value(&config, "outDir"));
        let folder = below(
            &value(&config, "root").unwrap_or_default(),
            folder.as_deref().unwrap_or("dist"),
        );
        return (!is_server).then(|| made("Vite", &[folder.as_deref().unwrap_or("dist"), "dist"], true));
    }
    if has("parcel") || has("parcel-bundler") {
        let folder = after(build, "--dist-dir").or_else(|| after(build, "--out-dir"));
        return pages("Parcel", &[folder.as_deref().unwrap_or("dist"), "dist"]);
    }
    let bundlers = [
        "webpack",
        "rollup",
        "esbuild",
        "snowpack",
        "@rspack/core",
        "elm",
        "gulp",
        "tailwindcss",
        "sass",
    ];
    let bundler = bundlers.iter().find(|package| has(package))?;
    // It can build anything: only where a page is there already, or a template of one.
    let folders = ["public", "dist", "build", "."];
    let is_site = has("html-webpack-plugin")
        || has("@rollup/plugin-html")
        || folders
            .iter()
            .any(|folder| files::exists(&app.join(folder), "index.html"));
    if is_site && has("html-webpack-plugin") {
        return app_of(bundler, &["dist", "build", "public"]);
    }
    is_site.then(|| made(bundler, &folders, false))
}

fn made(name: &'static str, folders: &[&str], is_single_page: bool) -> Frontend {
    let mut all: Vec<String> = Vec::new();
    for folder in folders {
        let folder = folder.trim_start_matches("./").trim_matches('/').to_owned();
        // One that leads out of the app is a monorepo's: the usual names are tried then.
        if !folder.is_empty() && !folder.split('/').any(|part| part == "..") && !all.contains(&folder) {
            all.push(folder);
        }
    }
    Frontend {
        name,
        folders: all,
        is_single_page,
        fallback: None,
    }
}

// `out` as it is meant from `root`, if that is in the app.
fn below(root: &str, out: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in root.split('/').chain(out.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

// Where the builder puts pages is said in angular.json, since version 17 with `browser` below it.
fn angular(app: &Path) -> Option<Frontend> {
    let text = files::read(app, "angular.json")
        .unwrap_or_default()
        .unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let projects = json.get("projects")?.as_object()?;
    let named = json.get("defaultProject").and_then(Value::as_str);
    let (name, project) = projects
        .iter()
        .filter(|(_, project)| project.get("projectType").and_then(Value::as_str) != Some("library"))
        .max_by_key(|(name, _)| Some(name.as_str()) == named)?;
    let options = project
        .pointer("/architect/build/options")
        .or_else(|| project.pointer("/targets/build/options"))?;
    let is_static = options.get("outputMode").and_then(Value::as_str) == Some("static");
    let has_server =
        options.get("server").is_some() && options.get("ssr").is_some_and(|ssr| *ssr != Value::Bool(false));
    if has_server && !is_static {
        return None;
    }
    let (base, browser) = match options.get("outputPath") {
        Some(Value::String(base)) => (base.clone(), None),
        Some(paths) => (
            paths
                .get("base")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            paths.get("browser").and_then(Value::as_str).map(str::to_owned),
        ),
        None => (format!("dist/{name}"), None),
    };
    let browser = browser.unwrap_or_else(|| "browser".to_owned());
    Some(made(
        "Angular",
        &[&format!("{base}/{browser}"), &base, "dist"],
        true,
    ))
}

// The first of these files, without its comments.
fn configuration(app: &Path, names: &[&str]) -> String {
    let text = names
        .iter()
        .find_map(|name| files::read(app, name).unwrap_or_default())
        .unwrap_or_default();
    without_comments(&text)
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        if quote.is_none() && rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if quote.is_none() && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
            continue;
        }
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            // A string in one or two quotes ends with its line; an apostrophe in a pattern does not end the search.
            (Some('"' | '\''), '\n') => quote = None,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

// What follows `key:` in a configuration.
fn after_key<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = config;
    loop {
        let at = rest.find(key)?;
        let before = rest[..at].chars().next_back();
        let after = rest[at + key.len()..]
            .trim_start_matches(['"', '\''])
            .trim_start();
        rest = &rest[at + key.len()..];
        let is_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
        if let Some(value) = after.strip_prefix(':').filter(|_| !is_word) {
            return Some(value.trim_start());
        }
    }
}

fn value(config: &str, key: &str) -> Option<String> {
    let after = after_key(config, key)?;
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let text = after[1..].split(quote).next()?;
    (!text.is_empty() && !text.contains("${")).then(|| text.to_owned())
}

fn is_false(config: &str, key: &str) -> bool {
    after_key(config, key).is_some_and(|after| after.starts_with("false"))
}

fn is_true(config: &str, key: &str) -> bool {
    after_key(config, key).is_some_and(|after| after.starts_with("true"))
}

fn mentions(config: &str, key: &str) -> bool {
    after_key(config, key).is_some()
}

// The word after an option of a command.
fn after(command: &str, option: &str) -> Option<String> {
    let rest = command.split_once(option)?.1.trim_start_matches('=').trim_start();
    let word = rest.split_whitespace().next()?.trim_matches(['"', '\'']);
    (!word.starts_with('-')).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(package_json: &str, tree: &[(&str, &str)]) -> Option<Frontend> {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("package.json"), package_json).unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        of(dir.path()).unwrap()
    }

    fn folders(build: &str, packages: &[&str], tree: &[(&str, &str)]) -> Option<(&'static str, String)> {
        let packages: Vec<String> = packages
            .iter()
            .map(|package| format!("\"{package}\":\"1\""))
            .collect();
        let json = format!(
            r#"{{"scripts":{{"build":"{build}"}},"devDependencies":{{{}}}}}"#,
            packages.join(",")
        );
        found(&json, tree).map(|frontend| (frontend.name, frontend.folders.join(" ")))
    }

    #[test]
    fn frameworks_are_known_by_their_packages_and_configurations() {
        let angular = r#"{"projects":{"shop":{"projectType":"application","architect":{"build":{"options":{"outputPath":"dist/shop"}}}}}}"#;
        for (packages, build, tree, expected) in [
            (
                &["vite", "react"][..],
                "tsc && vite build",
                &[][..],
                Some(("Vite", "dist")),
            ),
            (
                &["vite"],
                "vite build --outDir site",
                &[],
                Some(("Vite", "site dist")),
            ),
            (
                &["vite"],
                "vite build",
                &[("vite.config.ts", "export default { build: { outDir: 'www' } }")],
                Some(("Vite", "www dist")),
            ),
            (
                &["vite"],
                "vite build",
                &[("vite.config.ts", "// outDir: 'old'\nexport default {}")],
                Some(("Vite", "dist")),
            ),
            (
                &["vite"],
                "vite build",
                &[("vite.config.js", "build: { outDir: '../server/public' }")],
                Some(("Vite", "dist")),
            ),
            (
                &["vite"],
                "vite build",
                &[("vite.config.js", "root: './src', build: { outDir: '../site' }")],
                Some(("Vite", "site dist")),
            ),
            (
                &["vite"],
                "vite build client",
                &[("vite.config.js", "root: 'client'")],
                Some(("Vite", "client/dist dist")),
            ),
            (
                &["react-scripts"],
                "react-scripts build",
                &[],
                Some(("Create React App", "build")),
            ),
            (
                &["@vue/cli-service"],
                "vue-cli-service build",
                &[("vue.config.js", "outputDir: \"out\"")],
                Some(("Vue CLI", "out dist")),
            ),
            (
                &["astro"],
                "astro build",
                &[("astro.config.mjs", "export default defineConfig({});")],
                Some(("Astro", "dist")),
            ),
            (
                &["next"],
                "next build",
                &[("next.config.mjs", "export default { output: 'export' }")],
                Some(("Next.js export", "out")),
            ),
            (
                &["nuxt"],
                "nuxt generate",
                &[],
                Some(("Nuxt", ".output/public dist")),
            ),
            (
                &["@sveltejs/kit", "@sveltejs/adapter-static", "vite"],
                "vite build",
                &[],
                Some(("SvelteKit", "build")),
            ),
            (
                &["@react-router/dev", "vite"],
                "react-router build",
                &[(
                    "react-router.config.ts",
                    "export default { ssr: false } satisfies Config",
                )],
                Some(("React Router", "build/client")),
            ),
            (
                &["@angular/core"],
                "ng build",
                &[("angular.json", angular)],
                Some(("Angular", "dist/shop/browser dist/shop dist")),
            ),
            (
                &["vitepress"],
                "vitepress build docs",
                &[],
                Some((
                    "VitePress",
                    "docs/.vitepress/dist .vitepress/dist src/.vitepress/dist",
                )),
            ),
            (
                &["parcel"],
                "parcel build src/index.html --dist-dir out",
                &[],
                Some(("Parcel", "out dist")),
            ),
            (
                &["webpack", "html-webpack-plugin"],
                "webpack",
                &[],
                Some(("webpack", "dist build public")),
            ),
            (
                &["rollup"],
                "rollup -c",
                &[("public/index.html", "")],
                Some(("rollup", "public dist build .")),
            ),
        ] {
            let expected = expected.map(|(name, folders): (&str, &str)| (name, folders.to_owned()));
            assert_eq!(folders(build, packages, tree), expected, "{packages:?}");
        }
    }

    #[test]
    fn what_makes_a_server_is_no_site() {
        for (packages, build, tree) in [
            (&["next"][..], "next build", &[][..]),
            (
                &["next"],
                "next build",
                &[("next.config.js", "// output: 'export'\nmodule.exports = {}")],
            ),
            (&["nuxt"], "nuxt build", &[]),
            (
                &["@sveltejs/kit", "vite", "@sveltejs/adapter-node"],
                "vite build",
                &[],
            ),
            (
                &["@react-router/dev", "vite"],
                "react-router build",
                &[("react-router.config.ts", "export default { ssr: true }")],
            ),
            (
                &["astro", "@astrojs/node"],
                "astro build",
                &[(
                    "astro.config.mjs",
                    "defineConfig({ adapter: node({ mode: 'standalone' }) })",
                )],
            ),
            (
                &["astro"],
                "astro build",
                &[("astro.config.mjs", "output: \"server\"")],
            ),
            (&["@solidjs/start", "vinxi"], "vinxi build", &[]),
            (&["webpack"], "webpack", &[]),
            (&["typescript"], "tsc", &[("index.html", "")]),
        ] {
            assert_eq!(folders(build, packages, tree), None, "{packages:?}");
        }
    }

    #[test]
    fn an_app_with_a_server_of_its_own_is_no_site() {
        let with = |scripts: &str, tree: &[(&str, &str)]| {
            found(
                &format!(r#"{{"scripts":{scripts},"dependencies":{{"vite":"7"}}}}"#),
                tree,
            )
            .is_some()
        };
        assert!(with(r#"{"build":"vite build"}"#, &[]));
        assert!(with(r#"{"heroku-postbuild":"vite build"}"#, &[]));
        assert!(with(r#"{"build":"vite build","start":"vite preview"}"#, &[]));
        assert!(!with(r#"{"build":"vite build","start":"node server.js"}"#, &[]));
        assert!(!with(r#"{"build":"vite build"}"#, &[("server.js", "")]));
        assert!(!with(r#"{"dev":"vite"}"#, &[]));
        assert!(found("{broken", &[]).is_none());
    }

    #[test]
    fn heroku_names_our_server_too() {
        let dir = tempfile::tempdir().unwrap();
        for (procfile, expected) in [
            ("web: bin/boot", false),
            ("worker: node w.js", false),
            ("web: node a.js", true),
            ("broken", false),
        ] {
            files::write(&dir.path().join("Procfile"), procfile).unwrap();
            assert_eq!(has_own_web(dir.path()), expected, "{procfile}");
        }
    }

    #[test]
    fn an_angular_app_with_a_server_is_no_site() {
        let of = |options: &str| {
            let json =
                format!(r#"{{"projects":{{"a":{{"architect":{{"build":{{"options":{options}}}}}}}}}}}"#);
            folders("ng build", &["@angular/core"], &[("angular.json", &json)]).map(|(_, folders)| folders)
        };
        assert_eq!(of("{}").as_deref(), Some("dist/a/browser dist/a dist"));
        assert_eq!(
            of(r#"{"outputPath":{"base":"out","browser":""}}"#).as_deref(),
            Some("out dist")
        );
        let server = r#""server":"src/main.server.ts","ssr":{"entry":"server.ts"}"#;
        assert_eq!(of(&format!("{{{server}}}")), None);
        assert!(of(&format!(r#"{{{server},"outputMode":"static"}}"#)).is_some());
    }
}
