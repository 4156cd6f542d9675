//! The layers of a plan become blobs of the repository: taken as they are, or packed several at a time.

use super::{
    Export,
    known::{Known, KnownBlob, KnownLayer},
    pack::{Packed, Packer},
    parallel::{in_parallel, processors},
    plan::{Content, Part, Plan, Role},
    report::{How, LayerReport},
    stored::{Descriptor, Layer},
};
use crate::BuildError;
use pvdify_registry::{Store, StoreError};
use std::{collections::BTreeMap, sync::atomic::AtomicBool};

/// A layer of this size is worth several threads that compress.
const LARGE: u64 = 16 * 1024 * 1024;

/// What the last export stored in a part's place, if it may be taken again.
pub(crate) enum Candidate {
    None,
    /// These very files: taken.
    Same(KnownBlob),
    /// Files of the same names and sizes: to be read.
    Alike(KnownBlob),
}

/// Looks for what is stored already.
pub(crate) async fn candidates(
    export: &Export,
    plan: &Plan,
    store: &Store,
    known: &Known,
) -> Result<Vec<Candidate>, BuildError> {
    let mut candidates = Vec::new();
    for part in &plan.parts {
        let known = known.layer(&part.key);
        let blob = known.and_then(|known| known.blob.as_ref());
        let blob = blob.filter(|blob| blob.media_type == export.compression.media_type());
        let (Some(known), Some(blob)) = (known, blob) else {
            candidates.push(Candidate::None);
            continue;
        };
        let is_same = part.fingerprint.is_some() && part.fingerprint == known.fingerprint;
        let is_alike = known.shape.as_ref() == Some(&part.shape);
        let is_stored = (is_same || is_alike) && store.has_blob(&export.repository, &blob.digest).await?;
        candidates.push(match (is_stored, is_same) {
            (false, _) => Candidate::None,
            (true, true) => Candidate::Same(blob.clone()),
            (true, false) => Candidate::Alike(blob.clone()),
        });
    }
    Ok(candidates)
}

/// Packs what has to be, in the plan's order; nothing of it is in the repository yet.
pub(crate) fn pack(
    export: &Export,
    plan: &Plan,
    candidates: &[Candidate],
    store: &Store,
    cancelled: &AtomicBool,
) -> Result<Vec<Option<Packed>>, BuildError> {
    let packer = Packer {
        store,
        compression: export.compression,
        owner: export.owner,
        cancelled,
    };
    let mut work: Vec<(usize, &Part, &Candidate)> = Vec::new();
    for (at, (part, candidate)) in plan.parts.iter().zip(candidates).enumerate() {
        work.push((at, part, candidate));
    }
    // The largest first, so that none is left alone at the end.
    work.sort_by_key(|(_, part, _)| std::cmp::Reverse(part.bytes));
    let large = work.iter().filter(|(_, part, _)| part.bytes >= LARGE).count();
    let workers = processors() / large.clamp(1, processors());
    let mut packed = in_parallel(&work, |(at, part, candidate)| {
        let packed = match (&part.content, candidate) {
            (Content::Previous(_), _) | (_, Candidate::Same(_)) => Ok(None),
            (content, Candidate::Alike(blob)) => packer.pack(content, Some(blob), workers).map(Some),
            (content, Candidate::None) => packer.pack(content, None, workers).map(Some),
        };
        (*at, packed)
    });
    packed.sort_by_key(|(at, _)| *at);
    let all: Result<_, StoreError> = packed.into_iter().map(|(_, packed)| packed).collect();
    Ok(all?)
}

/// A layer that is in the repository.
pub(crate) struct Made {
    pub(crate) layer: Layer,
    pub(crate) report: LayerReport,
}

/// Gives a packed layer to the repository.
pub(crate) async fn keep(
    part: &Part,
    candidate: &Candidate,
    packed: Option<Packed>,
    export: &Export,
    store: &Store,
) -> Result<Made, BuildError> {
    let (how, layer) = match (packed, candidate, &part.content) {
        (Some(Packed::New { diff_id, blob }), ..) => {
            let known = KnownBlob {
                diff_id,
                digest: blob.digest().clone(),
                size: blob.size(),
                media_type: export.compression.media_type().to_owned(),
            };
            store.keep_blob(&export.repository, blob).await?;
            (How::New, layer(known))
        }
        (Some(Packed::Same(known)), ..) => (How::Unchanged, layer(known)),
        (None, Candidate::Same(known), _) => (How::Untouched, layer(known.clone())),
        (None, _, Content::Previous(layer)) => (How::FromPreviousImage, layer.clone()),
        (None, ..) => return Err(BuildError::unavailable("a layer was lost on its way: push again")),
    };
    let report = LayerReport {
        name: part.key.clone(),
        how,
        size: layer.blob.size,
    };
    Ok(Made { layer, report })
}

fn layer(known: KnownBlob) -> Layer {
    Layer {
        diff_id: known.diff_id.to_string(),
        blob: Descriptor {
            media_type: known.media_type,
            digest: known.digest.to_string(),
            size: known.size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
        },
    }
}

/// What the next export may know.
pub(crate) fn known(plan: &Plan, made: &[Made]) -> BTreeMap<String, KnownLayer> {
    let mut known = plan.caches.clone();
    for (part, made) in plan.parts.iter().zip(made) {
        if matches!(part.content, Content::Previous(_)) {
            continue;
        }
        let blob = &made.layer.blob;
        let (Ok(diff_id), Ok(digest)) = (made.layer.diff_id.parse(), blob.digest.parse()) else {
            continue;
        };
        let is_folder = matches!(part.role, Role::Buildpack(..));
        let layer = KnownLayer {
            fingerprint: part.fingerprint.clone().filter(|_| is_folder),
            shape: Some(part.shape.clone()),
            cache_only: false,
            blob: Some(KnownBlob {
                diff_id,
                digest,
                size: blob.size,
                media_type: blob.media_type.clone(),
            }),
        };
        known.insert(part.key.clone(), layer);
    }
    known
}
