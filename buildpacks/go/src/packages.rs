//! Which programs an app has, what they are called, and which of them serves. Pure.

use buildpack_support::Failure;

/// A main package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its import path.
    pub(crate) path: String,
    /// Its folder below the app's; empty is the app's own.
    pub(crate) folder: String,
}

/// A main package with its program's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) package: Package,
}

impl Package {
    /// What `go build` calls the program: the last part that is no major version.
    fn name(&self) -> &str {
        let mut parts = self.path.rsplit('/');
        let last = parts.next().unwrap_or(&self.path);
        let is_major = last
            .strip_prefix('v')
            .is_some_and(|number| number != "0" && number != "1" && number.parse::<u32>().is_ok());
        match parts.next() {
            Some(before) if is_major => before,
            _ => last,
        }
    }
}

/// Reads what `go list` printed: import path, tab, folder.
pub(crate) fn listed(text: &str, app_dir: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(path, folder)| Package {
            path: path.to_owned(),
            folder: folder
                .strip_prefix(app_dir)
                .unwrap_or(folder)
                .trim_start_matches('/')
                .to_owned(),
        })
        .collect();
    packages.sort_by(|a, b| a.path.cmp(&b.path));
    packages.dedup();
    packages
}

// Folders of programs that show or test something and are not the app.
const ASIDE: [&str; 9] = [
    "example",
    "examples",
    "_examples",
    "hack",
    "scripts",
    "test",
    "tests",
    "testdata",
    "tools",
];

/// Of all mains those that are the app: not those in folders for examples and tools, unless there are no others
/// or the Procfile speaks of them.
pub(crate) fn of_the_app(packages: Vec<Package>, procfile: &str) -> Vec<Package> {
    let is_aside = |package: &Package| {
        let in_such_a_folder = package.folder.split('/').any(|part| ASIDE.contains(&part));
        in_such_a_folder && !mentions(procfile, package.name())
    };
    if packages.iter().all(is_aside) {
        return packages;
    }
    packages
        .into_iter()
        .filter(|package| !is_aside(package))
        .collect()
}

fn mentions(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
        .any(|found| found == word)
}

/// Names the programs; those that would be called the same get their folder's name before.
pub(crate) fn programs(packages: Vec<Package>) -> Vec<Program> {
    let names: Vec<String> = packages.iter().map(|package| package.name().to_owned()).collect();
    let mut programs: Vec<Program> = Vec::new();
    for (package, name) in packages.into_iter().zip(&names) {
        let is_shared = names.iter().filter(|other| *other == name).count() > 1;
        let name = if is_shared && !package.folder.is_empty() {
            package.folder.replace('/', "-")
        } else {
            name.clone()
        };
        programs.push(Program { name, package });
    }
    programs
}

/// The program that serves, and whether that was a guess: the only one, the one called `web`, the one of the
/// root folder, the one called as the module, `server`, `api` or `app`; else the first.
pub(crate) fn web<'a>(programs: &'a [Program], module: Option<&str>) -> Option<(&'a Program, bool)> {
    if let [only] = programs {
        return Some((only, false));
    }
    let named = |name: &str| programs.iter().find(|program| program.name == name);
    let module = module.map(|path| Package {
        path: path.to_owned(),
        folder: String::new(),
    });
    named("web")
        .or_else(|| programs.iter().find(|program| program.package.folder.is_empty()))
        .or_else(|| module.as_ref().and_then(|module| named(module.name())))
        .or_else(|| ["server", "api", "app"].into_iter().find_map(named))
        .map(|program| (program, false))
        .or_else(|| programs.first().map(|program| (program, true)))
}

/// The failure for an app without a program.
pub(crate) fn none(asked: &[String]) -> Failure {
    let why = if asked.is_empty() {
        "No package of the module is `package main`.".to_owned()
    } else {
        format!("None of these is `package main`: {}.", asked.join(" "))
    };
    Failure::new(
        "The app has no program to run",
        why,
        "A program is a package that is called `main` and has a `func main()`. If it is in another folder, name it in \
         go.mod (`// +heroku install ./cmd/web`) or by GO_INSTALL_PACKAGE_SPEC.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(paths: &[&str]) -> Vec<Package> {
        paths
            .iter()
            .map(|path| Package {
                path: (*path).to_owned(),
                folder: path
                    .strip_prefix("example.com/shop")
                    .unwrap_or(path)
                    .trim_start_matches('/')
                    .to_owned(),
            })
            .collect()
    }

    fn web_of(paths: &[&str]) -> Option<(String, bool)> {
        let programs = programs(packages(paths));
        web(&programs, Some("example.com/shop")).map(|(program, guessed)| (program.name.clone(), guessed))
    }

    #[test]
    fn what_go_list_prints_is_read() {
        let found = listed(
            "b\t/workspace/cmd/b\na\t/workspace\na\t/workspace\n",
            "/workspace",
        );
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].folder.as_str(), found[1].folder.as_str()),
            ("", "cmd/b")
        );
    }

    #[test]
    fn a_major_version_is_no_name() {
        let names: Vec<_> = programs(packages(&["a/tool/v3", "a/v1", "tool2", "v2"]))
            .into_iter()
            .map(|program| program.name)
            .collect();
        assert_eq!(names, ["tool", "v1", "tool2", "v2"]);
    }

    #[test]
    fn the_program_that_serves() {
        let shop = |rest: &str| format!("example.com/shop{rest}");
        for (paths, expected) in [
            (vec![shop("/cmd/x")], Some(("x", false))),
            (vec![shop("/cmd/a"), shop("/cmd/web")], Some(("web", false))),
            (vec![shop(""), shop("/cmd/a")], Some(("shop", false))),
            (vec![shop("/cmd/a"), shop("/cmd/shop")], Some(("shop", false))),
            (vec![shop("/cmd/a"), shop("/cmd/server")], Some(("server", false))),
            (vec![shop("/cmd/a"), shop("/cmd/b")], Some(("a", true))),
            (vec![], None),
        ] {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let expected = expected.map(|(name, guessed)| (name.to_owned(), guessed));
            assert_eq!(web_of(&paths), expected, "{paths:?}");
        }
    }

    #[test]
    fn examples_and_tools_stay_out_unless_they_are_all() {
        let all = packages(&[
            "example.com/shop",
            "example.com/shop/tools/gen",
            "example.com/shop/examples/a",
        ]);
        assert_eq!(of_the_app(all.clone(), "").len(), 1);
        assert_eq!(of_the_app(all.clone(), "worker: bin/gen -x").len(), 2);
        assert_eq!(of_the_app(all[1..].to_vec(), "").len(), 2);
    }

    #[test]
    fn programs_of_one_name_are_told_apart() {
        let names: Vec<_> = programs(packages(&["example.com/shop/a/cmd", "example.com/shop/b/cmd"]))
            .into_iter()
            .map(|program| program.name)
            .collect();
        assert_eq!(names, ["a-cmd", "b-cmd"]);
    }

    #[test]
    fn an_app_without_a_program_is_told() {
        insta::assert_snapshot!(none(&[]).text(), @r"
        The app has no program to run

        No package of the module is `package main`.

        A program is a package that is called `main` and has a `func main()`. If it is in another folder, name it in go.mod (`// +heroku install ./cmd/web`) or by GO_INSTALL_PACKAGE_SPEC.
        ");
        assert!(
            none(&["./x".into()])
                .why()
                .contains("None of these is `package main`: ./x.")
        );
    }
}
