//! Bytecode of the copied standard library, from the image's own.
//!
//! What a Debian package's script compiled is valid for a file of one exact time, and in an image all times are
//! the same. A header that says "valid, do not check" (PEP 552) makes it valid there; nothing is compiled.

use buildpack_support::{Failure, Result};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

const HEADER: usize = 16;
// Bit 0: by hash, not by time; bit 1, which would ask for the hash to be compared, is not set.
const UNCHECKED: [u8; 4] = [1, 0, 0, 0];

/// For each source file below `layer/folder`, the bytecode that the image has for `/folder`'s, where it is right.
pub(crate) fn adopt(layer: &Path, folder: &str) -> Result<()> {
    let root = layer.join(folder);
    walk(&root, &Path::new("/").join(folder)).map_err(|error| Failure::io("write bytecode in", &root, &error))
}

fn walk(to: &Path, from: &Path) -> io::Result<()> {
    for compiled in fs::read_dir(from.join("__pycache__")).into_iter().flatten() {
        let path = compiled?.path();
        let Some(name) = source(&path) else { continue };
        if !to.join(&name).is_file() {
            continue;
        }
        let metadata = fs::metadata(from.join(&name))?;
        if let Some(bytes) = unchecked(fs::read(&path)?, metadata.mtime(), metadata.len()) {
            let folder = to.join("__pycache__");
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(path.file_name().unwrap_or_default()), bytes)?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != "__pycache__" {
            walk(&entry.path(), &from.join(entry.file_name()))?;
        }
    }
    Ok(())
}

// `os.py` of `os.cpython-313.pyc`; optimised ones (`.opt-1.pyc`) are not used.
fn source(compiled: &Path) -> Option<PathBuf> {
    let name = compiled.file_name()?.to_str()?.strip_suffix(".pyc")?;
    let (module, tag) = name.rsplit_once('.')?;
    tag.starts_with("cpython-")
        .then(|| PathBuf::from(format!("{module}.py")))
}

// The same bytecode with the header changed, if it belongs to the source.
fn unchecked(mut bytes: Vec<u8>, time: i64, size: u64) -> Option<Vec<u8>> {
    if bytes.len() < HEADER || bytes[4..8] != [0; 4] {
        return None;
    }
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    // Python keeps the lower 32 bits of both.
    let is_its = u64::from(number(8)) == u64::try_from(time).ok()? & 0xffff_ffff
        && u64::from(number(12)) == size & 0xffff_ffff;
    if !is_its {
        return None;
    }
    bytes[4..8].copy_from_slice(&UNCHECKED);
    bytes[8..HEADER].fill(0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytecode_of_this_very_source_is_taken() {
        let mut bytes = vec![0xa7, 0x0d, 0x0d, 0x0a, 0, 0, 0, 0];
        bytes.extend(1_700_000_000_u32.to_le_bytes());
        bytes.extend(42_u32.to_le_bytes());
        bytes.extend(b"code");
        let changed = unchecked(bytes.clone(), 1_700_000_000, 42).unwrap();
        assert_eq!(changed[..8], [0xa7, 0x0d, 0x0d, 0x0a, 1, 0, 0, 0]);
        assert_eq!((&changed[8..16], &changed[16..]), (&[0; 8][..], &b"code"[..]));
        assert_eq!(unchecked(bytes.clone(), 1_700_000_001, 42), None);
        assert_eq!(unchecked(bytes.clone(), 1_700_000_000, 41), None);
        assert_eq!(unchecked(changed, 1_700_000_000, 42), None);
        assert_eq!(unchecked(vec![0; 3], 0, 0), None);
    }

    #[test]
    fn a_module_is_known_by_the_name_of_its_bytecode() {
        assert_eq!(source(Path::new("x/os.cpython-313.pyc")), Some("os.py".into()));
        assert_eq!(source(Path::new("x/os.cpython-313.opt-1.pyc")), None);
        assert_eq!(source(Path::new("x/os.py")), None);
    }
}
