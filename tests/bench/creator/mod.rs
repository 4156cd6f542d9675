//! Builds by buildpacks, beside the reference lifecycle's `creator`: the same buildpack in the same build image on the
//! same source, published to the same registry.
//!
//! The peer has what is best for it: no engine between it and the registry, its cache in a folder instead of an image,
//! application and cache exported in parallel, the source laid out before its clock runs, no limits, no network of its
//! own. Both clocks include the start of the container and not its removal: ours ends when the builder gives the image,
//! the peer's with the last line of its output. What the buildpack itself takes is measured by the buildpack, and taken off.

mod buildpack;
mod detection;
mod ours;
mod peer;
mod world;

use crate::{Pairs, median};
use buildpack::Times;
use ours::Ours;
use peer::Peer;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime},
};
use world::World;

/// Rounds, each of them from nothing.
const ROUNDS: usize = 3;
/// What is left of an hour's rest: ext4 gives an inode away again a minute after it was freed, and searches for others
/// until then.
const REST: Duration = Duration::from_secs(90);

/// One build.
pub(super) struct Build {
    began: u128,
    ended: u128,
    times: Times,
}

impl Build {
    /// Runs a build, which gives its output and when its image was there.
    pub(super) async fn run(build: impl Future<Output = (String, u128)>) -> Self {
        // What the other side left to be written would be waited for by the first to write through.
        pvdify_tests::run("sync", &[]);
        let began = now();
        let (output, ended) = build.await;
        let times = Times::find(&output);
        Self { began, ended, times }
    }

    fn overhead(&self) -> Duration {
        between(self.began, self.ended) - between(self.times.began, self.times.ended)
    }

    fn restore(&self) -> Duration {
        between(self.times.detected, self.times.began)
    }

    fn export(&self) -> Duration {
        between(self.times.ended, self.ended)
    }

    fn whole(&self) -> Duration {
        between(self.began, self.ended)
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("it is after 1970").as_nanos()
}

fn between(from: u128, to: u128) -> Duration {
    Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX))
}

/// Bytes on the disk of all files below a folder.
fn on_disk(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        bytes += meta.blocks() * 512;
        if meta.is_dir() {
            bytes += on_disk(&entry.path());
        }
    }
    bytes
}

#[derive(Default)]
struct Results {
    cold: Vec<(Build, Build)>,
    unchanged: Vec<(Build, Build)>,
    changed: Vec<(Build, Build)>,
    /// The first one after a rest.
    rested: Vec<(Build, Build)>,
    disk: Vec<(f64, f64)>,
    disk_at_rest: Vec<(f64, f64)>,
}

pub(crate) async fn measure() {
    let Some(reference) = pvdify_tests::reference() else {
        println!("beside the reference lifecycle: left out, as it can't be built here");
        return;
    };
    let world = World::start(&reference).await;
    detection::measure(&world).print(
        "detection by all our buildpacks, in the build container (lower is better)",
        "reference detector, same buildpacks and order",
    );
    let container = median(detection::empty_container(&world).into_iter());
    println!(
        "a container of the build image that does nothing: {container:.2} s; it is in both sides of what follows"
    );
    let mut results = Results::default();
    let mut resting = Vec::new();
    for round in 0..ROUNDS {
        let ours = Ours::new(&world, round);
        let peer = Peer::new(&world, round);
        world.write_source("one");
        results.cold.push(both(&ours, &peer, round).await);
        results.unchanged.push(both(&ours, &peer, round).await);
        world.write_source("two");
        results.changed.push(both(&ours, &peer, round).await);
        let disk = || (on_disk(&ours.cache()) as f64, on_disk(&peer.cache()) as f64);
        results.disk.push(disk());
        ours.rest().await;
        results.disk_at_rest.push(disk());
        resting.push((ours, peer));
        eprintln!("       round {} of {ROUNDS} is done", round + 1);
    }
    tokio::time::sleep(REST).await;
    for (round, (ours, peer)) in resting.iter().enumerate() {
        results.rested.push(both(ours, peer, round).await);
    }
    print(
        "no-change rebuild, all but bin/build",
        &results.unchanged,
        Build::overhead,
    );
    print(
        "no-change rebuild, all but bin/build, after an hour's rest",
        &results.rested,
        Build::overhead,
    );
    print(
        "rebuild after a change of the code",
        &results.changed,
        Build::whole,
    );
    print(
        "cold export, from the end of bin/build on",
        &results.cold,
        Build::export,
    );
    print(
        "restore, from bin/detect's end to bin/build's begin",
        &results.unchanged,
        Build::restore,
    );
    print_disk("what is kept on disk for the next build", &results.disk);
    print_disk("the same once the app is at rest", &results.disk_at_rest);
}

fn print_disk(what: &str, results: &[(f64, f64)]) {
    let side = |side: fn(&(f64, f64)) -> f64| median(results.iter().map(side)) / 1e6;
    let (ours, theirs) = (side(|it| it.0), side(|it| it.1));
    println!("{what} (lower is better)");
    println!(
        "    pvdify {ours:.0} MB, reference {theirs:.0} MB: ratio {:.2}",
        ours / theirs
    );
}

/// One build of each side, in turn.
async fn both(ours: &Ours<'_>, peer: &Peer<'_>, round: usize) -> (Build, Build) {
    if round.is_multiple_of(2) {
        let own = ours.build().await;
        (own, peer.build().await)
    } else {
        let other = peer.build().await;
        (ours.build().await, other)
    }
}

fn print(what: &str, builds: &[(Build, Build)], part: fn(&Build) -> Duration) {
    let pairs = builds.iter().map(|(ours, peer)| (part(ours), part(peer)));
    Pairs(pairs.collect()).print(
        &format!("{what}, of an app of 200 MB (lower is better)"),
        "reference creator",
    );
}
