//! A platform's door for visitors: requests through the router.

use crate::platform::Platform;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

impl Platform {
    /// GETs a path of an app through the router; the status and the body.
    ///
    /// # Panics
    /// When the router does not answer at all.
    pub async fn get(&self, app: &str, path: &str) -> (u16, String) {
        self.get_host(&format!("{app}.localhost"), path).await
    }

    /// GETs a path of a host through the router.
    ///
    /// # Panics
    /// When the router does not answer at all.
    pub async fn get_host(&self, host: &str, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address("http"));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let response = client
            .get(url)
            .header("host", host)
            .send()
            .await
            .expect("the router answers");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// Waits until an app answers `/` with a body that holds `text`.
    ///
    /// # Panics
    /// When it does not within `limit`.
    pub async fn wait_for(&self, app: &str, text: &str, limit: Duration) -> Duration {
        let started = Instant::now();
        loop {
            let url = format!("http://{}/", self.address("http"));
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let last = match client
                .get(url)
                .header("host", format!("{app}.localhost"))
                .send()
                .await
            {
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if last.contains(text) {
                return started.elapsed();
            }
            assert!(
                started.elapsed() < limit,
                "{app} does not answer {text:?} within {limit:?}, but {last:?}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// GETs `/` of an app through the router at this address; `None` when it does not answer.
    pub async fn get_through(&self, router: SocketAddr, app: &str) -> Option<String> {
        let client = reqwest::Client::builder().no_proxy().build().ok()?;
        let request = client
            .get(format!("http://{router}/"))
            .header("host", format!("{app}.localhost"));
        let response = request.send().await.ok()?;
        if response.status() == 200 {
            response.text().await.ok()
        } else {
            None
        }
    }
}
