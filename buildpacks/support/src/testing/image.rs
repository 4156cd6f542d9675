//! What the image would be: its process types, layers and environment.

use super::{App, table};
use libcnb::{
    Env,
    layer_env::{LayerEnv, Scope},
};
use std::{fs, path::PathBuf, process::Command};

impl App {
    /// `launch.toml` of the last build.
    #[must_use]
    pub fn launch(&self) -> toml::Table {
        table(&self.layers().join("launch.toml"))
    }

    /// A process's whole command, if there is that type.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<Vec<String>> {
        let process = self.process_table(name)?;
        let words = |key: &str| {
            let list = process
                .get(key)
                .and_then(|value| value.as_array())
                .into_iter()
                .flatten();
            list.filter_map(|word| Some(word.as_str()?.to_owned()))
                .collect::<Vec<_>>()
        };
        Some([words("command"), words("args")].concat())
    }

    fn process_table(&self, name: &str) -> Option<toml::Table> {
        let launch = self.launch();
        let processes = launch.get("processes")?.as_array()?;
        let process = processes
            .iter()
            .rfind(|process| process["type"].as_str() == Some(name))?;
        process.as_table().cloned()
    }

    /// A layer's folder.
    #[must_use]
    pub fn layer(&self, name: &str) -> PathBuf {
        self.layers().join(name)
    }

    /// A layer's `build`, `cache` and `launch`.
    #[must_use]
    pub fn layer_types(&self, name: &str) -> [bool; 3] {
        let layer = table(&self.layers().join(format!("{name}.toml")));
        ["build", "cache", "launch"].map(|kind| {
            layer
                .get("types")
                .and_then(|types| types.get(kind))
                .and_then(toml::Value::as_bool)
                .unwrap_or_default()
        })
    }

    /// The environment of a process in the image: the launch layers' on top of a bare one, exec.d included.
    #[must_use]
    pub fn launch_env(&self) -> Env {
        let mut env = Env::new();
        env.insert(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        env.insert("HOME", self.root.path().join("home"));
        env.insert("TMPDIR", self.temporary());
        let names = self.layer_names();
        let launch: Vec<_> = names.iter().filter(|name| self.layer_types(name)[2]).collect();
        for name in &launch {
            let layer = LayerEnv::read_from_layer_dir(self.layer(name)).expect("a layer can be read");
            env = layer.apply(Scope::Launch, &env);
        }
        for name in &launch {
            let mut programs: Vec<_> = fs::read_dir(self.layer(name).join("exec.d"))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_file())
                .collect();
            programs.sort();
            for program in programs {
                let output = Command::new("sh")
                    .args(["-c", "exec \"$0\" 3>&1 >/dev/null"])
                    .arg(&program)
                    .env_clear()
                    .envs(&env)
                    .current_dir(self.dir())
                    .output()
                    .expect("sh is there");
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                let table: toml::Table = String::from_utf8_lossy(&output.stdout)
                    .parse()
                    .expect("exec.d gives TOML");
                for (name, value) in table {
                    env.insert(name, value.as_str().unwrap_or_default());
                }
            }
        }
        env
    }

    /// A command that runs a process type as the launcher would.
    #[must_use]
    pub fn start(&self, name: &str) -> Command {
        let words = self.process(name).expect("the process type is there");
        let folder = self
            .process_table(name)
            .and_then(|process| Some(process.get("working-dir")?.as_str()?.to_owned()));
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(&self.launch_env())
            .current_dir(self.dir().join(folder.unwrap_or_default()));
        command
    }

    pub(super) fn layer_names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.layers())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}
