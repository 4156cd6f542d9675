//! The refs of one repository, kept in `packed-refs` alone.
//!
//! One file makes a push's ref updates one transaction in the strict sense: written beside, synced, renamed,
//! folder synced, so that after a crash all of them are there or none. (Loose refs, git's usual form, are
//! one rename each.) The file is git's own format: any git program reads the repository. Callers hold the
//! app's turn, so the set that was advertised is still the set that is replaced.

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice},
};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

/// `sorted` lets readers bisect. Not `peeled`: that would promise a `^` line below each annotated tag.
const HEADER: &str = "# pack-refs with: sorted \n";

/// Name to object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refs(BTreeMap<BString, ObjectId>);

impl Refs {
    /// Reads the refs of the bare repository at `git_dir`.
    pub(crate) fn read(git_dir: &Path) -> io::Result<Self> {
        match fs::read(git_dir.join("packed-refs")) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &[u8]) -> io::Result<Self> {
        let mut refs = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.starts_with(b"#") && !line.starts_with(b"^"))
        {
            let parsed = line
                .split_once_str(" ")
                .and_then(|(id, name)| Some((BString::from(name), ObjectId::from_hex(id).ok()?)));
            let (name, id) = parsed
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "packed-refs: unreadable line"))?;
            refs.insert(name, id);
        }
        Ok(Self(refs))
    }

    /// Replaces the refs on disk by these, all or none, durably.
    pub(crate) fn write(&self, git_dir: &Path) -> io::Result<()> {
        let mut text = HEADER.as_bytes().to_vec();
        for (name, id) in &self.0 {
            text.extend_from_slice(format!("{id} ").as_bytes());
            text.extend_from_slice(name);
            text.push(b'\n');
        }
        let lock = git_dir.join("packed-refs.lock");
        let written = fs::File::create(&lock).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        let moved = written.and_then(|()| fs::rename(&lock, git_dir.join("packed-refs")));
        if moved.is_err() && lock.exists() {
            fs::remove_file(&lock)?;
        }
        moved?;
        fs::File::open(git_dir)?.sync_all()
    }

    pub(crate) fn get(&self, name: &BStr) -> Option<ObjectId> {
        self.0.get(name).copied()
    }

    /// Sets a ref, or removes it when `id` is null.
    pub(crate) fn set(&mut self, name: &BStr, id: ObjectId) {
        if id.is_null() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), id);
        }
    }

    /// In name order, as they are advertised.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&BStr, ObjectId)> {
        self.0.iter().map(|(name, id)| (name.as_bstr(), *id))
    }

    /// A ref that can't exist beside `name`, because one would be a folder in the other's place.
    pub(crate) fn conflict(&self, name: &BStr) -> Option<&BStr> {
        let above = name
            .char_indices()
            .filter(|(_, _, c)| *c == '/')
            .find_map(|(at, _, _)| self.0.get_key_value(name[..at].as_bstr()));
        let mut below = name.to_owned();
        below.push(b'/');
        let first_below = self.0.range(below.clone()..).next();
        above
            .map(|(found, _)| found)
            .or_else(|| {
                first_below
                    .map(|(found, _)| found)
                    .filter(|found| found.starts_with(&below))
            })
            .map(|found| found.as_bstr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_and_null_removes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Refs::read(dir.path()).unwrap(), Refs::default());
        let mut refs = Refs::default();
        refs.set("refs/heads/main".into(), id('1'));
        refs.set("refs/tags/v1".into(), id('2'));
        refs.write(dir.path()).unwrap();
        assert_eq!(Refs::read(dir.path()).unwrap(), refs);
        refs.set("refs/tags/v1".into(), id('0'));
        refs.write(dir.path()).unwrap();
        assert_eq!(Refs::read(dir.path()).unwrap().get("refs/tags/v1".into()), None);
        assert!(!dir.path().join("packed-refs.lock").exists());
    }

    #[test]
    fn what_git_itself_packed_is_read_and_damage_is_told() {
        let git = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{} refs/tags/v1\n^{}\n",
            id('1'),
            id('2')
        );
        assert_eq!(
            Refs::parse(git.as_bytes()).unwrap().get("refs/tags/v1".into()),
            Some(id('1'))
        );
        assert!(Refs::parse(b"nonsense\n").is_err());
    }

    #[test]
    fn a_ref_can_not_be_a_folder_as_well() {
        let mut refs = Refs::default();
        refs.set("refs/heads/a/b".into(), id('1'));
        assert!(refs.conflict("refs/heads/a".into()).is_some());
        assert!(refs.conflict("refs/heads/a/b/c".into()).is_some());
        for fits in [
            "refs/heads/a/b",
            "refs/heads/a/c",
            "refs/heads/ab",
            "refs/heads/a/bc",
        ] {
            assert_eq!(refs.conflict(fits.into()), None, "{fits}");
        }
    }
}
