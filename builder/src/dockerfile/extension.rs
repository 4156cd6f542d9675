//! The Dockerfiles of image extensions (image_extension.md, "Dockerfile Requirements"). Pure.
//!
//! What is checked of every Dockerfile here is checked of them too. Besides, they are of one stage, begin from the
//! image they are given (a run.Dockerfile may name another one), and change nothing of how an image starts.

use super::{Dockerfile, DockerfileError, Foreign, Instruction, mount::Mount};
use pvdify_cnb::{
    extension::{Begins, Image},
    image::REBASABLE,
};
use std::{collections::BTreeSet, path::PathBuf};

/// All that one may hold.
const ALLOWED: [&str; 10] = [
    "FROM", "ADD", "ARG", "COPY", "ENV", "LABEL", "RUN", "SHELL", "USER", "WORKDIR",
];
/// As the first lines have it.
const BASE: &str = "base_image";
const FROM_BASE: &str = "${base_image}";

impl Dockerfile {
    /// What an extension's Dockerfile begins from; an error when it is not as they have to be.
    pub(crate) fn begins(&self, image: Image) -> Result<Begins, DockerfileError> {
        let refused = |one: &Instruction, what: String| Err(DockerfileError::new(one.line, what));
        let forbidden = self
            .instructions
            .iter()
            .find(|one| !ALLOWED.contains(&one.keyword));
        if let Some(one) = forbidden {
            let allowed = ALLOWED[1..].join(", ");
            let what = format!(
                "{} is not allowed in an image extension, only {allowed} are",
                one.keyword
            );
            return refused(one, what);
        }
        let at = self.from();
        let (before, from) = (&self.instructions[..at], &self.instructions[at]);
        let after = &self.instructions[at + 1..];
        if let Some(second) = after.iter().find(|one| one.keyword == "FROM") {
            return refused(
                second,
                "an image extension's Dockerfile has one FROM, and this is the second".to_owned(),
            );
        }
        let (flags, rest) = from.flags();
        if let Some(flag) = flags.first() {
            return refused(from, format!("FROM {flag} is not allowed: remove it"));
        }
        let name = rest.split_whitespace().next().unwrap_or_default();
        let is_declared = before.iter().any(|one| declares(one, BASE));
        match (image, name) {
            (_, FROM_BASE) if !is_declared => {
                refused(from, format!("write ARG {BASE} before FROM {FROM_BASE}"))
            }
            (Image::Build, FROM_BASE) if before.len() > 1 => refused(
                &before[0],
                format!("a build.Dockerfile begins with ARG {BASE} alone"),
            ),
            (_, FROM_BASE) => Ok(Begins::Given),
            (Image::Build, _) => refused(
                from,
                format!(
                    "a build.Dockerfile begins with ARG {BASE} and FROM {FROM_BASE}, and with no other image"
                ),
            ),
            (Image::Run, _) if name.contains('$') => refused(
                from,
                format!("a run.Dockerfile begins FROM {FROM_BASE} or from an image's name"),
            ),
            (Image::Run, _) if name.eq_ignore_ascii_case("scratch") => {
                refused(from, "an app can't run on nothing: name an image".to_owned())
            }
            (Image::Run, image) => Ok(Begins::Other {
                image: image.to_owned(),
                extends: !after.is_empty(),
            }),
        }
    }

    /// Refuses what must not be built, as of any Dockerfile.
    pub(crate) fn check_extension(
        &self,
        begins: &Begins,
        links: &BTreeSet<PathBuf>,
        foreign: &Foreign<'_>,
    ) -> Result<(), DockerfileError> {
        match begins {
            // The image is ours to name, and it is the one.
            Begins::Given => self.starting_from("scratch").check(links, foreign),
            Begins::Other { .. } => self.check(links, foreign),
        }
    }

    /// The same on the image it is given, whichever it names.
    pub(crate) fn on_given(&self) -> Self {
        let mut on_given = self.starting_from(FROM_BASE);
        if !on_given.instructions[..self.from()]
            .iter()
            .any(|one| declares(one, BASE))
        {
            let line = on_given.instructions[0].line;
            let arg = Instruction {
                line,
                keyword: "ARG",
                arguments: BASE.to_owned(),
            };
            on_given.instructions.insert(0, arg);
        }
        on_given
    }

    /// Its FROM alone.
    pub(crate) fn only_from(&self) -> Self {
        Self {
            instructions: vec![self.instructions[self.from()].clone()],
            user: None,
        }
    }

    fn starting_from(&self, image: &str) -> Self {
        let mut other = Self {
            instructions: self.instructions.clone(),
            user: None,
        };
        other.instructions[self.from()].arguments = image.to_owned();
        other
    }

    /// The place of the first FROM, which every Dockerfile has.
    fn from(&self) -> usize {
        let from = self.instructions.iter().position(|one| one.keyword == "FROM");
        from.unwrap_or_default()
    }

    /// Whether it declares a build argument.
    pub(crate) fn declares(&self, arg: &str) -> bool {
        self.instructions.iter().any(|one| declares(one, arg))
    }

    /// Whether an instruction has the argument's value in it.
    pub(crate) fn refers_to(&self, arg: &str) -> bool {
        let refers = |text: &str| {
            text.split('$').skip(1).any(|rest| {
                let rest = rest.strip_prefix('{').unwrap_or(rest);
                rest.strip_prefix(arg)
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
            })
        };
        self.instructions.iter().any(|one| refers(&one.arguments))
    }

    /// Whether it takes files from outside of the image.
    pub(crate) fn copies(&self) -> bool {
        self.instructions.iter().any(|one| match one.keyword {
            "ADD" | "COPY" => true,
            "RUN" => one.flags().0.into_iter().any(|flag| Mount::parse(flag).is_some()),
            _ => false,
        })
    }

    /// Whether it sets the label by which an image says that it can be rebased.
    pub(crate) fn labels_rebasable(&self) -> bool {
        let mut labels = self.instructions.iter().filter(|one| one.keyword == "LABEL");
        labels.any(|one| one.arguments.contains(REBASABLE))
    }
}

fn declares(one: &Instruction, arg: &str) -> bool {
    let name = |word: &str| word.split('=').next().unwrap_or_default() == arg;
    one.keyword == "ARG" && one.arguments.split_whitespace().any(name)
}

#[cfg(test)]
mod tests {
    use super::{super::Additions, *};

    fn read(text: &str) -> Dockerfile {
        Dockerfile::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn each_begins_as_it_has_to() {
        let other = |image: &str, extends| Begins::Other {
            image: image.to_owned(),
            extends,
        };
        let base = "ARG base_image\nFROM ${base_image}\n";
        for (image, text, expected) in [
            (Image::Build, base.to_owned(), Begins::Given),
            (
                Image::Build,
                "# hi\nARG base_image=x\nfrom ${base_image} AS y\nRUN a\nUSER b".to_owned(),
                Begins::Given,
            ),
            (Image::Run, format!("{base}LABEL {REBASABLE}=true"), Begins::Given),
            (Image::Run, "FROM debian:13".to_owned(), other("debian:13", false)),
            (
                Image::Run,
                "ARG base_image\nFROM a/b AS c\nRUN x".to_owned(),
                other("a/b", true),
            ),
        ] {
            assert_eq!(read(&text).begins(image), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_one_may_not_be_is_said_with_its_line() {
        let refused = |image: Image, texts: &[&str]| -> String {
            let say = |text: &&str| read(text).begins(image).unwrap_err().to_string();
            texts.iter().map(say).collect::<Vec<_>>().join("\n")
        };
        let build = [
            "FROM debian:13",
            "FROM ${base_image}",
            "ARG base_image\nARG other\nFROM ${base_image}",
            "ARG base_image\nFROM $base_image",
            "ARG base_image\nFROM --platform=linux/arm64 ${base_image}",
            "ARG base_image\nFROM ${base_image}\n\nRUN a\nFROM b",
            "ARG base_image\nFROM ${base_image}\nVOLUME /x",
            "ARG base_image\nFROM ${base_image}\nCMD x",
        ];
        insta::assert_snapshot!(refused(Image::Build, &build), @r"
        Dockerfile line 1: a build.Dockerfile begins with ARG base_image and FROM ${base_image}, and with no other image
        Dockerfile line 1: write ARG base_image before FROM ${base_image}
        Dockerfile line 1: a build.Dockerfile begins with ARG base_image alone
        Dockerfile line 2: a build.Dockerfile begins with ARG base_image and FROM ${base_image}, and with no other image
        Dockerfile line 2: FROM --platform=linux/arm64 is not allowed: remove it
        Dockerfile line 5: an image extension's Dockerfile has one FROM, and this is the second
        Dockerfile line 3: VOLUME is not allowed in an image extension, only ADD, ARG, COPY, ENV, LABEL, RUN, SHELL, USER, WORKDIR are
        Dockerfile line 3: CMD is not allowed in an image extension, only ADD, ARG, COPY, ENV, LABEL, RUN, SHELL, USER, WORKDIR are
        ");
        let run = ["ARG x=debian\nFROM $x", "FROM scratch", "FROM ${base_image}"];
        insta::assert_snapshot!(refused(Image::Run, &run), @r"
        Dockerfile line 2: a run.Dockerfile begins FROM ${base_image} or from an image's name
        Dockerfile line 1: an app can't run on nothing: name an image
        Dockerfile line 1: write ARG base_image before FROM ${base_image}
        ");
    }

    #[test]
    fn the_rules_of_every_dockerfile_hold_too() {
        let check = |image: Image, text: &str| {
            let dockerfile = read(text);
            let foreign = Foreign {
                registry: "127.0.0.1:5000",
                local_prefix: "localhost/pvdify-build/",
            };
            let begins = dockerfile.begins(image).unwrap();
            let checked = dockerfile.check_extension(&begins, &BTreeSet::new(), &foreign);
            checked.map_err(|error| error.to_string())
        };
        let base = "ARG base_image=127.0.0.1:5000/other\nFROM ${base_image}\n";
        assert_eq!(check(Image::Build, &format!("{base}RUN a")), Ok(()));
        for bad in [
            "RUN --network=host a",
            "COPY --from=127.0.0.1:5000/other /a /b",
            "RUN --mount=type=ssh a",
            "ADD http://169.254.169.254/x /",
        ] {
            assert!(check(Image::Build, &format!("{base}{bad}")).is_err(), "{bad}");
        }
        let own = check(Image::Run, "FROM localhost:5000/run-image-curl").unwrap_err();
        insta::assert_snapshot!(own, @"Dockerfile line 1: localhost:5000/run-image-curl belongs to this server's own registry: start from a public image");
    }

    #[test]
    fn what_it_needs_is_read_off_it() {
        let it = read(
            "ARG base_image\nFROM ${base_image}\nARG build_id=0\nARG a=1 user_id\nRUN echo ${build_id_2} \"$a\"\n",
        );
        assert!(it.declares("build_id") && it.declares("user_id") && !it.declares("user"));
        assert!(it.refers_to("a") && !it.refers_to("build_id") && !it.copies());
        assert!(read("FROM x\nRUN echo ${build_id:-0}").refers_to("build_id"));
        assert!(read("FROM x\nCOPY a /").copies() && read("FROM x\nRUN --mount=target=/x ls").copies());
        assert!(read(&format!("FROM x\nLABEL {REBASABLE}=true")).labels_rebasable());
    }

    #[test]
    fn one_that_names_an_image_is_that_image_and_then_the_rest_of_it() {
        let app = "demo".parse().unwrap();
        let plain = Additions::plain(&app, false);
        let it = read("FROM a/b\n\nUSER root\nRUN x");
        assert_eq!(it.only_from().render(plain), "FROM a/b\n");
        let rest = it.on_given();
        assert_eq!(
            rest.render(plain),
            "ARG base_image\nFROM ${base_image}\nUSER root\nRUN x\n"
        );
        assert_eq!(rest.instructions.last().unwrap().line, 4);
        let first = Dockerfile {
            user: Some("7:8".to_owned()),
            ..rest
        };
        assert!(
            first
                .render(plain)
                .contains("FROM ${base_image}\nUSER 7:8\nUSER root\n")
        );
    }
}
