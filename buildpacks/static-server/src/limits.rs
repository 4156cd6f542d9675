//! How long a client may take for each part of a conversation.
//!
//! Each part has a limit of its own, so that who is slow on purpose holds little and not for long.

use std::time::Duration;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From a request's first byte (or from connecting) to the end of its head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without a byte getting through.
    pub stall: Duration,
    /// After the last response, until the client closes.
    pub linger: Duration,
    /// From the signal to the end.
    pub stop: Duration,
    /// From the signal until a client that is connected and has said nothing is left alone.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            // Longer than a router keeps its connections (Pvdify's: 30 s), so that it is the router who closes.
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            stop: Duration::from_secs(25),
            silence: Duration::from_secs(1),
        }
    }
}
