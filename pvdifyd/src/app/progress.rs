//! Progress for whoever waits: all lines so far, then new ones, however late one comes.
//!
//! Lines live in memory and may be lost with the process; how a release ended is read from the store, so
//! the end that is told is always the true one.

use super::App;
use futures_util::{Stream, stream};
use pvdify_api::releases::ReleaseEvent;
use pvdify_types::{AppId, ReleaseStatus, ReleaseVersion};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// More than that of one feed are dropped, with a word that they are: a build may print without end.
const MAX_ITEMS: usize = 50_000;
/// Feeds kept, oldest dropped first.
const MAX_FEEDS: usize = 256;
/// The store is asked at least that often, in case the end was written by a process of its own.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A list that grows and is followed.
pub(super) struct Feed<T> {
    items: Mutex<Vec<T>>,
    changed: watch::Sender<()>,
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        Self {
            items: Mutex::default(),
            changed: watch::channel(()).0,
        }
    }
}

impl<T: Clone> Feed<T> {
    fn items(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; `false` when there are too many.
    pub(super) fn push(&self, item: T) -> bool {
        let mut items = self.items();
        let room = items.len() < MAX_ITEMS;
        if room {
            items.push(item);
        }
        drop(items);
        self.touch();
        room
    }

    /// Adds an item whatever there is: a last one.
    pub(super) fn push_last(&self, item: T) {
        self.items().push(item);
        self.touch();
    }

    /// Wakes those who follow.
    pub(super) fn touch(&self) {
        self.changed.send_replace(());
    }

    /// What came at `index` and after it.
    pub(super) fn since(&self, index: usize) -> Vec<T> {
        self.items().get(index..).unwrap_or_default().to_vec()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// All items so far, then new ones, to the one that is the last.
pub(super) fn followed<T: Clone + Send + 'static>(
    feed: Arc<Feed<T>>,
    is_last: fn(&T) -> bool,
) -> impl Stream<Item = T> + Send + use<T> {
    let changes = feed.changes();
    let state = (feed, changes, 0_usize, false);
    stream::unfold(state, move |(feed, mut changes, next, ended)| async move {
        if ended {
            return None;
        }
        loop {
            changes.mark_unchanged();
            if let Some(item) = feed.since(next).into_iter().next() {
                let ended = is_last(&item);
                return Some((item, (feed, changes, next + 1, ended)));
            }
            // The feed is held here, so its sender lives.
            changes.changed().await.ok()?;
        }
    })
}

/// The feeds of releases.
#[derive(Default)]
pub(super) struct Hub {
    feeds: Mutex<Feeds>,
}

type Key = (AppId, ReleaseVersion);

#[derive(Default)]
struct Feeds {
    by_release: HashMap<Key, Arc<Feed<String>>>,
    oldest_first: VecDeque<Key>,
}

impl Hub {
    /// The feed of a release, made when there is none.
    pub(super) fn feed(&self, app: &AppId, version: ReleaseVersion) -> Arc<Feed<String>> {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (app.clone(), version);
        if let Some(feed) = feeds.by_release.get(&key) {
            return Arc::clone(feed);
        }
        if feeds.oldest_first.len() == MAX_FEEDS
            && let Some(oldest) = feeds.oldest_first.pop_front()
        {
            feeds.by_release.remove(&oldest);
        }
        feeds.oldest_first.push_back(key.clone());
        Arc::clone(feeds.by_release.entry(key).or_default())
    }
}

/// How long the end of a release that serves is held back until the router serves it: milliseconds, where one runs.
const ROUTER_WAIT: Duration = Duration::from_secs(3);

/// Where one follower stands.
struct Follower {
    app: App,
    id: AppId,
    version: ReleaseVersion,
    feed: Arc<Feed<String>>,
    changes: watch::Receiver<()>,
    next: usize,
    queue: VecDeque<ReleaseEvent>,
    ended: bool,
}

impl App {
    /// A release's progress from its beginning to its end.
    pub(super) fn release_progress(
        &self,
        id: AppId,
        version: ReleaseVersion,
    ) -> impl Stream<Item = ReleaseEvent> + Send + use<> {
        let feed = self.inner.progress.feed(&id, version);
        let follower = Follower {
            app: self.clone(),
            id,
            version,
            changes: feed.changes(),
            feed,
            next: 0,
            queue: VecDeque::new(),
            ended: false,
        };
        stream::unfold(follower, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        })
    }
}

/// Both from the store, so that they are told also when the process that saw the release fail is gone.
struct End {
    done: ReleaseEvent,
    /// The last lines of what failed.
    tail: Vec<String>,
}

impl Follower {
    async fn next(&mut self) -> Option<ReleaseEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            self.changes.mark_unchanged();
            // First the store, then the lines: a line is always written before the end that it explains.
            let end = self.end().await;
            let lines = self.feed.since(self.next);
            self.next += lines.len();
            let line = |text| ReleaseEvent::Line { text };
            self.queue.extend(lines.into_iter().map(line));
            if let Some(End { done, tail }) = end {
                self.ended = true;
                self.queue.extend(tail.into_iter().map(line));
                self.queue.push_back(done);
            }
            if self.queue.is_empty() {
                // Both ends of the wait mean the same: look again.
                tokio::time::timeout(LOOK_AGAIN, self.changes.changed())
                    .await
                    .ok();
            }
        }
    }

    /// How the release ended, once it has. A failing store is no end: it is asked again.
    async fn end(&self) -> Option<End> {
        let (id, version) = (self.id.clone(), self.version);
        let found = self
            .app
            .store()
            .read(move |reader| crate::store::releases::find(reader, &id, version))
            .await
            .inspect_err(|error| tracing::warn!(%error, "can't read a release's status"))
            .ok()?;
        if found
            .as_ref()
            .is_some_and(|release| release.status == ReleaseStatus::Current)
        {
            let handle = &self.app.inner.handle;
            handle
                .wait_until_served(&self.id, self.version, ROUTER_WAIT)
                .await;
        }
        match found {
            Some(release) if release.status.is_open() => None,
            Some(release) => Some(End {
                done: ReleaseEvent::Done {
                    status: release.status,
                    failure: release.failure,
                },
                tail: release.log_tail,
            }),
            None => Some(End {
                done: ReleaseEvent::Done {
                    status: ReleaseStatus::Failed,
                    failure: Some("the app was deleted".to_owned()),
                },
                tail: Vec::new(),
            }),
        }
    }
}
