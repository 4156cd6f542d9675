//! The Dockerfile that Podman gets: the person's, with the build CA and the app's own cache and secret ids written in.
//!
//! Podman 4.3's build API has no volumes, so the CA bundle comes as a build secret: mounted into each RUN and
//! nowhere else. The variables that point to it are ARGs, which last for the build only, so nothing of it is
//! in the image's config.
//!
//! A config var that builds may see is a secret of its name, mounted where a RUN asks for it. Podman would take that
//! step from its cache also when the secret's value is another by now, so the id says since which version it is this.

use super::{Dockerfile, Instruction, mount::Mount};
use pvdify_types::{AppName, BuildVar, BuildVars, ConfigKey, config_vars::NO_BUILD_VARS};
use sha2::{Digest, Sha256};

/// The secret's id.
pub(crate) const CA_SECRET: &str = "pvdify-build-ca";
/// Where the bundle is inside a RUN.
const CA_PATH: &str = "/run/pvdify/ca.crt";
/// The variables by which the usual tools find it.
const CA_VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
];

/// What is written into a Dockerfile.
#[derive(Clone, Copy)]
pub(crate) struct Additions<'a> {
    /// Whose caches they are.
    pub(crate) app: &'a AppName,
    /// Whether its steps trust a bundle of ours.
    pub(crate) with_ca: bool,
    /// What its steps may read.
    pub(crate) config: &'a BuildVars,
}

impl<'a> Additions<'a> {
    /// Without config vars.
    pub(crate) fn plain(app: &'a AppName, with_ca: bool) -> Self {
        Self {
            app,
            with_ca,
            config: NO_BUILD_VARS,
        }
    }
}

/// The id of the secret that a config var is.
pub(crate) fn secret_id(key: &ConfigKey, var: &BuildVar) -> String {
    format!("{key}.{}", var.since.0)
}

impl Dockerfile {
    /// The secrets that its steps ask for, and the line of each.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (usize, &str)> {
        let runs = self.instructions.iter().filter(|one| one.keyword == "RUN");
        runs.flat_map(|run| {
            let mounts = run.flags().0.into_iter().filter_map(Mount::parse);
            let secrets = mounts.filter(|mount| mount.kind() == "secret");
            secrets.filter_map(|mount| Some((run.line, mount.field(&["id"])?)))
        })
    }

    /// Writes the instructions out for Podman.
    pub(crate) fn render(&self, additions: Additions<'_>) -> String {
        let with_ca = additions.with_ca;
        let mut text = String::new();
        for (index, instruction) in self.instructions.iter().enumerate() {
            let arguments = match instruction.keyword {
                "RUN" => run_arguments(instruction, additions),
                _ => instruction.arguments.clone(),
            };
            text.push_str(&format!("{} {arguments}\n", instruction.keyword));
            if let Some(user) = self.user.as_ref().filter(|_| instruction.keyword == "FROM") {
                text.push_str(&format!("USER {user}\n"));
            }
            if with_ca && instruction.keyword == "FROM" && self.has_run(index) {
                // One instruction, as Podman keeps an image of each.
                let variables = CA_VARIABLES.map(|variable| format!(" {variable}={CA_PATH}"));
                text.push_str(&format!("ARG{}\n", variables.concat()));
            }
        }
        text
    }

    /// Whether the stage that begins here runs anything.
    fn has_run(&self, from: usize) -> bool {
        let stage = self.instructions[from + 1..].iter();
        stage
            .take_while(|instruction| instruction.keyword != "FROM")
            .any(|instruction| instruction.keyword == "RUN")
    }

    /// The instruction that one of Podman's steps is, looked for after the one found last.
    pub(crate) fn find(&self, additions: Additions<'_>, step: &str, after: Option<usize>) -> Option<usize> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let wanted = words(step);
        let is_it = |index: &usize| {
            let instruction = &self.instructions[*index];
            let arguments = match instruction.keyword {
                "RUN" => run_arguments(instruction, additions),
                _ => instruction.arguments.clone(),
            };
            words(&format!("{} {arguments}", instruction.keyword)) == wanted
        };
        let count = self.instructions.len();
        let next = after.map_or(0, |index| index + 1);
        (next..count).find(is_it).or_else(|| (0..count).find(is_it))
    }
}

fn run_arguments(run: &Instruction, additions: Additions<'_>) -> String {
    let (flags, command) = run.flags();
    let mut words: Vec<String> = Vec::new();
    if additions.with_ca {
        words.push(format!(
            "--mount=type=secret,id={CA_SECRET},target={CA_PATH},mode=0444"
        ));
    }
    for flag in flags {
        words.push(match Mount::parse(flag) {
            Some(mount) if mount.kind() == "cache" => own_cache(&mount, additions.app),
            Some(mount) if mount.kind() == "secret" => {
                own_secret(&mount, additions.config).unwrap_or_else(|| flag.to_owned())
            }
            _ => flag.to_owned(),
        });
    }
    words.push(command.to_owned());
    words.join(" ")
}

/// A cache mount whose id no other app can have.
fn own_cache(mount: &Mount<'_>, app: &AppName) -> String {
    let name = hex::encode(Sha256::digest(mount.cache_name()));
    let fields = without_id(mount);
    format!("--mount={fields},id=pvdify-{app}-{}", &name[..16])
}

/// The mount of a config var's secret; `None`: the build has no such one.
fn own_secret(mount: &Mount<'_>, config: &BuildVars) -> Option<String> {
    let id = mount.field(&["id"])?;
    let (key, var) = config.get_key_value(&id.parse::<ConfigKey>().ok()?)?;
    // As it is without one, which is named for the id.
    let target = match mount.field(&["target", "dst", "destination"]) {
        Some(_) => String::new(),
        None => format!(",target=/run/secrets/{key}"),
    };
    let (fields, id) = (without_id(mount), secret_id(key, var));
    Some(format!("--mount={fields}{target},id={id}"))
}

fn without_id(mount: &Mount<'_>) -> String {
    let fields = mount.0.iter().filter(|(key, _)| *key != "id");
    let fields: Vec<String> = fields
        .map(|(key, value)| {
            if value.is_empty() {
                (*key).to_owned()
            } else {
                format!("{key}={value}")
            }
        })
        .collect();
    fields.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "FROM a AS b\nRUN one && \\\n  two\nFROM b\nRUN --mount=type=cache,id=../x,target=/c,ro make\nRUN one && two\nFROM scratch\nCOPY x /\n";

    fn rendered(read: &Dockerfile, with_ca: bool, config: &BuildVars) -> String {
        let app = "demo".parse().unwrap();
        read.render(Additions {
            app: &app,
            with_ca,
            config,
        })
    }

    #[test]
    fn a_config_var_is_a_secret_whose_id_changes_with_its_value() {
        let text = "FROM a\nRUN --mount=type=secret,id=TOKEN x\n\
                    RUN --mount=id=TOKEN,type=secret,mode=0444,dst=/t --mount=type=secret,id=OTHER,required x\n";
        let read = Dockerfile::parse(text.as_bytes()).unwrap();
        let var = |since| BuildVar {
            value: pvdify_types::ConfigValue::new("s3cret".to_owned()).unwrap(),
            since: pvdify_types::ConfigVersion(since),
        };
        let config = |since| BuildVars::from([("TOKEN".parse().unwrap(), var(since))]);
        insta::assert_snapshot!(rendered(&read, false, &config(3)), @r"
        FROM a
        RUN --mount=type=secret,target=/run/secrets/TOKEN,id=TOKEN.3 x
        RUN --mount=type=secret,mode=0444,dst=/t,id=TOKEN.3 --mount=type=secret,id=OTHER,required x
        ");
        assert!(rendered(&read, true, &config(4)).contains("id=TOKEN.4 x"));
        let asked: Vec<_> = read.secrets().collect();
        assert_eq!(asked, [(2, "TOKEN"), (3, "TOKEN"), (3, "OTHER")]);
    }

    #[test]
    fn the_ca_is_mounted_in_each_run_and_named_in_each_stage_that_has_one() {
        let read = Dockerfile::parse(TEXT.as_bytes()).unwrap();
        let with_ca = rendered(&read, true, NO_BUILD_VARS);
        assert_eq!(
            with_ca.matches("--mount=type=secret,id=pvdify-build-ca").count(),
            3
        );
        let stages = with_ca.matches("FROM ").count();
        assert_eq!((stages, with_ca.matches("\nARG SSL_CERT_FILE=").count()), (3, 2));
        insta::assert_snapshot!(rendered(&read, false, NO_BUILD_VARS), @r"
        FROM a AS b
        RUN one &&   two
        FROM b
        RUN --mount=type=cache,target=/c,ro,id=pvdify-demo-d6b96a97d147daaa make
        RUN one && two
        FROM scratch
        COPY x /
        ");
        Dockerfile::parse(with_ca.as_bytes()).unwrap();
    }

    #[test]
    fn a_step_is_found_by_its_words_and_the_same_words_twice_by_their_order() {
        let app = "demo".parse().unwrap();
        let read = Dockerfile::parse(TEXT.as_bytes()).unwrap();
        for with_ca in [false, true] {
            let additions = Additions::plain(&app, with_ca);
            let rendered = read.render(additions);
            let (mut lines, mut last) = (Vec::new(), None);
            for step in rendered.lines().filter(|step| !step.starts_with("ARG")) {
                last = read.find(additions, step, last);
                lines.push(read.instructions[last.unwrap()].line);
            }
            assert_eq!(lines, [1, 2, 4, 5, 6, 7, 8]);
            assert_eq!(read.find(additions, "LABEL \"x\"=\"y\"", last), None);
        }
    }
}
