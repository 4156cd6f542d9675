//! Identity: the labels that every container bears, and nothing else, say whose it is.
//!
//! Names are for people and never parsed; a container without a whole set of these labels is not ours.

use pvdify_types::{AppId, AppName, InstallationId, OneOffKind, OneOffName, ProcessType, ReleaseVersion};
use std::collections::BTreeMap;

/// The label that tells one installation's containers and networks from another's.
pub const INSTALLATION: &str = "pvdify.installation";
pub(super) const APP: &str = "pvdify.app";
const APP_NAME: &str = "pvdify.app-name";
const PROCESS: &str = "pvdify.process";
const ORDINAL: &str = "pvdify.ordinal";
const RELEASE: &str = "pvdify.release";
const RESTART_GENERATION: &str = "pvdify.restart-generation";
const SPEC_HASH: &str = "pvdify.spec-hash";
/// There where it is so, and only there.
const EXCLUSIVE: &str = "pvdify.exclusive";
const KIND: &str = "pvdify.kind";
/// Which pvdifyd holds a session.
const SESSION: &str = "pvdify.session";

/// What sort of instance a container is; builds have another label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstanceKind {
    /// One of a process type: it should run for ever.
    Process,
    /// It runs once to its end; its process type is what it is for, its ordinal its number.
    OneOff,
    /// The same with someone at its streams, who ends it: the reconciler looks at none of these.
    Session,
}

impl InstanceKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Process => "app",
            Self::OneOff => "one-off",
            Self::Session => "session",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Process, Self::OneOff, Self::Session]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// Which instance of what a container is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceKey {
    /// Of which sort.
    pub kind: InstanceKind,
    /// Whose.
    pub app: AppId,
    /// For people.
    pub app_name: AppName,
    /// Of which type.
    pub process: ProcessType,
    /// From 1.
    pub ordinal: u32,
    /// Of which release.
    pub release: ReleaseVersion,
    /// The app's restart generation when it was started.
    pub restart_generation: u64,
    /// A hash of all else that makes the container: image, command, config, port, resources, volumes.
    pub spec_hash: String,
    /// Whether it has a volume to itself.
    pub exclusive: bool,
}

impl InstanceKey {
    /// As people call it: `web.1`.
    #[must_use]
    pub fn dyno(&self) -> String {
        format!("{}.{}", self.process, self.ordinal)
    }

    /// Its name, where it runs once.
    #[must_use]
    pub fn one_off(&self) -> Option<OneOffName> {
        let kind = OneOffKind::from_word(self.process.as_str());
        kind.filter(|_| self.kind == InstanceKind::OneOff)
            .map(|kind| OneOffName {
                kind,
                number: self.ordinal,
            })
    }

    /// The labels that say all of this.
    #[must_use]
    pub fn to_labels(&self, installation: &InstallationId) -> BTreeMap<&'static str, String> {
        let mut labels = BTreeMap::from([
            (INSTALLATION, installation.to_string()),
            (KIND, self.kind.as_str().to_owned()),
            (APP, self.app.to_string()),
            (APP_NAME, self.app_name.to_string()),
            (PROCESS, self.process.to_string()),
            (ORDINAL, self.ordinal.to_string()),
            (RELEASE, self.release.0.to_string()),
            (RESTART_GENERATION, self.restart_generation.to_string()),
            (SPEC_HASH, self.spec_hash.clone()),
        ]);
        if self.exclusive {
            labels.insert(EXCLUSIVE, true.to_string());
        }
        labels
    }

    /// Reads them back; `None` for a container that is no instance of an app.
    #[must_use]
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        let get = |name: &str| labels.get(name).map(String::as_str);
        Some(Self {
            kind: InstanceKind::from_word(get(KIND)?)?,
            app: get(APP)?.parse().ok()?,
            app_name: get(APP_NAME)?.parse().ok()?,
            process: get(PROCESS)?.parse().ok()?,
            ordinal: get(ORDINAL)?.parse().ok()?,
            release: ReleaseVersion(get(RELEASE)?.parse().ok()?),
            restart_generation: get(RESTART_GENERATION)?.parse().ok()?,
            spec_hash: get(SPEC_HASH)?.to_owned(),
            exclusive: get(EXCLUSIVE).is_some(),
        })
    }
}

/// The labels of a session's container.
pub(super) fn session(
    installation: &InstallationId,
    key: &InstanceKey,
    holder: &str,
) -> BTreeMap<&'static str, String> {
    let mut labels = key.to_labels(installation);
    labels.insert(SESSION, holder.to_owned());
    labels
}

/// Who holds a session; `None` for a container that is none.
pub(super) fn holder(labels: &BTreeMap<String, String>) -> Option<String> {
    let kind = InstanceKind::from_word(labels.get(KIND)?)?;
    (kind == InstanceKind::Session).then(|| labels.get(SESSION).cloned())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(labels: BTreeMap<&'static str, String>) -> BTreeMap<String, String> {
        let labels = labels.into_iter();
        labels.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn key(kind: InstanceKind) -> InstanceKey {
        InstanceKey {
            kind,
            app: "a1".parse().unwrap(),
            app_name: "demo".parse().unwrap(),
            process: ProcessType::web(),
            ordinal: 2,
            release: ReleaseVersion(7),
            restart_generation: 3,
            spec_hash: "abc".into(),
            exclusive: true,
        }
    }

    #[test]
    fn a_session_bears_its_holders_mark_and_nothing_else_does() {
        let installation = "i1".parse().unwrap();
        let labels = owned(session(&installation, &key(InstanceKind::Session), "s1"));
        assert_eq!(
            InstanceKey::from_labels(&labels),
            Some(key(InstanceKind::Session))
        );
        assert_eq!(holder(&labels).as_deref(), Some("s1"));
        let mut other = owned(key(InstanceKind::OneOff).to_labels(&installation));
        other.insert(SESSION.to_owned(), "s1".to_owned());
        assert_eq!(holder(&other), None);
    }

    #[test]
    fn labels_read_back_and_a_part_of_them_is_nothing() {
        let key = key(InstanceKind::OneOff);
        let labels = owned(key.to_labels(&"i1".parse().unwrap()));
        assert_eq!(InstanceKey::from_labels(&labels), Some(key));
        for missing in labels
            .keys()
            .filter(|name| ![INSTALLATION, EXCLUSIVE].contains(&name.as_str()))
        {
            let mut part = labels.clone();
            part.remove(missing);
            assert_eq!(InstanceKey::from_labels(&part), None, "{missing}");
        }
        let mut build = labels;
        build.insert(KIND.into(), "build".into());
        assert_eq!(InstanceKey::from_labels(&build), None);
    }
}
