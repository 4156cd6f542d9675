//! Which extensions the app needs, and the Debian packages that have them.

use crate::{
    composer_json::{self, ComposerJson},
    problems,
};
use buildpack_support::{Result, toolchain::deb};
use std::{collections::BTreeSet, path::Path};

/// Those that Heroku's PHP has too, or that nearly all frameworks ask for: small.
const ALWAYS: [&str; 9] = [
    "bcmath", "curl", "mbstring", "mysql", "opcache", "pgsql", "sqlite3", "xml", "zip",
];

/// In the programs themselves, or in php-common.
const BUILT_IN: [&str; 35] = [
    "core",
    "ctype",
    "date",
    "exif",
    "ffi",
    "fileinfo",
    "filter",
    "ftp",
    "gettext",
    "hash",
    "iconv",
    "json",
    "libxml",
    "openssl",
    "pcntl",
    "pcre",
    "pdo",
    "phar",
    "posix",
    "random",
    "readline",
    "reflection",
    "session",
    "shmop",
    "sockets",
    "sodium",
    "spl",
    "standard",
    "sysvmsg",
    "sysvsem",
    "sysvshm",
    "tokenizer",
    "zlib",
    "calendar",
    "mysqlnd",
];

/// The package of an extension, without `php8.4-`.
fn package(extension: &str) -> &str {
    match extension {
        "dom" | "simplexml" | "xmlreader" | "xmlwriter" | "xsl" => "xml",
        "pdo_pgsql" => "pgsql",
        "mysqli" | "pdo_mysql" => "mysql",
        "pdo_sqlite" => "sqlite3",
        "zend-opcache" | "zend opcache" => "opcache",
        "pdo_odbc" => "odbc",
        "pdo_dblib" => "sybase",
        other => other,
    }
}

/// The packages of all that the app and its locked packages require.
pub(crate) fn wanted(
    app: &Path,
    json: Option<&ComposerJson>,
    line: &str,
    apt: &deb::Apt,
) -> Result<Vec<String>> {
    let known = apt.names()?;
    let mut asked = json.map(ComposerJson::extensions).unwrap_or_default();
    asked.extend(composer_json::locked_extensions(app)?);
    let (packages, missing) = packages(&asked, json.is_none(), line, &known);
    if missing.is_empty() {
        Ok(packages)
    } else {
        Err(problems::no_extension(&missing, line))
    }
}

fn packages(asked: &[String], is_plain: bool, line: &str, known: &[String]) -> (Vec<String>, Vec<String>) {
    let mut packages: BTreeSet<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    if is_plain {
        // Nothing says what the scripts use; pictures are what they use most.
        packages.insert("gd".to_owned());
    }
    let mut missing = Vec::new();
    for extension in asked {
        let name = package(extension);
        let is_known = known.contains(&format!("php{line}-{name}"));
        if is_known {
            packages.insert(name.to_owned());
        } else if !BUILT_IN.contains(&name) && !missing.contains(extension) {
            missing.push(extension.clone());
        }
    }
    packages.retain(|name| known.contains(&format!("php{line}-{name}")));
    (packages.into_iter().collect(), missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_have_their_packages() {
        let known: Vec<String> = ["curl", "mbstring", "xml", "intl", "pgsql", "gd"]
            .iter()
            .map(|name| format!("php8.4-{name}"))
            .collect();
        let asked = ["intl", "dom", "json", "pdo_pgsql", "oci8", "pcntl"].map(str::to_owned);
        let (packages, missing) = packages(&asked, false, "8.4", &known);
        assert_eq!(packages, ["curl", "intl", "mbstring", "pgsql", "xml"]);
        assert_eq!(missing, ["oci8"]);
    }
}
