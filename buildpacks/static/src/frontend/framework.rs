//! The frameworks, by the packages that an app depends on.
//!
//! One that can also make a server makes a site only where its configuration says so. The order matters: a framework
//! that stands on another (`vite`, `webpack`) is asked for before it.

use super::{Frontend, angular, configuration::Configuration, made};
use crate::package_json::PackageJson;
use buildpack_support::files;
use std::path::Path;

/// The front end of an app that builds something and serves nothing.
pub(super) fn find(app: &Path, package_json: &PackageJson) -> Option<Frontend> {
    let has = |package: &str| package_json.has(package);
    let build = package_json.build_script().unwrap_or_default();
    let config = |names: &[&str]| Configuration::of(app, names);
    let pages = |name, folders: &[&str]| Some(made(name, folders, false));
    let app_of = |name, folders: &[&str]| Some(made(name, folders, true));

    if has("next") {
        let config = config(&[
            "next.config.js",
            "next.config.mjs",
            "next.config.ts",
            "next.config.cjs",
        ]);
        let is_export = config.value("output").as_deref() == Some("export") || build.contains("next export");
        let folder = config.value("distDir").unwrap_or_default();
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
        let folder = config.value("pages").unwrap_or_else(|| "build".to_owned());
        return has("@sveltejs/adapter-static").then(|| Frontend {
            fallback: config.value("fallback"),
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
        let folder = config
            .value("buildDirectory")
            .unwrap_or_else(|| "build".to_owned());
        let folder = format!("{folder}/client");
        return config
            .is_false("ssr")
            .then(|| made("React Router", &[&folder], true));
    }
    if has("astro") {
        let config = config(&[
            "astro.config.mjs",
            "astro.config.ts",
            "astro.config.js",
            "astro.config.mts",
        ]);
        let is_server = matches!(config.value("output").as_deref(), Some("server" | "hybrid"))
            || config.mentions("adapter");
        let folder = config.value("outDir").unwrap_or_else(|| "dist".to_owned());
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
        return angular::site(app);
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
        let other = config.value("outputDir").or_else(|| config.value("output"));
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
        let is_server = config.is_true("ssr") || build.contains("--ssr");
        let folder = after(build, "--outDir").or_else(|| config.value("outDir"));
        let folder = below(
            &config.value("root").unwrap_or_default(),
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

// The word after an option of a command.
fn after(command: &str, option: &str) -> Option<String> {
    let rest = command.split_once(option)?.1.trim_start_matches('=').trim_start();
    let word = rest.split_whitespace().next()?.trim_matches(['"', '\'']);
    (!word.starts_with('-')).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::sample::folders;

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
}
