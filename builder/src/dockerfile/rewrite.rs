//! The Dockerfile that Podman gets: the person's, with the build CA and the app's own cache ids written in.
//!
//! Podman 4.3's build API has no volumes, so the CA bundle comes as a build secret: mounted into each RUN and
//! nowhere else. The variables that point to it are ARGs, which last for the build only, so nothing of it is
//! in the image's config.

use super::{Dockerfile, Instruction, mount::Mount};
use pvdify_types::AppName;
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

impl Dockerfile {
    /// Writes the instructions out for Podman.
    pub(crate) fn render(&self, app: &AppName, with_ca: bool) -> String {
        let mut text = String::new();
        for (index, instruction) in self.instructions.iter().enumerate() {
            let arguments = match instruction.keyword {
                "RUN" => run_arguments(instruction, app, with_ca),
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
    pub(crate) fn find(
        &self,
        app: &AppName,
        with_ca: bool,
        step: &str,
        after: Option<usize>,
    ) -> Option<usize> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let wanted = words(step);
        let is_it = |index: &usize| {
            let instruction = &self.instructions[*index];
            let arguments = match instruction.keyword {
                "RUN" => run_arguments(instruction, app, with_ca),
                _ => instruction.arguments.clone(),
            };
            words(&format!("{} {arguments}", instruction.keyword)) == wanted
        };
        let count = self.instructions.len();
        let next = after.map_or(0, |index| index + 1);
        (next..count).find(is_it).or_else(|| (0..count).find(is_it))
    }
}

fn run_arguments(run: &Instruction, app: &AppName, with_ca: bool) -> String {
    let (flags, command) = run.flags();
    let mut words: Vec<String> = Vec::new();
    if with_ca {
        words.push(format!(
            "--mount=type=secret,id={CA_SECRET},target={CA_PATH},mode=0444"
        ));
    }
    for flag in flags {
        words.push(match Mount::parse(flag) {
            Some(mount) if mount.kind() == "cache" => own_cache(&mount, app),
            _ => flag.to_owned(),
        });
    }
    words.push(command.to_owned());
    words.join(" ")
}

/// A cache mount whose id no other app can have.
fn own_cache(mount: &Mount<'_>, app: &AppName) -> String {
    let name = hex::encode(Sha256::digest(mount.cache_name()));
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
    format!("--mount={},id=pvdify-{app}-{}", fields.join(","), &name[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "FROM a AS b\nRUN one && \\\n  two\nFROM b\nRUN --mount=type=cache,id=../x,target=/c,ro make\nRUN one && two\nFROM scratch\nCOPY x /\n";

    #[test]
    fn the_ca_is_mounted_in_each_run_and_named_in_each_stage_that_has_one() {
        let app = "demo".parse().unwrap();
        let read = Dockerfile::parse(TEXT.as_bytes()).unwrap();
        let with_ca = read.render(&app, true);
        assert_eq!(
            with_ca.matches("--mount=type=secret,id=pvdify-build-ca").count(),
            3
        );
        let stages = with_ca.matches("FROM ").count();
        assert_eq!((stages, with_ca.matches("\nARG SSL_CERT_FILE=").count()), (3, 2));
        insta::assert_snapshot!(read.render(&app, false), @r"
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
            let rendered = read.render(&app, with_ca);
            let (mut lines, mut last) = (Vec::new(), None);
            for step in rendered.lines().filter(|step| !step.starts_with("ARG")) {
                last = read.find(&app, with_ca, step, last);
                lines.push(read.instructions[last.unwrap()].line);
            }
            assert_eq!(lines, [1, 2, 4, 5, 6, 7, 8]);
            assert_eq!(read.find(&app, with_ca, "LABEL \"x\"=\"y\"", last), None);
        }
    }
}
