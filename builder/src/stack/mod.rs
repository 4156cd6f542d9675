//! The stack: the image that apps run on and the image that they are built in.
//!
//! [`build`] makes both in Podman's storage, from Debian 13 packages ([`bootstrap`]) or on an image of somebody else
//! ([`layered`]), unless they are there as the recipe ([`recipe`]) says. Asked for the newest, it makes them anew and
//! says which packages changed. `publish` puts the run image into our registry, where apps' images stand on its
//! layers.
//!
//! What always holds: the two names change when the new image is whole, and only if something in it is different;
//! nothing of how this host reaches its mirrors stays in an image but the mirrors' addresses.

mod bootstrap;
mod layered;
mod packages;
mod publish;
mod recipe;
mod sources;
mod storage;

pub use publish::{Published, RESERVED_PREFIX, RUN_REPOSITORY, RUN_TAG};
pub use recipe::{BUILD_IMAGE, Base, RUN_IMAGE};

use crate::podman::{Libpod, PodmanError};
use recipe::Image;
use std::{io, path::PathBuf};
use storage::Stored;
use thiserror::Error;
use tokio::sync::mpsc;

/// Packages named of one image's changes.
const SHOWN: usize = 40;
/// Behind an image's name while it is not known whether it will have it.
const CANDIDATE: &str = "-new";

/// How the images are made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What they stand on; `None`: what they stand on now, or else Debian's packages.
    pub base: Option<Base>,
    /// A Debian mirror's address instead of those of this host's apt.
    pub mirror: Option<String>,
    /// Where the folder for what is made on the way is made.
    pub temporary: PathBuf,
    /// A CA bundle that is trusted while packages are fetched inside a container.
    pub ca: Option<PathBuf>,
    /// Whether they are made also when they are there, of the newest packages.
    pub newest: bool,
    /// The date for their labels.
    pub released: String,
}

/// Why there are no images: what failed, and what to do.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{cause}\n{remedy}")]
pub struct StackError {
    /// One line.
    pub cause: String,
    /// One line.
    pub remedy: String,
}

impl StackError {
    fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }

    fn disk(error: &io::Error) -> Self {
        Self::new(
            format!("the base images' files can't be written: {error}"),
            "free some space, or set TMPDIR to a folder that can be written",
        )
    }
}

impl From<PodmanError> for StackError {
    fn from(error: PodmanError) -> Self {
        Self::new(error.to_string(), "see what this host lacks: pvdifyd doctor")
    }
}

/// Makes both images, unless they are there; says whether one changed.
///
/// Dropping the future ends the work and waits until it cleaned up.
///
/// # Errors
/// [`StackError`]; the names then stand for the images that they stood for.
pub async fn build(
    podman: &Libpod,
    options: &Options,
    output: &mpsc::Sender<String>,
) -> Result<bool, StackError> {
    let (run, build) = (find(podman, Image::Run).await?, find(podman, Image::Build).await?);
    let base = options.base.clone().unwrap_or_else(|| present_base(run.as_ref()));
    let stamp = recipe::stamp(&base);
    let is_made = |image: &Option<Stored>| {
        image
            .as_ref()
            .is_some_and(|image| image.label(recipe::STAMP) == Some(&stamp))
    };
    if !options.newest && is_made(&run) && is_made(&build) {
        say(
            output,
            format!("       Base images are there: {RUN_IMAGE}, {BUILD_IMAGE}"),
        )
        .await;
        return Ok(false);
    }
    say(
        output,
        format!("-----> Making the base images from {}", described(&base)),
    )
    .await;
    let work = tempfile_in(&options.temporary)?;
    match &base {
        Base::Packages => from_packages(podman, &work.0, &stamp, options, output).await?,
        Base::Image(image) => from_image(podman, image, &base, &stamp, options, output).await?,
    }
    let mut changed = false;
    for image in Image::BOTH {
        changed |= take(podman, image, &stamp, output).await?;
    }
    Ok(changed)
}

async fn find(podman: &Libpod, image: Image) -> Result<Option<Stored>, PodmanError> {
    storage::find(podman, image.name()).await
}

fn present_base(run: Option<&Stored>) -> Base {
    run.and_then(|image| image.label(recipe::FROM))
        .map_or(Base::Packages, Base::named)
}

fn described(base: &Base) -> String {
    match base {
        Base::Packages => "Debian 13 packages (a few minutes)".to_owned(),
        Base::Image(image) => format!("the image {image}"),
    }
}

async fn from_packages(
    podman: &Libpod,
    work: &std::path::Path,
    stamp: &str,
    options: &Options,
    output: &mpsc::Sender<String>,
) -> Result<(), StackError> {
    let archives = bootstrap::run(work, options, output).await?;
    say(output, "       importing into Podman").await;
    for image in Image::BOTH {
        let distribution = recipe::Distribution::debian_13();
        let labels = recipe::labels(image, &Base::Packages, &distribution, stamp, &options.released);
        let instructions = bootstrap::instructions(&labels);
        storage::import(podman, archives.of(image), &candidate(image), &instructions).await?;
    }
    Ok(())
}

async fn from_image(
    podman: &Libpod,
    name: &str,
    base: &Base,
    stamp: &str,
    options: &Options,
    output: &mpsc::Sender<String>,
) -> Result<(), StackError> {
    let found = layered::find(podman, name, options, output).await?;
    let mut below = found.id.clone();
    for image in Image::BOTH {
        let labels = recipe::labels(image, base, &found.distribution, stamp, &options.released);
        let to = candidate(image);
        layered::build(podman, image, &below, &to, &labels, options, output).await?;
        below = podman
            .image_id(&to)
            .await?
            .ok_or_else(|| StackError::new(format!("Podman lost {to}"), "run the command again"))?;
    }
    Ok(())
}

fn candidate(image: Image) -> String {
    format!("{}{CANDIDATE}", image.name())
}

/// A candidate takes the name, unless it is what has it already; says whether it did.
async fn take(
    podman: &Libpod,
    image: Image,
    stamp: &str,
    output: &mpsc::Sender<String>,
) -> Result<bool, StackError> {
    let (new, name) = (candidate(image), image.name());
    let before = find(podman, image).await?;
    let mut changes = Vec::new();
    if let Some(before) = &before {
        changes = packages::changes(
            &packages_of(podman, &before.id).await?,
            &packages_of(podman, &new).await?,
        );
        if changes.is_empty() && before.label(recipe::STAMP) == Some(stamp) {
            podman.remove_image(&new, false).await?;
            say(output, format!("       {name} is of the newest packages already")).await;
            return Ok(false);
        }
    }
    storage::replace(podman, name, &new).await?;
    let size = find(podman, image).await?.map_or(0, |image| image.size);
    let count = match (before.is_some(), changes.len()) {
        (false, _) => String::new(),
        (true, 1) => ", 1 package changed".to_owned(),
        (true, count) => format!(", {count} packages changed"),
    };
    say(output, format!("       {name} {} MB{count}", size / 1_000_000)).await;
    for line in changes.iter().take(SHOWN) {
        say(output, format!("         {line}")).await;
    }
    if changes.len() > SHOWN {
        say(output, format!("         and {} more", changes.len() - SHOWN)).await;
    }
    Ok(true)
}

async fn packages_of(podman: &Libpod, image: &str) -> Result<packages::Packages, PodmanError> {
    let status = storage::read_file(podman, image, packages::STATUS).await?;
    Ok(packages::installed(&status.unwrap_or_default()))
}

async fn say(output: &mpsc::Sender<String>, line: impl Into<String>) {
    // Nobody may be listening any more; the work goes on all the same.
    output.send(line.into()).await.ok();
}

/// A folder of one run's own, removed with it.
struct Work(PathBuf);

impl Drop for Work {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn tempfile_in(folder: &std::path::Path) -> Result<Work, StackError> {
    let work = folder.join(format!("pvdify-stack-{}", std::process::id()));
    std::fs::create_dir(&work).map_err(|error| StackError::disk(&error))?;
    Ok(Work(work))
}
