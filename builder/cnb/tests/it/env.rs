//! What ends up in an environment. A case is what was there, what is applied, and what is there then.

use pvdify_cnb::env::{Env, Phase};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStringExt,
    path::Path,
};

fn pairs(text: &str) -> Vec<(OsString, OsString)> {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.into(), value.into())).collect()
}

fn env(text: &str) -> Env {
    pairs(text).into_iter().collect()
}

fn text(env: &Env) -> String {
    let line = |(name, value): (&OsStr, &OsStr)| format!("{}={}", name.display(), value.display());
    env.iter().map(line).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_layers_file_acts_by_its_suffix() {
    for (before, files, after) in [
        // A name alone and `.override` set; a delimiter is nothing to them.
        ("", "V=x", "V=x"),
        ("V=old", "V=x", "V=x"),
        ("V=old", "V=x V.delim=,", "V=x"),
        ("V=old", "V.override=x", "V=x"),
        ("", "V.override=x V.delim=,", "V=x"),
        // Without a delimiter file there is no delimiter, not even `:`.
        ("V=old", "V.append=x", "V=oldx"),
        ("V=old", "V.prepend=x", "V=xold"),
        ("PATH=/bin", "PATH.prepend=/x", "PATH=/x/bin"),
        ("V=old", "V.append=x V.delim=[]", "V=old[]x"),
        ("V=old", "V.prepend=x V.delim=[]", "V=x[]old"),
        // It stands between two values only.
        ("", "V.append=x V.delim=,", "V=x"),
        ("V=", "V.append=x V.delim=,", "V=x"),
        ("", "V.prepend=x V.delim=,", "V=x"),
        ("V=", "V.prepend=x V.delim=,", "V=x"),
        // A default fills what is not there or empty.
        ("", "V.default=x", "V=x"),
        ("V=", "V.default=x", "V=x"),
        ("V=old", "V.default=x", "V=old"),
        // What is not known does nothing; only the first dot divides.
        ("V=old", "V.delim=,", "V=old"),
        ("V=old", "V.ignore=x", "V=old"),
        ("V=old", "V.append.bak=x", "V=old"),
        ("V=old", ".append=x", "V=old"),
        // Files count in the order of their names, however they come.
        ("V=m", "V.prepend=a V.append=z V.delim=:", "V=a:m:z"),
        ("V=m", "V.append=z V.delim=: V.prepend=a", "V=a:m:z"),
        ("", "V.override=c V.append=a V.default=b", "V=c"),
        ("", "V=first V.append=+", "V=first+"),
        ("A=1", "B=2", "A=1 B=2"),
    ] {
        let mut it = env(before);
        it.apply_env_dir(pairs(files));
        assert_eq!(text(&it), after, "{before:?} with {files:?}");
    }
}

#[test]
fn the_operators_files_are_defaults_unless_they_say_otherwise() {
    for (before, files, after) in [
        ("", "V=x", "V=x"),
        ("V=", "V=x", "V=x"),
        ("V=old", "V=x", "V=old"),
        ("V=old", "V.default=x", "V=old"),
        ("V=old", "V.override=x", "V=x"),
        ("", "V.prepend=a V.append=z V.delim=:", "V=a:z"),
        ("V=m", "V.prepend=a V.append=z V.delim=:", "V=a:m:z"),
    ] {
        let mut it = env(before);
        it.apply_build_config(pairs(files));
        assert_eq!(text(&it), after, "{before:?} with {files:?}");
    }
}

#[test]
fn the_platforms_files_are_set_and_lists_of_paths_go_in_front() {
    for (before, files, after) in [
        ("", "V=x", "V=x"),
        ("V=old", "V=x", "V=x"),
        ("PATH=/bin", "PATH=/x", "PATH=/x:/bin"),
        ("", "LIBRARY_PATH=/x", "LIBRARY_PATH=/x"),
        (
            "LD_LIBRARY_PATH=/a:/b",
            "LD_LIBRARY_PATH=/x",
            "LD_LIBRARY_PATH=/x:/a:/b",
        ),
        (
            "CPATH=/a PKG_CONFIG_PATH=/b",
            "CPATH=/x PKG_CONFIG_PATH=/y",
            "CPATH=/x:/a PKG_CONFIG_PATH=/y:/b",
        ),
        // Suffixes are a layer's affair.
        ("V=old", "V.append=x", "V=old V.append=x"),
    ] {
        let mut it = env(before);
        it.apply_platform(pairs(files));
        assert_eq!(text(&it), after, "{before:?} with {files:?}");
    }
}

#[test]
fn the_operator_speaks_after_the_platform() {
    let mut it = env("V=orig");
    it.apply_platform(pairs("V=platform W=platform"));
    it.apply_build_config(pairs("V.append=last V.delim=: W=ignored X=default"));
    assert_eq!(text(&it), "V=platform:last W=platform X=default");
}

#[test]
fn a_layers_folders_go_in_front_of_their_lists() {
    let all = |_: &Path| true;
    let mut it = env("LIBRARY_PATH=/old PATH=/bin:/usr/bin");
    it.apply_layer_root(Phase::Build, Path::new("/layers/b/l"), all);
    assert_eq!(
        text(&it),
        "CPATH=/layers/b/l/include LD_LIBRARY_PATH=/layers/b/l/lib LIBRARY_PATH=/layers/b/l/lib:/old \
         PATH=/layers/b/l/bin:/bin:/usr/bin PKG_CONFIG_PATH=/layers/b/l/pkgconfig"
    );
    let mut it = env("LIBRARY_PATH=/old PATH=");
    it.apply_layer_root(Phase::Launch, Path::new("/l"), all);
    assert_eq!(text(&it), "LD_LIBRARY_PATH=/l/lib LIBRARY_PATH=/old PATH=/l/bin");
    let mut it = env("PATH=/bin");
    it.apply_layer_root(Phase::Build, Path::new("/l"), |folder| folder.ends_with("lib"));
    assert_eq!(text(&it), "LD_LIBRARY_PATH=/l/lib LIBRARY_PATH=/l/lib PATH=/bin");
}

#[test]
fn a_buildpack_starts_with_the_listed_variables_only() {
    let passed = "CNB_STACK_ID=s CPATH=a HOME=/h HOSTNAME=h HTTPS_PROXY=p HTTP_PROXY=p LD_LIBRARY_PATH=b \
                  LIBRARY_PATH=c NO_PROXY=n PATH=/bin PKG_CONFIG_PATH=d http_proxy=p https_proxy=p no_proxy=n";
    let others = "AWS_SECRET_ACCESS_KEY=x CNB_APP_DIR=/w Path=x CNB_REGISTRY_AUTH=x PYTHONPATH=x";
    let all = pairs(passed).into_iter().chain(pairs(others));
    assert_eq!(Env::for_build(all), env(passed));
    assert_eq!(text(&Env::for_build(pairs("HOME=a=b"))), "HOME=a=b");
}

#[test]
fn a_process_sees_nothing_of_the_launcher() {
    let own = "CNB_LAYERS_DIR=/l CNB_APP_DIR=/a CNB_PROCESS_TYPE=web CNB_PLATFORM_API=0.15 CNB_DEPRECATION_MODE=quiet";
    let folders = [Path::new("/cnb/process"), Path::new("/cnb/lifecycle")];
    for (path, left) in [
        ("PATH=/cnb/process:/cnb/lifecycle:/bin", "PATH=/bin"),
        ("PATH=/bin:/cnb/process:/sbin", "PATH=/bin:/sbin"),
        ("PATH=/cnb/process/x:/bin", "PATH=/cnb/process/x:/bin"),
        ("PATH=/cnb/process", "PATH="),
        ("A=1", "A=1"),
    ] {
        let all = pairs(own).into_iter().chain(pairs(path));
        assert_eq!(text(&Env::for_launch(all, &folders)), left);
    }
}

#[test]
fn values_are_bytes_and_names_are_names() {
    let bytes = OsString::from_vec(vec![b' ', 0xff, b'\n']);
    let mut it = Env::default();
    it.apply_env_dir([
        ("V".into(), bytes.clone()),
        ("A=B".into(), "x".into()),
        ("".into(), "x".into()),
    ]);
    assert_eq!(it.get("V"), Some(bytes.as_os_str()));
    assert_eq!(it.iter().count(), 1);
    it.remove("V");
    assert_eq!(it.get("V"), None);
}
