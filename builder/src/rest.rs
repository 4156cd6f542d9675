//! Builds and imports on one side, whoever removes images on the other: never both at a time.
//!
//! Builds take layers out of Podman's storage that nothing holds, and blobs of an image are in the store before
//! the manifest that names them. No age of a thing says that a build has just begun to rely on it, so a
//! collector waits for a moment without builds instead. It must not hold up builds behind a long one either:
//! it only looks whether such a moment is there, and queues itself, which stops new builds, when it looked in
//! vain for long.

use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);

/// The work under way.
#[derive(Clone, Default)]
pub(crate) struct Work(Arc<RwLock<()>>);

/// Work under way.
pub(crate) type Working = OwnedRwLockReadGuard<()>;

/// A time without builds and imports, as long as this is held.
#[derive(Debug)]
pub struct Rest(#[expect(dead_code, reason = "held, never read")] OwnedRwLockWriteGuard<()>);

impl Work {
    /// Work begins; it ends when the answer is dropped.
    pub(crate) async fn begin(&self) -> Working {
        Arc::clone(&self.0).read_owned().await
    }

    pub(crate) async fn rest(&self, patience: Duration) -> Rest {
        let look = async {
            loop {
                if let Ok(guard) = Arc::clone(&self.0).try_write_owned() {
                    return guard;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(patience, look).await {
            Ok(guard) => Rest(guard),
            Err(_) => Rest(Arc::clone(&self.0).write_owned().await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn rest_and_work_exclude_each_other_and_neither_starves() {
        let work = Work::default();
        let (first, second) = (work.begin().await, work.begin().await);
        let mut rest = std::pin::pin!(work.rest(Duration::from_millis(20)));
        assert!(rest.as_mut().now_or_never().is_none());
        // It only looks: new work still begins.
        drop(work.begin().now_or_never().unwrap());
        // Out of patience it queues, before new work.
        assert!(
            tokio::time::timeout(Duration::from_millis(100), rest.as_mut())
                .await
                .is_err()
        );
        let mut third = std::pin::pin!(work.begin());
        assert!(third.as_mut().now_or_never().is_none());
        drop((first, second));
        let resting = rest.await;
        assert!(third.as_mut().now_or_never().is_none());
        drop(resting);
        third.await;
    }
}
