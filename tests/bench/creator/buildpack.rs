//! A buildpack of shell scripts that both sides run: it leaves about 200 MB of real files in two layers, once, and tells
//! when it ran.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

/// Its id's folder below `/cnb/buildpacks`, as the specification wants it.
pub(super) const FOLDER: &str = "bench_files/1.0.0";
pub(super) const ORDER: &str = "[[order]]\n[[order.group]]\nid = \"bench/files\"\nversion = \"1.0.0\"\n";
const DESCRIPTOR: &str = "api = \"0.10\"\n[buildpack]\nid = \"bench/files\"\nversion = \"1.0.0\"\n";
/// The plan carries the time to bin/build, as what bin/detect prints is not shown by all.
const DETECT: &str = r#"#!/bin/bash
printf '[[provides]]\nname = "files"\n[[requires]]\nname = "files"\n[requires.metadata]\nat = "%s"\n' "$(date +%s%N)" > "$CNB_BUILD_PLAN_PATH"
"#;
/// Libraries and programs, few and large, and Python's modules, many and small: what dependencies look like.
const BUILD: &str = r#"#!/bin/bash
set -e
began=$(date +%s%N)
detected=$(sed -n 's/.*at = "\([0-9]*\)".*/\1/p' "$CNB_BP_PLAN_PATH")
library=/usr/lib/x86_64-linux-gnu
declare -A files=(
  [libraries]="/usr/lib/gcc $library/perl $library/libnode.so.* $library/libicudata.so.*"
  [modules]="/usr/lib/python3 /usr/lib/python3.13"
)
for layer in libraries modules; do
  folder="$CNB_LAYERS_DIR/$layer"
  if [ -d "$folder" ] && grep -q 'key = "1"' "$folder.toml"; then
    echo "$layer: kept"
  else
    mkdir -p "$folder"
    cp -r --no-dereference --preserve=mode ${files[$layer]} "$folder"
  fi
  printf '[types]\nlaunch = true\ncache = true\n[metadata]\nkey = "1"\n' > "$folder.toml"
done
printf '[[processes]]\ntype = "web"\ncommand = ["sleep", "1000"]\n' > "$CNB_LAYERS_DIR/launch.toml"
echo "times $detected $began $(date +%s%N)"
"#;

/// Nanoseconds since 1970 at which it ended detecting, and began and ended building.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) detected: u128,
    pub(super) began: u128,
    pub(super) ended: u128,
}

impl Times {
    /// Finds them in the output of a build.
    pub(super) fn find(output: &str) -> Self {
        let line = output.lines().find_map(|line| line.split_once("times "));
        let (_, line) = line.expect("the buildpack ran");
        let mut times = line
            .split_whitespace()
            .map(|word| word.parse().expect("a number"));
        let mut next = || times.next().expect("the buildpack told three times");
        let (detected, began, ended) = (next(), next(), next());
        Self {
            detected,
            began,
            ended,
        }
    }
}

pub(super) fn write(folder: &Path) {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    fs::write(folder.join("buildpack.toml"), DESCRIPTOR).expect("its descriptor is written");
    for (name, text) in [("detect", DETECT), ("build", BUILD)] {
        fs::write(bin.join(name), text).expect("a program of it is written");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(bin.join(name), executable).expect("it is made executable");
    }
}
