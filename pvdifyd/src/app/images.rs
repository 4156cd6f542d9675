//! Which images must be kept: what garbage collection asks before it removes anything.

use super::{App, error::Result};
use crate::store::{Reader, apps, releases};
use pvdify_types::{AppId, AppName, Digest};
use std::collections::BTreeSet;

impl App {
    /// The digests that some release of some app may still need: of all open and current releases, and of
    /// the last `keep` different images that served.
    ///
    /// # Errors
    /// When the database fails: then nothing may be removed.
    pub async fn images_in_use(&self, keep: usize) -> Result<BTreeSet<Digest>> {
        self.store()
            .read(move |reader| {
                let mut all = BTreeSet::new();
                for app in apps::list(reader)? {
                    all.extend(of_app(reader, &app.id, keep)?);
                }
                Ok(all)
            })
            .await
    }

    /// The names of all apps, those being deleted among them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn app_names(&self) -> Result<BTreeSet<AppName>> {
        self.store()
            .read(|reader| Ok(apps::list(reader)?.into_iter().map(|app| app.name).collect()))
            .await
    }
}

/// One app's.
pub(super) fn of_app(reader: &Reader, app: &AppId, keep: usize) -> Result<BTreeSet<Digest>> {
    let (mut needed, mut served) = (BTreeSet::new(), BTreeSet::new());
    for release in releases::list(reader, app)? {
        let status = release.status;
        let Some(code) = release.code else { continue };
        let digest = code.image.digest;
        if status.is_open() {
            needed.insert(digest);
        } else if status.has_served() && (served.len() < keep || served.contains(&digest)) {
            served.insert(digest);
        }
    }
    needed.extend(served);
    Ok(needed)
}
