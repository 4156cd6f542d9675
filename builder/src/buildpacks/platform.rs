//! What a build is given beside its source: the environment of `/platform/env` and the services that the app is bound
//! to, `/platform/bindings`. Pure but for the writing.
//!
//! Later ones count: what the server's owner set for every build, how the host's CA bundle is found, what the
//! project says of itself, the app's config vars that builds see. Names that would change how the lifecycle itself runs
//! are left out with a warning.

use super::owned::{readable, write_new};
use crate::export::Owner;
use pvdify_types::{Binding, BuildVars};
use std::{collections::BTreeMap, fs, io, path::Path};

/// Where the CA bundle is in a build container.
pub(crate) const CA_FILE: &str = "/run/pvdify/ca.crt";
/// Where apt finds its part of it.
pub(crate) const APT_FILE: &str = "/run/pvdify/apt.conf";
/// Where bindings are in a build container, and the variable that says so (servicebinding.io).
const BINDINGS: &str = "/platform/bindings";
const BINDING_ROOT: &str = "SERVICE_BINDING_ROOT";
/// How each client is told of a CA bundle.
pub(crate) const CA_VARIABLES: [&str; 12] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
    "COMPOSER_CAFILE",
    "BUNDLE_SSL_CA_CERT",
    "UV_CERT_FILE",
];
/// apt's configuration for it.
pub(crate) const APT_CONFIG: &str = "Acquire::https::CAInfo \"/run/pvdify/ca.crt\";\n";

/// The files of `/platform/env`, and what to tell of the names that were left out.
pub(crate) fn environment(
    server: &BTreeMap<String, String>,
    with_ca: bool,
    with_bindings: bool,
    project: &BTreeMap<String, String>,
    config: &BuildVars,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut files = server.clone();
    if with_ca {
        for name in CA_VARIABLES {
            files.insert(name.to_owned(), CA_FILE.to_owned());
        }
        files.insert("APT_CONFIG".to_owned(), APT_FILE.to_owned());
    }
    files.insert("PVDIFY_DOWNLOADS".to_owned(), "/downloads".to_owned());
    if with_bindings {
        files.insert(BINDING_ROOT.to_owned(), BINDINGS.to_owned());
    }
    let project = project
        .iter()
        .map(|(name, value)| ("project.toml", name.as_str(), value.as_str()));
    let config = config
        .iter()
        .map(|(key, var)| ("a config var", key.as_str(), var.value.reveal()));
    let mut refused = Vec::new();
    for (who, name, value) in project.chain(config) {
        if is_settable(name) {
            files.insert(name.to_owned(), value.to_owned());
        } else {
            refused.push(format!("{who} may not set {name} for the build: left out"));
        }
    }
    (files, refused)
}

/// Whether a project may set a variable of this name: it is a file's name, and not how the build itself works.
fn is_settable(name: &str) -> bool {
    let is_name = !name.is_empty()
        && name.len() <= 200
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name
        && !name.starts_with("CNB_")
        && !matches!(
            name,
            "HOME" | "HOSTNAME" | "PVDIFY_DOWNLOADS" | "LD_PRELOAD" | BINDING_ROOT
        )
}

/// Writes `FOLDER/env` and `FOLDER/bindings`, whose files may be secrets: root and the build's group alone read them.
pub(crate) fn write(
    folder: &Path,
    owner: Owner,
    files: &BTreeMap<String, String>,
    bindings: &[Binding],
) -> io::Result<()> {
    for binding in bindings {
        let own = folder.join("bindings").join(binding.name().as_str());
        fs::create_dir_all(&own)?;
        for (name, bytes) in binding.files() {
            let file = own.join(name);
            write_new(&file, bytes, 0o600)?;
            readable(&file, owner)?;
        }
    }
    let env = folder.join("env");
    fs::create_dir_all(&env)?;
    for (name, value) in files {
        let file = env.join(name);
        write_new(&file, value.as_bytes(), 0o600)?;
        readable(&file, owner)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::owned::CNB, *};
    use pvdify_types::{BuildVar, ConfigValue, ConfigVersion};

    #[test]
    fn a_project_sets_what_is_its_own_and_no_more() {
        let mine = |name: &str| (name.to_owned(), "mine".to_owned());
        let server = BTreeMap::from([("GOPROXY".to_owned(), "theirs".to_owned())]);
        let names = [
            "BP_X",
            "BP_Y",
            "GOPROXY",
            "CNB_APP_DIR",
            "A/B",
            "../x",
            "",
            "1X",
            "PVDIFY_DOWNLOADS",
            "SERVICE_BINDING_ROOT",
        ];
        let project = names.map(mine).into();
        let var = |value: &str| BuildVar {
            value: ConfigValue::new(value.to_owned()).unwrap(),
            since: ConfigVersion(1),
        };
        let config = ["BP_Y", "BP_Z", "LD_PRELOAD"].map(|key| (key.parse().unwrap(), var("config")));
        let config = config.into();
        let (files, refused) = environment(&server, false, false, &project, &config);
        assert_eq!(files["BP_X"], "mine");
        assert_eq!(files["GOPROXY"], "mine");
        assert_eq!(files["PVDIFY_DOWNLOADS"], "/downloads");
        assert_eq!(
            refused,
            [
                "project.toml may not set  for the build: left out",
                "project.toml may not set ../x for the build: left out",
                "project.toml may not set 1X for the build: left out",
                "project.toml may not set A/B for the build: left out",
                "project.toml may not set CNB_APP_DIR for the build: left out",
                "project.toml may not set PVDIFY_DOWNLOADS for the build: left out",
                "project.toml may not set SERVICE_BINDING_ROOT for the build: left out",
                "a config var may not set LD_PRELOAD for the build: left out",
            ]
        );
        assert_eq!(
            (files["BP_Y"].as_str(), files["BP_Z"].as_str()),
            ("config", "config")
        );
        assert!(!files.contains_key("SSL_CERT_FILE") && !files.contains_key("SERVICE_BINDING_ROOT"));
        let (files, _) = environment(&server, true, true, &BTreeMap::new(), &BuildVars::new());
        assert_eq!(files["npm_config_cafile"], CA_FILE);
        assert_eq!(files["SERVICE_BINDING_ROOT"], "/platform/bindings");
    }

    #[test]
    fn variables_and_bindings_are_files_that_the_builds_group_reads() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let entries = [("password".parse().unwrap(), b"s3cret".to_vec())].into();
        let binding = Binding::new("db".parse().unwrap(), "pg".parse().unwrap(), None, entries).unwrap();
        let env = BTreeMap::from([("TOKEN".to_owned(), "s3cret".to_owned())]);
        write(dir.path(), CNB, &env, &[binding]).unwrap();
        let token = dir.path().join("env/TOKEN");
        assert_eq!(fs::read_to_string(&token).unwrap(), "s3cret");
        assert_eq!(fs::metadata(token).unwrap().mode() & 0o777, 0o640);
        let file = |name: &str| dir.path().join("bindings/db").join(name);
        assert_eq!(fs::read_to_string(file("type")).unwrap(), "pg");
        assert_eq!(fs::read_to_string(file("password")).unwrap(), "s3cret");
        assert!(!file("provider").exists());
        assert_eq!(fs::metadata(file("password")).unwrap().mode() & 0o777, 0o640);
    }
}
