//! Why a buildpack build made no image, in words for the person who pushed. Pure.

use super::{container::Ended, watch::Excess};
use crate::{BuildError, Limits, config::MIB};
use serde::Deserialize;

/// How the lifecycle says that a program was killed by nobody else.
const OUT_OF_MEMORY: &str = "as when memory runs out";

/// What the lifecycle says of its failure.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    phase: String,
    buildpack: Option<String>,
    message: String,
}

/// What was looked for: a buildpack's name and the files by which it knows its apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LooksFor {
    pub(crate) name: String,
    pub(crate) files: String,
}

/// Nothing, if the build succeeded.
pub(crate) fn explain(
    ended: &Ended,
    limits: &Limits,
    looked_for: &[LooksFor],
    top: &[&str],
) -> Result<(), BuildError> {
    match ended {
        Ended::Exited { code: 0, .. } => Ok(()),
        Ended::Exited { code, failure, tail } => {
            let said: Said = failure
                .as_deref()
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default();
            Err(exited(*code, &said, tail, limits, looked_for, top))
        }
        Ended::TimedOut => Err(BuildError::Refused(format!(
            "the build took longer than {} minutes and was stopped",
            limits.timeout.as_secs().div_ceil(60)
        ))),
        Ended::Disk(Excess::Build(used)) => Err(BuildError::Refused(format!(
            "the build used {} MiB of disk, a build may use {} MiB, and was stopped: leave out what it does not need",
            used / MIB,
            limits.disk_bytes / MIB
        ))),
        Ended::Disk(Excess::Files(files)) => Err(BuildError::Refused(format!(
            "the build made {files} files, a build may make {}, and was stopped: leave out what it does not need",
            limits.disk_files
        ))),
        Ended::Disk(Excess::Path) => Err(BuildError::Refused(
            "the build made folders in folders without end, and was stopped: no path may be longer than 4095 bytes"
                .to_owned(),
        )),
        Ended::Disk(Excess::HostFiles(free)) => Err(BuildError::Unavailable(format!(
            "the build was stopped: the server's disk has room for {free} files more. Remove some from it and push again"
        ))),
        Ended::Disk(Excess::Host(free)) => Err(BuildError::Unavailable(format!(
            "the build was stopped: the server's disk has {} MiB left. Free space on it and push again",
            free / MIB
        ))),
    }
}

fn exited(
    code: i64,
    said: &Said,
    tail: &[String],
    limits: &Limits,
    looked_for: &[LooksFor],
    top: &[&str],
) -> BuildError {
    let buildpack = said.buildpack.as_deref().unwrap_or("a buildpack");
    let message = said.message.trim();
    match code {
        // platform.md, "Exit Codes": 20 no group passed, 21 none passed and at least one failed to look.
        20 => BuildError::Refused(nothing_detected(looked_for, top)),
        21 => BuildError::Refused(format!(
            "{buildpack} could not look at the source: {message}{}",
            last(tail)
        )),
        51 | 91 if message.contains(OUT_OF_MEMORY) => BuildError::Refused(format!(
            "{message}: a build may use {} MiB{}",
            limits.memory_bytes / MIB,
            last(tail)
        )),
        51 | 91 if message.contains(buildpack) => BuildError::Refused(format!("{message}{}", last(tail))),
        51 => BuildError::Refused(format!("{buildpack} failed: {message}{}", last(tail))),
        // SIGKILL: by the kernel, for memory, as nobody else sends it to a build that goes on.
        137 => BuildError::Refused(format!(
            "the build needed more than {} MiB of memory and was killed{}",
            limits.memory_bytes / MIB,
            last(tail)
        )),
        12 | 22..=29 => BuildError::Refused(format!("detection failed: {message}")),
        50 | 52..=59 => BuildError::Refused(format!("{buildpack}: {message}")),
        91..=99 => BuildError::Refused(format!(
            "the image extensions can't be run: {message}{}",
            last(tail)
        )),
        _ if message.is_empty() => {
            BuildError::unavailable(format!("the build ended with code {code}{}", last(tail)))
        }
        _ => BuildError::unavailable(format!(
            "the build failed in {}: {message} (code {code})",
            said.phase
        )),
    }
}

fn nothing_detected(looked_for: &[LooksFor], top: &[&str]) -> String {
    let mut text = "no buildpack recognises this source\nLooked for:".to_owned();
    for LooksFor { name, files } in looked_for {
        text.push_str(&format!("\n  {name}: {files}"));
    }
    let shown: Vec<&str> = top.iter().take(8).copied().collect();
    let more = if top.len() > shown.len() { ", ..." } else { "" };
    text.push_str(&format!(
        "\nFound at the top of the source: {}{more}. Add one of these files or a Dockerfile, then push again",
        shown.join(", ")
    ));
    text
}

fn last(tail: &[String]) -> String {
    if tail.is_empty() {
        return String::new();
    }
    format!("\nIts last output:\n  {}", tail.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: i64, failure: &str, tail: &[&str]) -> String {
        let ended = Ended::Exited {
            code,
            failure: Some(failure.to_owned()),
            tail: tail.iter().map(|line| (*line).to_owned()).collect(),
        };
        let looked_for = [
            ("Node.js", "package.json"),
            ("Python", "requirements.txt, pyproject.toml"),
        ]
        .map(|(name, files)| LooksFor {
            name: name.to_owned(),
            files: files.to_owned(),
        });
        explain(&ended, &Limits::default(), &looked_for, &["README.md", "main.c"])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn each_end_is_said_with_what_to_do() {
        insta::assert_snapshot!(told(20, "{}", &[]), @r"
        no buildpack recognises this source
        Looked for:
          Node.js: package.json
          Python: requirements.txt, pyproject.toml
        Found at the top of the source: README.md, main.c. Add one of these files or a Dockerfile, then push again
        ");
        let failure = r#"{"phase":"build","code":51,"buildpack":"pvdify/nodejs@0.1.0","message":"bin/build of pvdify/nodejs@0.1.0 failed: exit status 1"}"#;
        insta::assert_snapshot!(told(51, failure, &["npm error missing script: build"]), @r"
        bin/build of pvdify/nodejs@0.1.0 failed: exit status 1
        Its last output:
          npm error missing script: build
        ");
        let failure = r#"{"phase":"build","code":51,"buildpack":"a/b@1","message":"bin/build of a/b@1 failed: killed (signal 9), as when memory runs out"}"#;
        insta::assert_snapshot!(told(51, failure, &[]), @"bin/build of a/b@1 failed: killed (signal 9), as when memory runs out: a build may use 2048 MiB");
        let failure = r#"{"phase":"generate","code":91,"buildpack":"a/b@1","message":"bin/generate of a/b@1 failed: exit status 2"}"#;
        insta::assert_snapshot!(told(91, failure, &["no plan"]), @r"
        bin/generate of a/b@1 failed: exit status 2
        Its last output:
          no plan
        ");
        insta::assert_snapshot!(told(92, r#"{"message":"group.toml is missing"}"#, &[]), @"the image extensions can't be run: group.toml is missing");
        insta::assert_snapshot!(told(137, "", &[]), @"the build needed more than 2048 MiB of memory and was killed");
        insta::assert_snapshot!(told(127, "", &["sh: not found"]), @r"
        the build ended with code 127
        Its last output:
          sh: not found
        ");
        let limits = Limits::default();
        let disk = |excess| {
            explain(&Ended::Disk(excess), &limits, &[], &[])
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(disk(Excess::Build(20 << 30)), @"the build used 20480 MiB of disk, a build may use 10240 MiB, and was stopped: leave out what it does not need");
        insta::assert_snapshot!(disk(Excess::Host(1 << 20)), @"the build was stopped: the server's disk has 1 MiB left. Free space on it and push again");
        insta::assert_snapshot!(disk(Excess::Files(2_000_001)), @"the build made 2000001 files, a build may make 2000000, and was stopped: leave out what it does not need");
        insta::assert_snapshot!(disk(Excess::Path), @"the build made folders in folders without end, and was stopped: no path may be longer than 4095 bytes");
        insta::assert_snapshot!(disk(Excess::HostFiles(7)), @"the build was stopped: the server's disk has room for 7 files more. Remove some from it and push again");
        assert!(
            explain(&Ended::TimedOut, &limits, &[], &[])
                .unwrap_err()
                .to_string()
                .contains("30 minutes")
        );
        let fine = Ended::Exited {
            code: 0,
            failure: None,
            tail: Vec::new(),
        };
        assert_eq!(explain(&fine, &limits, &[], &[]), Ok(()));
    }
}
