//! Getting what is named and not here: from outside, or out of the pushed source itself.

use super::Came;
use crate::{
    BuildError,
    buildpacks::{
        adopt::{self, Adopted, Tree},
        fetch::{self, Fetcher},
    },
    choose::{Wanted, check_of_source},
};
use pvdify_cnb::project::{Project, ProjectSource};
use pvdify_types::{BuildpackKind, BuildpackName};
use std::{fs, path::Path};

/// Gets all that is named and not here.
pub(crate) async fn gather(
    wanted: &Wanted,
    project: &Project,
    source: &Path,
    fetcher: &Fetcher<'_>,
    own: &Path,
) -> Result<Came, BuildError> {
    let mut came = Came::new();
    let named: &[BuildpackName] = match wanted {
        Wanted::Named(names) => names,
        Wanted::Detected | Wanted::Project(_) => &[],
    };
    let of_project = match wanted {
        Wanted::Project(buildpacks) => &buildpacks[..],
        Wanted::Detected | Wanted::Named(_) => &[],
    };
    let uris = project.pre.iter().chain(of_project).chain(&project.post);
    let uris = uris.filter_map(|one| match &one.source {
        ProjectSource::Uri(uri) => Some(uri),
        _ => None,
    });
    for name in named {
        if !came.contains_key(name.as_str()) && !matches!(name.kind(), BuildpackKind::Id { .. }) {
            let tree = fetcher.fetch(name, came.len()).await?;
            came.insert(name.to_string(), adopted(tree, own).await?);
        }
    }
    for uri in uris {
        if came.contains_key(uri) {
            continue;
        }
        let tree = match uri.parse::<BuildpackName>() {
            Ok(name) if matches!(name.kind(), BuildpackKind::Id { .. }) => {
                match of_source(uri, source, fetcher, came.len()).await? {
                    Some(tree) => tree,
                    // It is one of those that are here, or will be said not to be.
                    None => continue,
                }
            }
            Ok(name) => {
                check_of_source(&name)
                    .map_err(|error| BuildError::Refused(format!("project.toml: {error}")))?;
                fetcher.fetch(&name, came.len()).await?
            }
            Err(error) => match of_source(uri, source, fetcher, came.len()).await? {
                Some(tree) => tree,
                None => {
                    return Err(BuildError::Refused(format!(
                        "project.toml: the buildpack {uri}: {error}"
                    )));
                }
            },
        };
        came.insert(uri.clone(), adopted(tree, own).await?);
    }
    Ok(came)
}

async fn adopted(tree: Tree, own: &Path) -> Result<Adopted, BuildError> {
    let own = own.to_owned();
    tokio::task::spawn_blocking(move || adopt::adopt(&tree, &own))
        .await
        .map_err(BuildError::unavailable)?
}

/// A buildpack in the pushed source itself; nothing if there is no such folder.
async fn of_source(
    uri: &str,
    source: &Path,
    fetcher: &Fetcher<'_>,
    number: usize,
) -> Result<Option<Tree>, BuildError> {
    let path = uri.trim_start_matches("./").trim_end_matches('/');
    let is_plain = !path.is_empty()
        && !path.contains(':')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    // The name by which its classic kind would be known: what an ID looks like, and no version.
    let Some(name) = is_plain.then(|| path.parse::<BuildpackName>().ok()).flatten() else {
        return Ok(None);
    };
    let folder = fetcher.folder.join(number.to_string()).join("tree");
    let (source, path, to) = (source.to_owned(), path.to_owned(), folder.clone());
    let taken = tokio::task::spawn_blocking(move || fetch::from_source(&source, &path, &to)).await;
    taken
        .map_err(BuildError::unavailable)?
        .map_err(|error| BuildError::Refused(format!("project.toml: the buildpack {uri}: {error}")))?;
    let is_there = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    if !is_there {
        fs::remove_dir(&folder).map_err(BuildError::disk)?;
        return Ok(None);
    }
    Ok(Some(Tree {
        name,
        folder,
        what: String::new(),
        top: None,
    }))
}
