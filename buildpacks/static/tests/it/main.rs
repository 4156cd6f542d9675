//! The static sites buildpack through `bin/detect` and `bin/build`, and what it builds through the real server.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod builds;
mod heroku;
mod served;
