//! What a command of a person's becomes in a container: the same environment as the app's own processes have.
//!
//! An image of buildpacks makes that environment as it starts a process, so its launcher comes first. One text is for
//! a shell; several words are a program and its arguments, and no shell reads them. Pure.

use pvdify_types::ProcessType;

/// Starts what it is given in the environment of an image that buildpacks built.
const LAUNCHER: &str = "/cnb/lifecycle/launcher";
/// The best shell that the image has.
const ANY_SHELL: &str = "if [ -x /bin/bash ]; then exec /bin/bash; fi; exec /bin/sh";

/// What is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A process type of the release, with its command line; empty: the image's own entrypoint and command.
    Process(ProcessType, String),
    /// For a shell.
    Text(String),
    /// A program and its arguments.
    Words(Vec<String>),
    /// An interactive shell.
    Shell,
}

impl Command {
    /// The program and its arguments, in an image with a launcher or without; `None`: the image's own.
    #[must_use]
    pub fn argv(&self, launcher: bool) -> Option<Vec<String>> {
        let shell = |text: &str| match launcher {
            true => strings([LAUNCHER, text]),
            false => strings(["/bin/sh", "-c", text]),
        };
        match self {
            Self::Process(process, _) if launcher => Some(vec![format!("/cnb/process/{process}")]),
            Self::Process(_, text) if text.is_empty() => None,
            Self::Process(_, text) => Some(strings(["/bin/sh", "-c", text])),
            Self::Text(text) => Some(shell(text)),
            Self::Shell => Some(shell(ANY_SHELL)),
            Self::Words(words) if launcher => Some([&strings([LAUNCHER, "--"]), words.as_slice()].concat()),
            Self::Words(words) => Some(words.clone()),
        }
    }

    /// What it starts, for people.
    pub(super) fn program(&self) -> String {
        match self {
            Self::Words(words) => words.first().cloned().unwrap_or_default(),
            other => other.shown(),
        }
    }

    /// The command line, for people; empty: the image's own.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Process(_, text) => text.clone(),
            other => other.shown(),
        }
    }

    /// As people read it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Process(process, text) if text.is_empty() => process.to_string(),
            Self::Process(_, text) | Self::Text(text) => text.clone(),
            Self::Words(words) => words.join(" "),
            Self::Shell => "bash".to_owned(),
        }
    }
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sort_of_command_in_each_sort_of_image() {
        let process = |text: &str| Command::Process("worker".parse().unwrap(), text.into());
        let table = [
            (process("run it"), false, "/bin/sh|-c|run it"),
            (process(""), false, ""),
            (process("run it"), true, "/cnb/process/worker"),
            (Command::Text("a && b".into()), false, "/bin/sh|-c|a && b"),
            (
                Command::Text("a && b".into()),
                true,
                "/cnb/lifecycle/launcher|a && b",
            ),
            (Command::Words(strings(["a", "b c"])), false, "a|b c"),
            (
                Command::Words(strings(["a", "b c"])),
                true,
                "/cnb/lifecycle/launcher|--|a|b c",
            ),
        ];
        for (command, launcher, expected) in table {
            let argv = command.argv(launcher).unwrap_or_default();
            assert_eq!(argv.join("|"), expected, "{command:?}");
        }
    }
}
