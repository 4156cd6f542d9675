//! Sessions: one-off processes and commands inside instances, each with someone at its other end.
//!
//! They live and end with this process, so they are known in memory alone; what the engine bears says the rest. What
//! always holds: a session that begins has its place, and no app has more than its share of them; however one ends
//! (its process, its client, its time, the app, this server), its process is ended and its container removed. What
//! could not be removed then, or was left by a pvdifyd that was killed, [`App::sweep_sessions`] finds by the mark of
//! who held it.

mod attend;
mod begin;

pub use attend::{FromPeer, Peer, ToPeer};
pub use begin::Ticket;

use super::{
    App,
    error::{Error, Result},
};
use crate::engine::SessionEngine;
use pvdify_api::ps::Instance;
use pvdify_types::{AppId, AppName, OneOffKind, OneOffName};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The numbers that one-offs with a session have: four digits, as Heroku's, and apart from those of detached ones, which
/// count up from 1001.
const ORDINALS: std::ops::RangeInclusive<u32> = 5000..=9999;
/// Between two looks at what sessions left.
const SWEEP: Duration = Duration::from_secs(60);

/// All sessions.
pub(super) struct Sessions {
    engine: Arc<dyn SessionEngine>,
    /// By which containers tell what this process holds from what another held.
    mark: String,
    living: Mutex<BTreeMap<Key, Living>>,
    tasks: TaskTracker,
}

/// Which session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// A one-off, by its number.
    OneOff(AppId, u32),
    /// A command inside an instance, by the number of the session.
    Inside(AppId, u64),
}

/// A session that has its place.
#[derive(Clone, Debug)]
struct Living {
    stop: CancellationToken,
    /// Of one that runs.
    face: Option<Face>,
}

/// A one-off as `ps` shows it.
#[derive(Clone, Debug)]
struct Face {
    command: String,
    release: u64,
    started_at: SystemTime,
    is_up: bool,
}

impl Key {
    fn app(&self) -> &AppId {
        match self {
            Self::OneOff(app, _) | Self::Inside(app, _) => app,
        }
    }

    fn is_one_off(&self) -> bool {
        matches!(self, Self::OneOff(..))
    }
}

/// A session's place; given back when it is dropped.
struct Place {
    app: App,
    key: Key,
    stop: CancellationToken,
}

impl Place {
    /// What `ps` shows from now on.
    fn show(&self, face: Face) {
        if let Some(living) = self.app.inner.sessions.living().get_mut(&self.key) {
            living.face = Some(face);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.inner.sessions.living().remove(&self.key);
    }
}

impl Sessions {
    pub(super) fn new(engine: Arc<dyn SessionEngine>) -> Self {
        Self {
            engine,
            mark: uuid::Uuid::now_v7().simple().to_string(),
            living: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    fn living(&self) -> MutexGuard<'_, BTreeMap<Key, Living>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all of an app's.
    pub(super) fn stop_all(&self, app: &AppId) {
        for (_, living) in self.living().iter().filter(|(key, _)| key.app() == app) {
            living.stop.cancel();
        }
    }

    /// An app's one-offs that run, as `ps` shows them: one type, and a command for each.
    pub(super) fn faces(&self, app: &AppId) -> Vec<Instance> {
        let living = self.living();
        let mut faces = Vec::new();
        for (key, one) in living.iter() {
            let (Key::OneOff(of, ordinal), Some(face)) = (key, &one.face) else {
                continue;
            };
            if of == app {
                let state = if face.is_up { "up" } else { "starting" };
                faces.push(Instance {
                    name: one_off_name(*ordinal),
                    state: state.to_owned(),
                    release: face.release,
                    restarts: 0,
                    started_at: Some(face.started_at.into()),
                    command: Some(face.command.clone()),
                });
            }
        }
        faces
    }
}

/// As `run.1234`.
fn one_off_name(ordinal: u32) -> String {
    let name = OneOffName {
        kind: OneOffKind::Run,
        number: ordinal,
    };
    name.to_string()
}

/// A number that none of them has, the first one from a random place on.
fn free_ordinal(taken: impl Fn(u32) -> bool, random: impl FnOnce() -> u32) -> u32 {
    let count = ORDINALS.end() - ORDINALS.start() + 1;
    let first = random() % count;
    let mut candidates = (0..count).map(|step| ORDINALS.start() + (first + step) % count);
    candidates
        .find(|ordinal| !taken(*ordinal))
        .unwrap_or(*ORDINALS.start())
}

/// Without randomness the first that is free is as good.
fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}

impl App {
    /// Takes a place for a one-off of an app, and a number.
    fn place_one_off(&self, app: &AppId, name: &AppName) -> Result<(Place, u32)> {
        let mut living = self.inner.sessions.living();
        self.check_share(&living, app, name, true)?;
        let taken = |ordinal| living.contains_key(&Key::OneOff(app.clone(), ordinal));
        let ordinal = free_ordinal(taken, random);
        let key = Key::OneOff(app.clone(), ordinal);
        Ok((self.place(&mut living, key), ordinal))
    }

    /// Takes a place for a session inside one of an app's instances.
    fn place_inside(&self, app: &AppId, name: &AppName) -> Result<Place> {
        let mut living = self.inner.sessions.living();
        self.check_share(&living, app, name, false)?;
        let last = living.keys().filter_map(|key| match key {
            Key::Inside(_, number) => Some(*number),
            Key::OneOff(..) => None,
        });
        let next = last.max().map_or(0, |last| last + 1);
        Ok(self.place(&mut living, Key::Inside(app.clone(), next)))
    }

    fn check_share(
        &self,
        living: &BTreeMap<Key, Living>,
        app: &AppId,
        name: &AppName,
        one_off: bool,
    ) -> Result<()> {
        let limit = self.settings().limits.sessions;
        let of_app = living
            .keys()
            .filter(|key| key.app() == app && key.is_one_off() == one_off);
        if of_app.count() < limit {
            return Ok(());
        }
        Err(Error::SessionQuota {
            app: name.clone(),
            limit,
            what: if one_off {
                "one-off processes"
            } else {
                "open sessions"
            },
        })
    }

    fn place(&self, living: &mut BTreeMap<Key, Living>, key: Key) -> Place {
        let stop = CancellationToken::new();
        let one = Living {
            stop: stop.clone(),
            face: None,
        };
        living.insert(key.clone(), one);
        Place {
            app: self.clone(),
            key,
            stop,
        }
    }

    /// Counts a session's task among those that [`App::sessions_ended`] waits for.
    pub fn track<F: Future>(&self, session: F) -> impl Future<Output = F::Output> + use<F> {
        self.inner.sessions.tasks.track_future(session)
    }

    /// Waits until every session ended, after [`App::close`].
    pub async fn sessions_ended(&self) {
        self.inner.sessions.tasks.close();
        self.inner.sessions.tasks.wait().await;
    }

    /// Removes what no session of this process holds any more; a failure is tried again by the next.
    pub async fn sweep_sessions(&self) {
        if let Err(error) = self.try_sweep().await {
            tracing::warn!(%error, "what sessions left was not swept up");
        }
    }

    async fn try_sweep(&self) -> crate::engine::Result<()> {
        let sessions = &self.inner.sessions;
        sessions.engine.end_lost_execs(&sessions.mark).await?;
        for session in sessions.engine.sessions().await? {
            let key = &session.instance.key;
            let held = sessions
                .living()
                .contains_key(&Key::OneOff(key.app.clone(), key.ordinal));
            if session.holder != sessions.mark || !held {
                tracing::info!(app = %key.app_name, dyno = %key.dyno(), "removing a session that nobody holds");
                sessions.engine.remove_session(&session.instance.id).await?;
            }
        }
        Ok(())
    }

    /// Sweeps from time to time, until [`App::close`].
    pub async fn keep_sweeping(&self) {
        let closing = self.closing();
        while closing
            .run_until_cancelled(tokio::time::sleep(SWEEP))
            .await
            .is_some()
        {
            self.sweep_sessions().await;
        }
    }
}

impl App {
    /// Ends a one-off with a session; `false`: the app has none of that name.
    pub(super) fn stop_session(&self, app: &AppId, one_off: OneOffName) -> bool {
        if one_off.kind != OneOffKind::Run {
            return false;
        }
        let living = self.inner.sessions.living();
        let named = living.get(&Key::OneOff(app.clone(), one_off.number));
        named.map(|living| living.stop.cancel()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_four_digits_and_none_of_those_taken() {
        assert_eq!(free_ordinal(|_| false, || 0), 5000);
        assert_eq!(free_ordinal(|_| false, || 4999), 9999);
        assert_eq!(free_ordinal(|_| false, || 5000), 5000);
        assert_eq!(
            free_ordinal(|ordinal| !(5002..9000).contains(&ordinal), || 4500),
            5002
        );
    }
}
