//! A container's output, told apart by where it was written.

use super::path;
use crate::podman::{Frame, Libpod, PodmanError, Query, empty_body, frames::frames};
use futures_util::Stream;
use http::{HeaderMap, Method};

impl Libpod {
    /// All that it writes from now on, until it ends. A container that has not been started is prepared, so
    /// that the stream is there before its first word. One that writes faster than this is read has to wait.
    ///
    /// # Errors
    /// As [`Libpod::get`] until the stream begins.
    pub async fn attach(
        &self,
        container: &str,
    ) -> Result<impl Stream<Item = Result<Frame, PodmanError>> + Send + 'static, PodmanError> {
        let query = Query::default()
            .with("stream", true)
            .with("stdout", true)
            .with("stderr", true);
        let path = query.on(&path(container, "/attach"));
        Ok(frames(self.stream(&path, None::<&()>).await?))
    }

    /// What its log holds. Following a container that ends, Podman 4.3.1 does not always read to the end of
    /// the log: for the whole output [attach](Libpod::attach) before the start, or ask after the end.
    ///
    /// # Errors
    /// As [`Libpod::request`]: followed, the answer begins with the first word, whenever that is.
    pub async fn container_logs(
        &self,
        container: &str,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Frame, PodmanError>> + Send + 'static, PodmanError> {
        let query = Query::default()
            .with("follow", follow)
            .with("stdout", true)
            .with("stderr", true);
        let path = query.on(&path(container, "/logs"));
        let answer = self.request(Method::GET, &path, HeaderMap::new(), empty_body());
        Ok(frames(answer.await?))
    }
}
