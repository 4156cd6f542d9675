//! The site's layer: its files, their compressed forms and `site.json`, made anew only when any of it changes.

use crate::{
    StaticBuildpack, compress,
    manifest::{Config, File, Manifest, VERSION},
    tree::{Found, Tree},
    types,
};
use buildpack_support::{Failure, Result, files, layer, output};
use libcnb::{build::BuildContext, data::layer_name, layer_env::LayerEnv};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

// A file up to this size is read at once.
const WHOLE: u64 = 64 * 1024 * 1024;

/// What the layer depends on.
#[derive(Serialize, Deserialize, PartialEq)]
struct Key {
    /// Raised when the same files would be made into another layer.
    form: u32,
    files: String,
    config: String,
}

/// A file that was looked at.
struct Looked {
    hash: String,
    size: u64,
    kind: types::Kind,
}

/// Makes or keeps the layer; gives its folder.
pub(crate) fn make(
    context: &BuildContext<StaticBuildpack>,
    tree: &Tree,
    config: Config,
    charset: &str,
    is_bundled: bool,
) -> Result<PathBuf> {
    let looked = tree
        .files
        .iter()
        .map(|file| look(file, charset))
        .collect::<Result<Vec<_>>>()?;
    let mut hasher = Sha256::new();
    for (found, looked) in tree.files.iter().zip(&looked) {
        hasher.update(format!(
            "{}\0{}\0{}\n",
            found.path, looked.hash, looked.kind.header
        ));
    }
    let config_text = serde_json::to_string(&config).unwrap_or_default();
    let spec = layer::Spec {
        name: layer_name!("site"),
        title: "Site",
        build: false,
        launch: true,
        key: Key {
            form: 1,
            files: hex::encode(hasher.finalize()),
            config: format!("{config_text} {is_bundled}"),
        },
    };
    let cache = layer::cache(context, layer_name!("compressed"), 1_u32)?;
    let made = layer::keyed(context, &spec, |layer| {
        let forms = compressed(&cache, tree, &looked)?;
        let mut files = BTreeMap::new();
        for (found, looked) in tree.files.iter().zip(&looked) {
            copy(&found.source, &layer.join("files").join(&found.path))?;
            let codings = forms.get(&looked.hash).cloned().unwrap_or_default();
            for coding in codings.keys() {
                let from = compress::place(&cache, &looked.hash, coding);
                copy(&from, &layer.join(coding).join(&found.path))?;
            }
            let file = File {
                size: looked.size,
                etag: looked.hash[..32].to_owned(),
                content_type: looked.kind.header.clone(),
                immutable: types::has_hash(&found.path, is_bundled),
                codings,
            };
            files.insert(found.path.clone(), file);
        }
        let manifest = Manifest {
            version: VERSION,
            files,
            config,
        };
        let text = serde_json::to_vec(&manifest).map_err(|error| {
            Failure::new(
                "The site's description can't be written",
                format!("{error}."),
                "This is no fault of your app: tell the server's administrator.",
            )
        })?;
        files::write(&layer.join("site.json"), text)?;
        Ok(LayerEnv::new())
    })?;
    Ok(made.path)
}

fn compressed(
    cache: &Path,
    tree: &Tree,
    looked: &[Looked],
) -> Result<BTreeMap<String, BTreeMap<&'static str, u64>>> {
    let jobs: Vec<_> = tree
        .files
        .iter()
        .zip(looked)
        .filter(|(_, looked)| looked.kind.is_compressible && compress::is_worth(looked.size))
        .map(|(found, looked)| compress::Job {
            hash: looked.hash.clone(),
            source: found.source.clone(),
            size: looked.size,
        })
        .collect();
    let (count, plain) = (jobs.len(), jobs.iter().map(|job| job.size).sum());
    let sizes: BTreeMap<String, u64> = jobs.iter().map(|job| (job.hash.clone(), job.size)).collect();
    let outcome = compress::all(cache, jobs)?;
    if count > 0 {
        // What a browser gets: the smallest form of each.
        let sent: u64 = tree
            .files
            .iter()
            .zip(looked)
            .filter_map(|(_, looked)| {
                let size = sizes.get(&looked.hash)?;
                let forms = outcome.sizes.get(&looked.hash)?;
                Some(forms.values().min().copied().unwrap_or(*size))
            })
            .sum();
        let old = sizes.len() - outcome.new;
        let remembered = if old > 0 {
            format!(", {old} from the cache")
        } else {
            String::new()
        };
        output::detail(format!(
            "Compressed {}{remembered}: {} become {}",
            output::count(count, "file"),
            output::size(plain),
            output::size(sent)
        ));
    }
    Ok(outcome.sizes)
}

fn look(found: &Found, charset: &str) -> Result<Looked> {
    looked(found, charset).map_err(|error| Failure::io("read", &found.source, &error))
}

fn looked(found: &Found, charset: &str) -> io::Result<Looked> {
    let mut file = fs::File::open(&found.source)?;
    let size = file.metadata()?.len();
    let mut hasher = Sha256::new();
    let mut start = Vec::new();
    let limit = if size <= WHOLE { size } else { 4096 };
    Read::by_ref(&mut file).take(limit).read_to_end(&mut start)?;
    hasher.update(&start);
    let mut buffer = vec![0; 256 * 1024];
    let mut seen = start.len() as u64;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                seen += read as u64;
            }
        }
    }
    Ok(Looked {
        hash: hex::encode(hasher.finalize()),
        size: seen,
        kind: types::of(&found.path, &start, charset),
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        files::make_dir(folder)?;
    }
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| Failure::io("write", to, &error))?;
    // All may read it, whatever it was in the source.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(to, readable).map_err(|error| Failure::io("write", to, &error))
}
