//! What a `package.json` says of a front end: its scripts and dependencies. One that can't be read says nothing
//! here: Node.js's buildpack tells what is wrong with it.

use buildpack_support::{Result, files};
use serde_json::Value;
use std::path::Path;

/// A `package.json`.
#[derive(Debug, Default)]
pub(crate) struct PackageJson(Value);

impl PackageJson {
    /// The app's, if it has one.
    pub(crate) fn of(app: &Path) -> Result<Option<Self>> {
        let text = files::read(app, "package.json")?;
        Ok(text.map(|text| Self(serde_json::from_str(&text).unwrap_or_default())))
    }

    /// A script's command.
    pub(crate) fn script(&self, name: &str) -> Option<&str> {
        self.0
            .get("scripts")?
            .get(name)?
            .as_str()
            .map(str::trim)
            .filter(|script| !script.is_empty())
    }

    /// Whether a package is among the dependencies of any kind.
    pub(crate) fn has(&self, package: &str) -> bool {
        ["dependencies", "devDependencies", "optionalDependencies"]
            .iter()
            .any(|kind| self.0.get(kind).and_then(|list| list.get(package)).is_some())
    }

    /// Whether a package of this prefix is.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        ["dependencies", "devDependencies"].iter().any(|kind| {
            self.0
                .get(kind)
                .and_then(Value::as_object)
                .is_some_and(|list| list.keys().any(|name| name.starts_with(prefix)))
        })
    }

    /// The script that builds.
    pub(crate) fn build_script(&self) -> Option<&str> {
        self.script("heroku-postbuild").or_else(|| self.script("build"))
    }

    /// The script that starts a server of the app's own, if there is one: not a tool's that only shows pages.
    pub(crate) fn server_script(&self) -> Option<&str> {
        let start = self.script("start")?;
        (!self.only_shows(start, 0)).then_some(start)
    }

    fn only_shows(&self, command: &str, depth: usize) -> bool {
        let last = command.rsplit("&&").next().unwrap_or_default();
        let mut words = last
            .split_whitespace()
            .skip_while(|word| {
                word.contains('=')
                    || matches!(
                        *word,
                        "npx" | "cross-env" | "env" | "pnpm" | "exec" | "yarn" | "npm" | "bun" | "bunx"
                    )
            })
            .peekable();
        let first = words.next().unwrap_or_default();
        let second = words.next().unwrap_or_default();
        // `npm run dev`, `yarn dev`.
        let script = if first == "run" { second } else { first };
        if let Some(other) = self
            .script(script)
            .filter(|_| depth < 3 && script != "start" && is_through(last))
        {
            return self.only_shows(other, depth + 1);
        }
        match first {
            "serve" | "sirv" | "http-server" | "live-server" | "lite-server" | "browser-sync" | "vite"
            | "parcel" | "ng" | "webpack-dev-server" | "docusaurus" | "vitepress" | "vuepress" | "hexo"
            | "ember" | "expo" | "poi" | "superstatic" | "serve-handler" | "react-router-serve" => true,
            "react-scripts" | "craco" | "react-app-rewired" | "rescripts" | "preact" | "gridsome"
            | "quasar" | "next" | "eleventy" | "stencil" | "snowpack" | "storybook" | "start-storybook" => {
                true
            }
            "vue-cli-service" | "webpack" => second == "serve",
            "gatsby" => matches!(second, "develop" | "serve"),
            "astro" => matches!(second, "dev" | "preview"),
            "rsbuild" | "nuxt" | "nuxi" => matches!(second, "dev" | "preview"),
            _ => false,
        }
    }
}

fn is_through(command: &str) -> bool {
    command
        .split_whitespace()
        .any(|word| matches!(word, "npm" | "yarn" | "pnpm" | "bun"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(scripts: &str) -> Option<String> {
        let json = PackageJson(serde_json::from_str(&format!(r#"{{"scripts":{scripts}}}"#)).unwrap());
        json.server_script().map(str::to_owned)
    }

    #[test]
    fn a_tool_that_only_shows_pages_is_no_server() {
        for start in [
            "react-scripts start",
            "vite",
            "vite preview --port $PORT",
            "npm run dev",
            "yarn dev",
            "ng serve --open",
            "NODE_ENV=production npx serve -s build",
            "cross-env BROWSER=none craco start",
            "npm run build && serve dist",
            "webpack serve --mode development",
            "gatsby develop",
        ] {
            let scripts = format!(r#"{{"start":"{start}","dev":"vite"}}"#);
            assert_eq!(server(&scripts), None, "{start}");
        }
    }

    #[test]
    fn a_program_of_the_apps_own_is_one() {
        for start in [
            "node server.js",
            "npm run server",
            "webpack && node dist",
            "ts-node src",
            "astro build && node dist/x.mjs",
        ] {
            let scripts = format!(r#"{{"start":"{start}","server":"node ."}}"#);
            assert_eq!(server(&scripts).as_deref(), Some(start));
        }
        assert_eq!(
            server(r#"{"start":"npm run start"}"#).as_deref(),
            Some("npm run start")
        );
        assert_eq!(server("{}"), None);
    }
}
