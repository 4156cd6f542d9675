//! What to do and where everything is: flags and variables as the reference's (platform.md), flags first.

use crate::failure::{Failure, code};
use pvdify_cnb::{
    api::{Api, PLATFORM},
    exec_env,
};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// All that follows, in this order.
    Create,
    Unpack,
    Detect,
    Restore,
    Build,
    /// What is left of `Create` once the images are extended.
    Resume,
}

impl Phase {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "create" | "creator" => Self::Create,
            "unpack" => Self::Unpack,
            "detect" | "detector" => Self::Detect,
            "restore" | "restorer" => Self::Restore,
            "build" | "builder" => Self::Build,
            "resume" => Self::Resume,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Unpack => "unpack",
            Self::Detect => "detect",
            Self::Restore => "restore",
            Self::Build => "build",
            Self::Resume => "resume",
        }
    }
}

/// Where everything is; all paths are absolute.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) phase: Phase,
    pub(crate) source: PathBuf,
    pub(crate) source_files: PathBuf,
    pub(crate) app: PathBuf,
    pub(crate) layers: PathBuf,
    pub(crate) platform: PathBuf,
    pub(crate) buildpacks: PathBuf,
    pub(crate) extensions: PathBuf,
    pub(crate) build_config: PathBuf,
    pub(crate) order: PathBuf,
    pub(crate) system: PathBuf,
    pub(crate) analyzed: PathBuf,
    pub(crate) group: PathBuf,
    pub(crate) plan: PathBuf,
    /// What image extensions write.
    pub(crate) generated: PathBuf,
    /// Nothing with a platform that knows nothing of them.
    pub(crate) exec_env: Option<String>,
    pub(crate) platform_api: Api,
    pub(crate) skip_layers: bool,
    /// The folder of another lifecycle, whose `detector` and `builder` run in place of these here.
    pub(crate) phases: Option<PathBuf>,
}

/// Flags that take a value, and the variables beside them.
const VALUES: [(&str, &str); 18] = [
    ("source", "PVDIFY_SOURCE"),
    ("source-files", "PVDIFY_SOURCE_FILES"),
    ("app", "CNB_APP_DIR"),
    ("layers", "CNB_LAYERS_DIR"),
    ("platform", "CNB_PLATFORM_DIR"),
    ("buildpacks", "CNB_BUILDPACKS_DIR"),
    ("extensions", "CNB_EXTENSIONS_DIR"),
    ("build-config", "CNB_BUILD_CONFIG_DIR"),
    ("order", "CNB_ORDER_PATH"),
    ("system", "CNB_SYSTEM_PATH"),
    ("analyzed", "CNB_ANALYZED_PATH"),
    ("group", "CNB_GROUP_PATH"),
    ("plan", "CNB_PLAN_PATH"),
    ("generated", "CNB_GENERATED_DIR"),
    ("exec-env", "CNB_EXEC_ENV"),
    ("platform-api", "CNB_PLATFORM_API"),
    ("skip-layers", "CNB_SKIP_LAYERS"),
    ("phases", "PVDIFY_PHASES"),
];

const USAGE: &str = "usage: lifecycle create|unpack|detect|restore|build|resume [-FLAG VALUE]...";

impl Settings {
    /// Reads what is asked for. `variable` is the environment.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let mut arguments = arguments.into_iter();
        let program = arguments.next().unwrap_or_default();
        let program = Path::new(&program)
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        let phase = Phase::named(program)
            .or_else(|| Phase::named(arguments.next()?.to_str()?))
            .ok_or_else(|| wrong(USAGE.to_owned()))?;
        let flags = flags(arguments)?;
        let value = |name: &str| {
            let (_, variable_name) = VALUES.iter().find(|(flag, _)| *flag == name)?;
            flags
                .get(name)
                .cloned()
                .or_else(|| variable(variable_name))
                .filter(|it| !it.is_empty())
        };
        let path = |name: &str, default: PathBuf| {
            let path = value(name).map_or(default, PathBuf::from);
            std::path::absolute(&path).map_err(|error| wrong(format!("the path of -{name}: {error}")))
        };
        let text = |name: &str| {
            let text = value(name).map(OsString::into_string).transpose();
            text.map_err(|it| wrong(format!("-{name} {} is not UTF-8", it.display())))
        };
        let platform_api: Api = match text("platform-api")? {
            Some(text) => text
                .parse()
                .map_err(|error| wrong(format!("CNB_PLATFORM_API: {error}")))?,
            None => PLATFORM,
        };
        let exec_env = text("exec-env")?.unwrap_or_else(|| exec_env::DEFAULT.to_owned());
        if exec_env.contains('/') {
            return Err(wrong(format!("CNB_EXEC_ENV {exec_env:?} must have no '/'")));
        }
        let layers = path("layers", "/layers".into())?;
        let is_set = |text: Option<String>| text.is_some_and(|it| matches!(it.as_str(), "true" | "1"));
        Ok(Self {
            phase,
            source: path("source", "/run/pvdify/source.tar".into())?,
            source_files: path("source-files", "/run/pvdify/files.toml".into())?,
            app: path("app", "/workspace".into())?,
            platform: path("platform", "/platform".into())?,
            buildpacks: path("buildpacks", "/cnb/buildpacks".into())?,
            extensions: path("extensions", "/cnb/extensions".into())?,
            build_config: path("build-config", "/cnb/build-config".into())?,
            // Not `<layers>/order.toml`, which the reference looks at first: layers stay, and with them would what a
            // buildpack wrote there.
            order: path("order", "/cnb/order.toml".into())?,
            system: path("system", "/cnb/system.toml".into())?,
            analyzed: path("analyzed", layers.join("analyzed.toml"))?,
            group: path("group", layers.join("group.toml"))?,
            plan: path("plan", layers.join("plan.toml"))?,
            generated: path("generated", layers.join("generated"))?,
            layers,
            exec_env: platform_api.is_platform_with_exec_env().then_some(exec_env),
            platform_api,
            skip_layers: is_set(text("skip-layers")?),
            phases: value("phases").map(PathBuf::from),
        })
    }
}

/// `-name value`, `-name=value` and with two hyphens.
fn flags(mut arguments: impl Iterator<Item = OsString>) -> Result<BTreeMap<String, OsString>, Failure> {
    let mut flags = BTreeMap::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let flag = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
        let (name, value) = match flag.map(|it| it.split_once('=').unwrap_or((it, ""))) {
            Some((name, "")) if !text.contains('=') => (name, None),
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => return Err(wrong(format!("{:?} is no flag; {USAGE}", argument.display()))),
        };
        if !VALUES.iter().any(|(flag, _)| *flag == name) {
            return Err(wrong(format!("the flag -{name} is not known; {USAGE}")));
        }
        let value = value.or_else(|| arguments.next());
        let value = value.ok_or_else(|| wrong(format!("the flag -{name} needs a value")))?;
        flags.insert(name.to_owned(), value);
    }
    Ok(flags)
}

fn wrong(message: String) -> Failure {
    Failure::new("arguments", code::ARGUMENTS, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).into())
        };
        Settings::parse(arguments.split(' ').map(OsString::from), variable).map_err(|it| it.message)
    }

    #[test]
    fn the_phase_is_the_programs_name_or_the_first_argument() {
        for (arguments, phase) in [
            ("lifecycle create", Phase::Create),
            ("/cnb/lifecycle/lifecycle restore", Phase::Restore),
            ("/cnb/lifecycle/detector", Phase::Detect),
            ("/cnb/lifecycle/restorer", Phase::Restore),
            ("builder -app /x", Phase::Build),
            ("creator", Phase::Create),
        ] {
            assert_eq!(parse(arguments, &[]).map(|it| it.phase), Ok(phase), "{arguments}");
        }
        for arguments in ["lifecycle", "lifecycle other", "lifecycle -app /x"] {
            assert!(
                parse(arguments, &[]).expect_err(arguments).starts_with("usage"),
                "{arguments}"
            );
        }
    }

    #[test]
    fn flags_come_before_variables_and_those_before_defaults() {
        let variables = [("CNB_APP_DIR", "/from/variable"), ("CNB_LAYERS_DIR", "/l")];
        let it = parse("lifecycle build -app=/from/flag --plan /p", &variables).expect("settings");
        assert_eq!(
            (it.app, it.plan, it.group),
            ("/from/flag".into(), "/p".into(), "/l/group.toml".into())
        );
        let it = parse("lifecycle build", &variables).expect("settings");
        assert_eq!(
            (it.app, it.platform),
            ("/from/variable".into(), "/platform".into())
        );
        assert_eq!(it.exec_env.as_deref(), Some("production"));
        let it = parse("lifecycle build -exec-env test", &[("CNB_PLATFORM_API", "0.14")]).expect("settings");
        assert_eq!(it.exec_env, None);
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for (arguments, expected) in [
            ("lifecycle build -other x", "-other is not known"),
            ("lifecycle build app", "is no flag"),
            ("lifecycle build -app", "needs a value"),
            ("lifecycle build -exec-env a/b", "must have no '/'"),
            ("lifecycle build -platform-api x", "is no API version"),
        ] {
            let message = parse(arguments, &[]).expect_err(arguments);
            assert!(message.contains(expected), "{arguments}: {message}");
        }
    }
}
