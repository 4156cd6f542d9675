//! Which process is meant: a type of the image's by the name that the launcher was started by, or the arguments.
//! Pure, but for reading the image's metadata.

use crate::error::LaunchError;
use pvdify_cnb::{
    api::Api,
    group::GroupElement,
    launch::{BuildMetadata, Process},
};
use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Since when a platform lets arguments replace those of the process.
const REPLACING_PLATFORM: Api = Api::new(0, 10);
/// Since when a buildpack's processes are direct ones whose arguments may be replaced.
const REPLACING_BUILDPACK: Api = Api::new(0, 9);
/// Since when processes may be for some execution environments only.
const WITH_EXEC_ENV: Api = Api::new(0, 15);

/// What the image knows of its processes.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) buildpacks: Vec<GroupElement>,
    processes: Vec<Process>,
}

/// What is to be executed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Whether no shell comes between.
    pub(crate) is_direct: bool,
    /// As the metadata says it; empty: the app's folder.
    pub(crate) working_dir: PathBuf,
    /// Whose environment it gets beside that of all.
    pub(crate) process_type: Option<String>,
}

impl Start {
    /// Where it starts; a relative folder is below the app's.
    pub(crate) fn folder(&self, app: &Path) -> PathBuf {
        if self.working_dir.as_os_str().is_empty() {
            app.to_owned()
        } else {
            app.join(&self.working_dir)
        }
    }
}

impl Metadata {
    pub(crate) fn read(layers: &Path) -> Result<Self, LaunchError> {
        let path = layers.join("config/metadata.toml");
        let failed = |error: &dyn std::fmt::Display| LaunchError::Metadata(path.clone(), error.to_string());
        let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
        let BuildMetadata {
            buildpacks,
            processes,
            ..
        } = toml::from_str(&text).map_err(|error| failed(&error.message()))?;
        match buildpacks.iter().find(|one| !one.api.is_supported_buildpack()) {
            Some(one) => Err(LaunchError::BuildpackApi(one.id.to_string(), one.api)),
            None => Ok(Self {
                buildpacks,
                processes,
            }),
        }
    }

    /// The types, for people.
    pub(crate) fn types(&self) -> Vec<&str> {
        self.processes
            .iter()
            .map(|process| process.name.as_str())
            .collect()
    }

    /// Which process is meant by the launcher's own name and arguments.
    pub(crate) fn choose(
        &self,
        own_name: &OsString,
        arguments: Vec<OsString>,
        platform: Api,
        exec_env: &str,
    ) -> Result<Start, LaunchError> {
        let name = Path::new(own_name).file_name().unwrap_or_default();
        let named: Vec<&Process> = self
            .processes
            .iter()
            .filter(|process| name == process.name.as_str())
            .collect();
        if named.is_empty() {
            return self.of_arguments(arguments);
        }
        let eligible = |process: &&&Process| {
            let listed = &process.exec_env;
            platform < WITH_EXEC_ENV
                || listed.is_empty()
                || listed.iter().any(|one| one == "*" || one == exec_env)
        };
        let process = named.iter().find(eligible).ok_or_else(|| {
            LaunchError::NotForExecEnv(name.to_string_lossy().into_owned(), exec_env.to_owned())
        })?;
        self.of_type(process, arguments, platform)
    }

    fn of_type(
        &self,
        process: &Process,
        arguments: Vec<OsString>,
        platform: Api,
    ) -> Result<Start, LaunchError> {
        let id = process.buildpack_id.as_ref();
        let buildpack = self.buildpacks.iter().find(|one| Some(&one.id) == id);
        let unknown = || {
            let id = id.map_or_else(|| "?".to_owned(), ToString::to_string);
            LaunchError::UnknownBuildpack(process.name.to_string(), id)
        };
        let words = |texts: &[String]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        let (mut command, defaults) = (words(&process.command), words(&process.args));
        if platform < REPLACING_PLATFORM {
            command.extend(defaults.into_iter().chain(arguments));
        } else if arguments.is_empty() {
            command.extend(defaults);
        } else if command.len() > 1 || buildpack.ok_or_else(unknown)?.api >= REPLACING_BUILDPACK {
            command.extend(arguments);
        } else {
            command.extend(defaults.into_iter().chain(arguments));
        }
        Ok(Start {
            command,
            is_direct: process.direct || buildpack.is_some_and(|one| one.api >= REPLACING_BUILDPACK),
            working_dir: process
                .working_dir
                .as_ref()
                .map(PathBuf::from)
                .unwrap_or_default(),
            process_type: Some(process.name.to_string()),
        })
    }

    /// A command of the user's: after `--` as it is, else through a shell.
    fn of_arguments(&self, mut arguments: Vec<OsString>) -> Result<Start, LaunchError> {
        let is_direct = arguments.len() > 1 && arguments[0].as_bytes() == b"--";
        if is_direct {
            arguments.remove(0);
        }
        if arguments.is_empty() {
            return Err(LaunchError::NothingToRun(self.types().join(", ")));
        }
        Ok(Start {
            command: arguments,
            is_direct,
            working_dir: PathBuf::new(),
            process_type: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "
        [[buildpacks]]
        id = 'new'
        version = '1'
        api = '0.9'
        [[buildpacks]]
        id = 'old'
        version = '1'
        api = '0.8'
        [[processes]]
        type = 'fixed'
        command = ['run', 'always']
        args = ['default']
        buildpack-id = 'new'
        working-dir = '/elsewhere'
        [[processes]]
        type = 'new.1'
        command = ['run']
        args = ['default']
        buildpack-id = 'new'
        [[processes]]
        type = 'old'
        command = 'run it'
        args = ['default']
        buildpack-id = 'old'
        [[processes]]
        type = 'old-direct'
        command = 'run'
        direct = true
        buildpack-id = 'old'
        [[processes]]
        type = 'orphan'
        command = ['run']
        buildpack-id = 'gone'
        [[processes]]
        type = 'some'
        command = ['tested']
        exec-env = ['test', 'ci']
        buildpack-id = 'new'
        [[processes]]
        type = 'some'
        command = ['produced']
        exec-env = ['production']
        buildpack-id = 'new'
        [[processes]]
        type = 'any'
        command = ['run']
        exec-env = ['*']
        buildpack-id = 'new'";

    fn chosen(
        own_name: &str,
        arguments: &[&str],
        platform: &str,
        exec_env: &str,
    ) -> Result<Start, LaunchError> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("config")).unwrap();
        fs::write(folder.path().join("config/metadata.toml"), METADATA).unwrap();
        let metadata = Metadata::read(folder.path()).unwrap();
        let arguments = arguments.iter().map(OsString::from).collect();
        metadata.choose(&own_name.into(), arguments, platform.parse().unwrap(), exec_env)
    }

    /// The words, with the shell before them when there is one.
    fn words(own_name: &str, arguments: &[&str], platform: &str) -> String {
        match chosen(own_name, arguments, platform, "production") {
            Ok(start) => {
                let words: Vec<_> = start.command.iter().map(|word| word.to_string_lossy()).collect();
                format!(
                    "{}{}",
                    if start.is_direct { "" } else { "shell: " },
                    words.join(" ")
                )
            }
            Err(error) => format!("{}: {error}", error.code()),
        }
    }

    #[test]
    fn arguments_replace_or_follow_those_of_the_process_by_its_buildpacks_api() {
        let table: [(&str, &[&str], &str, &str); 14] = [
            ("/cnb/process/fixed", &["mine"], "0.10", "run always mine"),
            ("/cnb/process/fixed", &[], "0.10", "run always default"),
            ("/cnb/process/fixed", &["mine"], "0.9", "run always default mine"),
            ("/cnb/process/new.1", &["mine", "too"], "0.15", "run mine too"),
            ("/cnb/process/new.1", &[], "0.15", "run default"),
            ("/cnb/process/new.1", &["mine"], "0.9", "run default mine"),
            ("old", &["mine"], "0.10", "shell: run it default mine"),
            ("old", &[], "0.10", "shell: run it default"),
            ("old", &["mine"], "0.9", "shell: run it default mine"),
            ("old-direct", &["mine"], "0.10", "run mine"),
            ("orphan", &[], "0.10", "shell: run"),
            (
                "orphan",
                &["x"],
                "0.10",
                "81: the process type orphan is of the buildpack gone, which the image does not know",
            ),
            ("any", &["--", "x"], "0.15", "run -- x"),
            ("other", &["fixed"], "0.15", "shell: fixed"),
        ];
        for (own_name, arguments, platform, expected) in table {
            assert_eq!(
                words(own_name, arguments, platform),
                expected,
                "{own_name} {arguments:?} {platform}"
            );
        }
    }

    #[test]
    fn without_a_process_type_the_arguments_are_the_command() {
        let launcher = "/cnb/lifecycle/launcher";
        assert_eq!(words(launcher, &["--", "ls", "-l"], "0.15"), "ls -l");
        assert_eq!(words(launcher, &["ls", "-l"], "0.15"), "shell: ls -l");
        assert_eq!(words(launcher, &["--"], "0.15"), "shell: --");
        assert_eq!(
            words(launcher, &["new.1", "x"], "0.15"),
            "shell: new.1 x",
            "a type is named by the launcher's name alone"
        );
        assert_eq!(
            words(launcher, &[], "0.15"),
            "81: no process type is the default, so a command is needed: run it with one, or run /cnb/process/TYPE \
             (fixed, new.1, old, old-direct, orphan, some, some, any)"
        );
    }

    #[test]
    fn a_process_is_chosen_by_the_execution_environment_too() {
        let first = |platform: &str, exec_env: &str| {
            chosen("some", &[], platform, exec_env)
                .map(|start| start.command[0].clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(first("0.15", "test").unwrap(), "tested");
        assert_eq!(first("0.15", "production").unwrap(), "produced");
        assert_eq!(
            first("0.14", "production").unwrap(),
            "tested",
            "older platforms take the first"
        );
        assert_eq!(
            first("0.15", "development").unwrap_err(),
            "no process of type some is for the execution environment development"
        );
        assert!(first("0.15", "").is_err());
        let start = chosen("fixed", &[], "0.15", "").unwrap();
        assert_eq!(
            (start.working_dir, start.process_type.as_deref()),
            ("/elsewhere".into(), Some("fixed"))
        );
    }
}
