//! `make bench`: how long a person waits, beside the same work done by hand, in the same run.
//!
//! Rounds alternate between Pvdify and its peer, so that a busy moment hits both; medians and their ratio are
//! printed, with the range of the paired ratios. Nothing is asserted: machines are shared and noisy.

mod creator;
mod push_to_live;
mod receive;

use std::time::Duration;

/// How often each side runs. Odd, so that the median is a run.
const ROUNDS: usize = 5;

/// One comparison's times, a pair for each round.
struct Pairs(Vec<(Duration, Duration)>);

impl Pairs {
    fn print(&self, what: &str, peer: &str) {
        let ours = median(self.0.iter().map(|(ours, _)| ours.as_secs_f64()));
        let theirs = median(self.0.iter().map(|(_, theirs)| theirs.as_secs_f64()));
        let ratios: Vec<f64> = self
            .0
            .iter()
            .map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64())
            .collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        println!("{what}");
        println!(
            "    pvdify {ours:.2} s, {peer} {theirs:.2} s: ratio {:.2} (paired {low:.2}-{high:.2}, {} rounds)",
            ours / theirs,
            self.0.len()
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Whether a comparison is asked for: all are, unless arguments name some.
fn wanted(name: &str) -> bool {
    // Cargo hands on `--bench`.
    let mut names = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    names.peek().is_none() || names.any(|asked| asked == name)
}

#[tokio::main]
async fn main() {
    if wanted("push") {
        push_to_live::measure().await.print(
            "push-to-live of a code-only change (until the new version answers; lower is better)",
            "podman build + podman run + curl by hand",
        );
    }
    if wanted("receive") {
        receive::measure().await.print(
            "receive of 20,000 objects over SSH (a branch that is not deployed; lower is better)",
            "OpenSSH sshd + git receive-pack",
        );
    }
    if wanted("creator") {
        creator::measure().await;
    }
}
