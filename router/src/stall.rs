//! One coarse timer for a thing that may stall: armed by waiting, disarmed by progress.
//!
//! Re-registering a timer at each read and write costs more than the read itself, so the sleep is left in
//! place when the deadline moves back and re-armed only when it fires too early.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Default)]
pub(crate) struct Stall {
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// There was progress: the next wait starts anew.
    pub(crate) fn progress(&mut self) {
        self.since = None;
    }

    /// Called when there is nothing to do but wait. Ready once the wait has lasted `limit`; else the task is
    /// woken in time.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.poll_until(cx, since + limit)
    }

    /// The same for a wait whose beginning the caller knows.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn a_wait_ends_after_its_limit_and_progress_starts_it_anew() {
        let mut stall = Stall::default();
        let limit = Duration::from_millis(20);
        let start = Instant::now();
        let once = poll_fn(|cx| Poll::Ready(stall.poll_wait(cx, limit))).await;
        assert!(once.is_pending());
        tokio::time::sleep(limit).await;
        stall.progress();
        let again = poll_fn(|cx| Poll::Ready(stall.poll_wait(cx, limit))).await;
        assert!(
            again.is_pending(),
            "the old sleep has fired, the new wait has not lasted"
        );
        poll_fn(|cx| stall.poll_wait(cx, limit)).await;
        assert!(start.elapsed() >= 2 * limit);
    }
}
