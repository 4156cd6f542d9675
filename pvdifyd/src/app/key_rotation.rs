//! A new sealing key in place of the one that is there: `pvdifyd key rotate`.
//!
//! Three sorts of steps, each whole or not done: the key file gets a new key, which seals from then on; what the old one
//! sealed is sealed anew, some rows at a time; the old key leaves the file. All of them run on the database's writer, so
//! a change that goes on meanwhile is sealed with one key, and is seen by the step that drops the other. Which step is
//! next is read from the file and the rows alone: a rotation that was killed anywhere is finished by the next one.

use super::{
    Acting, Action,
    error::{Error, Result},
};
use crate::store::{self, Secrets, Store, reseal};
use std::sync::Arc;

pub use pvdify_api::control::KeyRotated;

/// What one step did.
enum Step {
    Added,
    Resealed(usize),
    Dropped,
}

/// Rotates, or finishes a rotation that is under way.
///
/// # Errors
/// When the key file can't be written, the database fails, or a value does not open; then no key was dropped.
pub async fn rotate(store: &Store, secrets: &Arc<Secrets>) -> Result<KeyRotated> {
    let finished = secrets.is_rotating()?;
    let mut values = 0;
    loop {
        match step(store, secrets).await? {
            Step::Added => {}
            Step::Resealed(rows) => values += rows as u64,
            Step::Dropped => break,
        }
    }
    store.empty_log().await.map_err(Error::from)?;
    Ok(KeyRotated {
        key: secrets.key_id(),
        values,
        finished,
    })
}

async fn step(store: &Store, secrets: &Arc<Secrets>) -> Result<Step> {
    let secrets = Arc::clone(secrets);
    let step = store.write(move |tx| {
        if !secrets.is_rotating()? {
            secrets.add_key()?;
            return Ok(Step::Added);
        }
        let rows = reseal::some(tx, &secrets).map_err(|error| match error {
            store::Error::Sealed(error) => Error::Unopened(error.to_string()),
            other => other.into(),
        })?;
        if rows > 0 {
            return Ok(Step::Resealed(rows));
        }
        secrets.drop_old_keys()?;
        Ok(Step::Dropped)
    });
    step.await
}

impl Acting {
    /// Rotates the key of a server that runs. Goes on when the caller is gone.
    ///
    /// # Errors
    /// When refused, and as [`rotate`].
    pub async fn rotate_key(&self) -> Result<KeyRotated> {
        self.may(Action::RotateKey)?;
        let app = self.app.clone();
        let work = tokio::spawn(async move {
            let _turn = app.inner.rotating.lock().await;
            let rotated = rotate(app.store(), &app.inner.secrets).await?;
            tracing::info!(
                key = rotated.key,
                values = rotated.values,
                "the sealing key was rotated"
            );
            Ok(rotated)
        });
        work.await.map_err(|_| Error::Store(store::Error::Stopped))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{apps, bindings, config_vars, config_versions::Origin, releases, secrets::keys_in};
    use pvdify_types::{AppId, Binding, ConfigSet, ConfigValue, ConfigVersion};
    use std::{fs, path::Path};

    /// A state directory as a server has it, opened anew as after a kill.
    struct Opened {
        store: Store,
        secrets: Arc<Secrets>,
    }

    fn open(dir: &Path) -> Opened {
        Opened {
            store: Store::open(&dir.join("db")).unwrap(),
            secrets: Arc::new(Secrets::open(&dir.join("key"), true).unwrap()),
        }
    }

    fn set(count: usize, text: &str) -> ConfigSet {
        let var = |n: usize| {
            let value = ConfigValue::new(format!("{text}-{n}")).unwrap();
            (format!("K{n}").parse().unwrap(), value.into())
        };
        (0..count).map(var).collect()
    }

    fn binding() -> Binding {
        let entries = [("password".parse().unwrap(), b"s3cret".to_vec())].into();
        Binding::new("db".parse().unwrap(), "pg".parse().unwrap(), None, entries).unwrap()
    }

    const ORIGIN: Origin<'static> = Origin {
        user: "u",
        description: "d",
    };

    /// 450 values in two versions, and a binding.
    async fn fill(dir: &Path) -> AppId {
        let store = Store::open(&dir.join("db")).unwrap();
        let secrets = Secrets::open(&dir.join("key"), false).unwrap();
        let filled = store.write(move |tx| -> store::Result<AppId> {
            let app = apps::insert(tx, &"demo".parse().unwrap(), Default::default(), 0)?.unwrap();
            let one = config_vars::insert(
                tx,
                &secrets,
                &app,
                (ConfigVersion(0), &set(200, "one")),
                ORIGIN,
                0,
            )?;
            config_vars::insert(tx, &secrets, &app, (one, &set(250, "two")), ORIGIN, 0)?;
            bindings::put(tx, &secrets, &app, &binding())?;
            assert!(releases::list(tx, &app)?.is_empty());
            Ok(app)
        });
        filled.await.unwrap()
    }

    async fn assert_whole(opened: &Opened, app: &AppId) {
        let (secrets, app) = (Arc::clone(&opened.secrets), app.clone());
        let read = opened.store.read(move |reader| -> store::Result<()> {
            let load = |version| config_vars::load(reader, &secrets, &app, ConfigVersion(version));
            assert!(load(1)? == set(200, "one") && load(2)? == set(250, "two"));
            assert_eq!(bindings::of_app(reader, &secrets, &app)?, [binding()]);
            Ok(())
        });
        read.await.unwrap();
    }

    /// The sealed bytes that one row holds.
    async fn sealed(store: &Store, of: &'static str) -> Vec<u8> {
        let read = store.read(move |reader| {
            let row = reader.query_row(&format!("SELECT sealed FROM {of}"), [], |row| row.get(0));
            Ok::<Vec<u8>, store::Error>(row?)
        });
        read.await.unwrap()
    }

    #[tokio::test]
    async fn a_rotation_that_is_killed_after_any_step_is_finished_by_the_next_one() {
        // Added, three times 200 rows or less, dropped.
        for killed_after in 0..=5_u64 {
            let dir = tempfile::tempdir().unwrap();
            let app = fill(dir.path()).await;
            let key = dir.path().join("key");
            let before = fs::read(&key).unwrap();
            let opened = open(dir.path());
            let mut dropped = false;
            for _ in 0..killed_after {
                dropped = matches!(step(&opened.store, &opened.secrets).await.unwrap(), Step::Dropped);
                assert_whole(&opened, &app).await;
            }
            assert_eq!(dropped, killed_after == 5);
            drop(opened);
            // And in the middle of writing the key file.
            fs::write(key.with_extension("new"), "0badc0de half").unwrap();

            let opened = open(dir.path());
            assert_whole(&opened, &app).await;
            let rotating = (1..5).contains(&killed_after);
            assert_eq!(opened.secrets.is_rotating().unwrap(), rotating, "{killed_after}");
            let rotated = rotate(&opened.store, &opened.secrets).await.unwrap();
            assert_eq!((rotated.finished, keys_in(&key).unwrap()), (rotating, 1));
            let done = if rotating { 200 * (killed_after - 1) } else { 0 };
            assert_eq!(rotated.values, 451_u64.saturating_sub(done), "{killed_after}");
            assert!(!key.with_extension("new").exists());
            drop(opened);

            let opened = open(dir.path());
            assert_whole(&opened, &app).await;
            assert_eq!(opened.secrets.key_id(), rotated.key);
            assert!(
                !fs::read_to_string(&key)
                    .unwrap()
                    .contains(str::from_utf8(&before).unwrap())
            );
        }
    }

    #[tokio::test]
    async fn nothing_of_what_the_old_key_sealed_stays_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let app = fill(dir.path()).await;
        let opened = open(dir.path());
        let holds = |bytes: &[u8]| {
            ["db", "db-wal"].into_iter().any(|file| {
                let all = fs::read(dir.path().join(file)).unwrap();
                all.windows(bytes.len()).any(|part| part == bytes)
            })
        };
        let value = "config_vars WHERE key = 'K7'";
        let old = sealed(&opened.store, value).await;
        let removed = sealed(&opened.store, "binding_entries").await;
        assert!(holds(&old) && holds(&removed), "the test looks for what is there");
        // What was removed before, no rotation comes by.
        let remove = opened
            .store
            .write(move |tx| bindings::remove(tx, &app, &"db".parse().unwrap()));
        assert!(remove.await.unwrap());
        rotate(&opened.store, &opened.secrets).await.unwrap();
        assert!(!holds(&old) && !holds(&removed));
        assert!(holds(&sealed(&opened.store, value).await));
    }

    #[tokio::test]
    async fn changes_made_meanwhile_are_sealed_with_the_new_key() {
        let dir = tempfile::tempdir().unwrap();
        let app = fill(dir.path()).await;
        let opened = open(dir.path());
        loop {
            let dropped = matches!(step(&opened.store, &opened.secrets).await.unwrap(), Step::Dropped);
            let (secrets, app) = (Arc::clone(&opened.secrets), app.clone());
            let changed = opened.store.write(move |tx| {
                let set = set(3, "meanwhile");
                config_vars::insert(tx, &secrets, &app, (ConfigVersion(2), &set), ORIGIN, 0)
            });
            changed.await.unwrap();
            if dropped {
                break;
            }
        }
        drop(opened);
        let opened = open(dir.path());
        assert_whole(&opened, &app).await;
        let secrets = Arc::clone(&opened.secrets);
        let last = opened
            .store
            .read(move |reader| config_vars::load(reader, &secrets, &app, ConfigVersion(7)));
        assert_eq!(last.await.unwrap(), set(3, "meanwhile"));
    }

    #[tokio::test]
    async fn a_row_that_does_not_open_is_named_and_both_keys_stay() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path()).await;
        let opened = open(dir.path());
        let alter = opened.store.write(|tx| -> store::Result<()> {
            tx.execute(
                "UPDATE config_vars SET key = 'MOVED' WHERE version = 2 AND key = 'K9'",
                [],
            )?;
            Ok(())
        });
        alter.await.unwrap();
        let error = rotate(&opened.store, &opened.secrets).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "config var MOVED does not open: its row was altered or belongs to another place; the old key is kept"
        );
        assert_eq!(keys_in(&dir.path().join("key")).unwrap(), 2);
    }
}
