//! The work on a volume's folders as those see it who wait for it; it goes on without them.

use crate::{
    app::progress::{Feed, followed},
    volumes::Copied,
};
use futures_util::Stream;
use pvdify_api::volumes::VolumeEvent;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often a copy says how far it is.
const EVERY: Duration = Duration::from_millis(500);

/// Where events go.
#[derive(Clone)]
pub(super) struct Told(Arc<Feed<VolumeEvent>>);

impl Told {
    pub(super) fn new() -> Self {
        Self(Arc::new(Feed::default()))
    }

    pub(super) fn line(&self, text: &str) {
        self.0.push(VolumeEvent::Line {
            text: text.to_owned(),
        });
    }

    /// Tells how a copy goes on until `work` is done, and has it end when the server stops.
    pub(super) async fn copying<T>(
        &self,
        copied: &Copied,
        closing: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        let mut last = 0;
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = closing.cancelled() => {
                    copied.stop();
                    return work.await;
                }
                () = tokio::time::sleep(EVERY) => {
                    let bytes = copied.bytes();
                    if bytes != last {
                        self.0.push(VolumeEvent::Copied { bytes });
                        last = bytes;
                    }
                }
            }
        }
    }

    pub(super) fn end(&self, last: VolumeEvent) {
        self.0.push_last(last);
    }

    /// All events so far, then new ones, to the last.
    pub(super) fn stream(self) -> impl Stream<Item = VolumeEvent> + Send + use<> {
        followed(self.0, |event| {
            matches!(event, VolumeEvent::Done { .. } | VolumeEvent::Failed { .. })
        })
    }
}
