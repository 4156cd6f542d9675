//! Which names and images leave Podman's storage. Pure.
//!
//! Podman's storage is shared with others of this host, other installations among them. Ours is what bears a
//! name under our registry's address, and what bears our label and either no name or one of the builder's. A
//! removal takes one name, or an image without names; never anything that a container or another name holds,
//! which Podman sees to, for nothing is forced.

use crate::engine::INSTALLATION;
use pvdify_builder::{KEPT_TAGS, LOCAL_PREFIX, podman::LocalImage};
use pvdify_types::{AppName, InstallationId};
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

/// All that the decision needs beside the images.
pub(super) struct Needs<'a> {
    pub(super) installation: &'a InstallationId,
    /// Our registry's address, as the names of its images begin.
    pub(super) registry: &'a str,
    /// The ids of the images that some release needs: their config's digests, without `sha256:`.
    pub(super) ids: &'a BTreeSet<String>,
    pub(super) apps: &'a BTreeSet<AppName>,
    pub(super) now: SystemTime,
    /// What was made within it stays.
    pub(super) grace: Duration,
}

/// A name to take from an image, or an image to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removal {
    /// The name, or the id of an image without one.
    pub(super) reference: String,
    /// The image's size when it goes with this name, else 0.
    pub(super) bytes: u64,
}

/// What should go now. Only true while nothing is built.
pub(super) fn plan(images: &[LocalImage], needs: &Needs<'_>) -> Vec<Removal> {
    images
        .iter()
        .filter(|image| is_old(image, needs))
        .flat_map(|image| of_image(image, needs))
        .collect()
}

fn of_image(image: &LocalImage, needs: &Needs<'_>) -> Vec<Removal> {
    let bears_label = image.labels.get(INSTALLATION).map(String::as_str) == Some(needs.installation.as_str());
    let is_needed = needs.ids.contains(&image.id);
    if image.names.is_empty() {
        // A finished build's image; one that never had the builder's name is the cache, which is pruned by age.
        let was_finished = image.history.iter().any(|name| name.starts_with(LOCAL_PREFIX));
        let goes = bears_label && was_finished && !is_needed;
        let removal = Removal {
            reference: image.id.clone(),
            bytes: image.size,
        };
        return goes.then_some(removal).into_iter().collect();
    }
    let is_unneeded = |name: &&String| match name.strip_prefix(LOCAL_PREFIX) {
        Some(rest) => bears_label && !is_kept_for_an_app(rest, needs.apps),
        None => !is_needed && is_under(name, needs.registry),
    };
    let unneeded: Vec<&String> = image.names.iter().filter(is_unneeded).collect();
    let last = unneeded.len().checked_sub(1);
    let goes_whole = unneeded.len() == image.names.len();
    let removal = |(index, name): (usize, &&String)| Removal {
        reference: (*name).clone(),
        bytes: if goes_whole && Some(index) == last {
            image.size
        } else {
            0
        },
    };
    unneeded.iter().enumerate().map(removal).collect()
}

/// `APP:latest` and the like, which the next build of the app takes layers from.
fn is_kept_for_an_app(rest: &str, apps: &BTreeSet<AppName>) -> bool {
    rest.split_once(':')
        .filter(|(_, tag)| KEPT_TAGS.contains(tag))
        .and_then(|(name, _)| name.parse::<AppName>().ok())
        .is_some_and(|name| apps.contains(&name))
}

fn is_under(name: &str, registry: &str) -> bool {
    name.strip_prefix(registry)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// A time in the future, as after the clock was set back, counts as young.
fn is_old(image: &LocalImage, needs: &Needs<'_>) -> bool {
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(image.created).unwrap_or(0));
    needs
        .now
        .duration_since(created)
        .is_ok_and(|age| age >= needs.grace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;
    const OURS: &str = "01a208b2-71c0-77c1-ad40-10b391031cc3";
    const OTHERS: &str = "01a208b2-71c0-77c1-ad40-10b391031cc4";

    fn image(id: &str, names: &[&str], label: Option<&str>, age: i64) -> LocalImage {
        LocalImage {
            id: id.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            history: vec![format!("{LOCAL_PREFIX}demo:latest")],
            labels: label
                .map(|label| (INSTALLATION.to_owned(), label.to_owned()))
                .into_iter()
                .collect(),
            created: i64::try_from(NOW).unwrap() - age,
            size: 7,
        }
    }

    fn removed(image: LocalImage) -> Vec<(String, u64)> {
        let needs = Needs {
            installation: &OURS.parse().unwrap(),
            registry: "127.0.0.1:5000",
            ids: &BTreeSet::from(["needed".to_owned()]),
            apps: &BTreeSet::from(["demo".parse().unwrap()]),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
            grace: Duration::from_secs(60),
        };
        plan(&[image], &needs)
            .into_iter()
            .map(|removal| (removal.reference, removal.bytes))
            .collect()
    }

    #[test]
    fn only_what_is_ours_and_old_and_needed_by_no_release_goes() {
        let tagged = "127.0.0.1:5000/demo:01a208b2-0000-7000-8000-000000000001";
        let pinned = "127.0.0.1:5000/demo@sha256:00";
        let latest = "localhost/pvdify-build/demo:latest";
        let extended = "localhost/pvdify-build/demo:extended-run";
        let extended_of_gone = "localhost/pvdify-build/gone:extended-build";
        let of_gone = "localhost/pvdify-build/gone:latest";
        let left = "localhost/pvdify-build/demo:01a208b2-0000-7000-8000-000000000001";
        let (ours, others) = (Some(OURS), Some(OTHERS));
        let gone = |names: &[(&str, u64)]| -> Vec<(String, u64)> {
            names
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), *bytes))
                .collect()
        };
        let table = [
            ("pulled", image("a", &[pinned], None, 60), gone(&[(pinned, 7)])),
            (
                "two names",
                image("a", &[tagged, pinned], None, 60),
                gone(&[(tagged, 0), (pinned, 7)]),
            ),
            ("young", image("a", &[pinned], None, 59), vec![]),
            ("of the future", image("a", &[pinned], None, -1), vec![]),
            ("needed", image("needed", &[tagged, pinned], ours, 99), vec![]),
            (
                "also another's",
                image("a", &["docker.io/x:1", pinned], None, 60),
                gone(&[(pinned, 0)]),
            ),
            (
                "another registry's",
                image("a", &["127.0.0.1:50001/demo:1"], ours, 60),
                vec![],
            ),
            (
                "a base",
                image("a", &["docker.io/library/busybox:1", "pvdify/run:1"], None, 99),
                vec![],
            ),
            ("built, nameless", image("a", &[], ours, 60), gone(&[("a", 7)])),
            ("built, nameless, needed", image("needed", &[], ours, 60), vec![]),
            ("nameless of others", image("a", &[], others, 60), vec![]),
            ("nameless of nobody", image("a", &[], None, 60), vec![]),
            ("the newest of an app", image("a", &[latest], ours, 60), vec![]),
            (
                "an extended image of an app",
                image("a", &[extended], ours, 60),
                vec![],
            ),
            (
                "an extended image of a deleted app",
                image("a", &[extended_of_gone], ours, 60),
                gone(&[(extended_of_gone, 7)]),
            ),
            (
                "of a deleted app",
                image("a", &[of_gone], ours, 60),
                gone(&[(of_gone, 7)]),
            ),
            ("of others' app", image("a", &[of_gone], others, 60), vec![]),
            (
                "a killed build's",
                image("a", &[left, latest], ours, 60),
                gone(&[(left, 0)]),
            ),
            (
                "also pulled",
                image("a", &[latest, pinned], ours, 60),
                gone(&[(pinned, 0)]),
            ),
        ];
        for (what, image, expected) in table {
            assert_eq!(removed(image), expected, "{what}");
        }
    }

    #[test]
    fn layers_kept_for_the_next_build_are_not_images_of_releases() {
        let mut layer = image("a", &[], Some(OURS), 99);
        layer.history = vec!["docker.io/library/0123-tmp:latest".to_owned()];
        assert_eq!(removed(layer), vec![]);
    }
}
