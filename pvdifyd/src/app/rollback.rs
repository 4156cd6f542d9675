//! Rollback: a new release with the image and the config vars of an earlier one. It never builds and never
//! fetches: the image is one of those that are kept.

use super::{
    Acting, Action,
    authorise::living_app,
    error::{Error, Result},
    images,
    releases::{create, face, known_release},
};
use crate::store::{
    self, Reader, apps,
    releases::{self, New, Release},
};
use pvdify_api::releases as wire;
use pvdify_types::{AppName, ReleaseCause, ReleaseStatus};

impl Acting {
    /// Returns to a release, or to the one that served before.
    ///
    /// # Errors
    /// When refused or unknown, or that release never served, serves now, or its image is no longer kept.
    pub async fn rollback(&self, name: &AppName, version: Option<u64>) -> Result<wire::Release> {
        self.may(Action::Rollback)?;
        let (wanted, user) = (name.clone(), self.user().to_owned());
        let keep = self.app.settings().limits.images_kept;
        let (id, release) = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &wanted)?;
                let target = target(tx, &app, version)?;
                let code = target.code.clone();
                let kept = images::of_app(tx, &app.id, keep)?;
                if !code
                    .as_ref()
                    .is_some_and(|code| kept.contains(&code.image.digest))
                {
                    return Err(Error::ImageGone {
                        app: app.name,
                        version: target.version,
                        keep,
                    });
                }
                let now = store::now();
                let new = New {
                    status: ReleaseStatus::Pending,
                    cause: ReleaseCause::Rollback { to: target.version },
                    reference: target.reference,
                    code,
                    config_version: target.config_version,
                    config_before: Some(app.config_version),
                    description: format!("Rollback to {}", target.version),
                    user,
                };
                apps::set_config_version(tx, &app.id, target.config_version)?;
                let release = create(tx, &app, &new, now)?;
                Ok((app.id, release))
            })
            .await?;
        self.app.announce(&id, &release);
        self.app.inner.handle.wake();
        Ok(face(release))
    }
}

fn target(reader: &Reader, app: &apps::App, version: Option<u64>) -> Result<Release> {
    let Some(version) = version else {
        return before(&releases::list(reader, &app.id)?)
            .cloned()
            .ok_or_else(|| Error::NoEarlier(app.name.clone()));
    };
    let target = known_release(reader, app, &version.to_string())?;
    match target.status {
        ReleaseStatus::Current => Err(Error::AlreadyCurrent {
            app: app.name.clone(),
            version: target.version,
        }),
        status if !status.has_served() => Err(Error::NeverServed {
            app: app.name.clone(),
            version: target.version,
            status,
        }),
        _ => Ok(target),
    }
}

/// The release that served before the current one. After a rollback that is the one before its target, so
/// that rolling back again goes further back instead of returning to what was just left.
fn before(newest_first: &[Release]) -> Option<&Release> {
    let by_version = |version| newest_first.iter().find(|release| release.version == version);
    let current = newest_first
        .iter()
        .find(|release| release.status == ReleaseStatus::Current)?;
    let mut origin = current;
    while let ReleaseCause::Rollback { to } = origin.cause {
        origin = by_version(to)?;
    }
    newest_first
        .iter()
        .find(|release| release.version < origin.version && release.status == ReleaseStatus::Superseded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_types::{ConfigVersion, ReleaseVersion};

    fn release(version: u64, status: ReleaseStatus, cause: ReleaseCause) -> Release {
        Release {
            version: ReleaseVersion(version),
            status,
            cause,
            reference: String::new(),
            code: None,
            config_version: ConfigVersion(0),
            config_before: None,
            fixed: None,
            description: String::new(),
            user: String::new(),
            failure: None,
            log_tail: Vec::new(),
            created_at: 0,
        }
    }

    #[test]
    fn rolling_back_again_goes_further_back() {
        use ReleaseStatus::{Current, Failed, RolledBack, Superseded};
        let deploy = ReleaseCause::Deploy;
        let to = |version| ReleaseCause::Rollback {
            to: ReleaseVersion(version),
        };
        let table = [
            (vec![(1, Current, deploy)], None),
            (vec![(1, Failed, deploy), (2, Current, deploy)], None),
            (vec![(1, Superseded, deploy), (2, Current, deploy)], Some(1)),
            (
                vec![(1, Superseded, deploy), (2, Failed, deploy), (3, Current, deploy)],
                Some(1),
            ),
            (
                vec![
                    (1, Superseded, deploy),
                    (2, RolledBack, deploy),
                    (3, Current, to(1)),
                ],
                None,
            ),
            (
                vec![
                    (1, Superseded, deploy),
                    (2, Superseded, deploy),
                    (3, RolledBack, deploy),
                    (4, Current, to(2)),
                ],
                Some(1),
            ),
        ];
        for (rows, expected) in table {
            let mut releases: Vec<_> = rows.iter().map(|(v, s, c)| release(*v, *s, *c)).collect();
            releases.reverse();
            assert_eq!(before(&releases).map(|r| r.version.0), expected, "{rows:?}");
        }
    }
}
