//! Visitors: requests at a fixed rate while something else happens.

use crate::platform::Platform;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::{JoinHandle, JoinSet};

/// Requests on their way.
pub struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<LoadReport>,
}

/// What the visitors saw, in the order in which they asked.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// The body of each answered request.
    pub answers: Vec<String>,
    /// Each that failed or was not answered 200.
    pub failures: Vec<String>,
}

impl LoadReport {
    /// The different answers in the order in which they first came, and how often the answer changed.
    #[must_use]
    pub fn changes(&self) -> (Vec<&str>, usize) {
        let mut seen: Vec<&str> = Vec::new();
        let mut changes = 0;
        for pair in self.answers.windows(2) {
            if pair[0] != pair[1] {
                changes += 1;
            }
        }
        for answer in &self.answers {
            if !seen.contains(&answer.as_str()) {
                seen.push(answer);
            }
        }
        (seen, changes)
    }
}

impl Load {
    /// Starts `rate` requests a second for `/` of an app.
    ///
    /// # Panics
    /// When no client can be made.
    #[must_use]
    pub fn start(platform: &Platform, app: &str, rate: u32) -> Self {
        let url = format!("http://{}/", platform.address("http"));
        let host = format!("{app}.localhost");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut asked = JoinSet::new();
            let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
            let mut number = 0_usize;
            while !stopping.load(Ordering::Relaxed) {
                tick.tick().await;
                let request = client
                    .get(&url)
                    .header("host", &host)
                    .timeout(Duration::from_secs(30));
                let number_of_this = number;
                number += 1;
                asked.spawn(async move {
                    let result = match request.send().await {
                        Ok(response) if response.status() == 200 => {
                            response.text().await.map_err(|e| e.to_string())
                        }
                        Ok(response) => Err(format!("status {}", response.status())),
                        Err(error) => Err(format!("{error:?}")),
                    };
                    (number_of_this, result)
                });
            }
            let mut all = asked.join_all().await;
            all.sort_by_key(|(number, _)| *number);
            let mut report = LoadReport::default();
            for (_, result) in all {
                match result {
                    Ok(body) => report.answers.push(body),
                    Err(failure) => report.failures.push(failure),
                }
            }
            report
        });
        Self { stop, task }
    }

    /// Stops, waits for what is open, and reports.
    ///
    /// # Panics
    /// When the visitors themselves failed.
    pub async fn stop(self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the visitors report")
    }
}
