//! What a build by Podman is given to read and never finds in its image: the host's CA bundle, and the config vars that
//! builds may see.
//!
//! Podman 4 takes a build's secrets out of the very tar that the source comes in, and reads them as root. So their
//! files have names that nobody can know before: a pushed file or link of the same name would take their place.

use std::io;

/// The secrets of one build.
pub(crate) struct Secrets {
    /// What their files' names begin with.
    prefix: String,
    /// The ID that a step mounts, and what it reads.
    all: Vec<(String, Vec<u8>)>,
}

impl Secrets {
    pub(crate) fn new(all: Vec<(String, Vec<u8>)>) -> io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let prefix = format!(".pvdify-{}", hex::encode(random));
        Ok(Self { prefix, all })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What the request says of them: IDs and files.
    pub(crate) fn options(&self) -> Vec<String> {
        let options = self.all.iter().zip(self.files());
        options
            .map(|((id, _), file)| format!("id={id},src={file}"))
            .collect()
    }

    /// The beginning of the tar: Podman takes these files out before it builds.
    pub(crate) fn tar(&self) -> io::Result<Vec<u8>> {
        let mut tar = Vec::new();
        for ((_, bytes), file) in self.all.iter().zip(self.files()) {
            let mut header = tar::Header::new_ustar();
            header.set_path(file)?;
            header.set_size(bytes.len() as u64);
            header.set_mode(0o400);
            header.set_cksum();
            tar.extend_from_slice(header.as_bytes());
            tar.extend_from_slice(bytes);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        Ok(tar)
    }

    fn files(&self) -> impl Iterator<Item = String> {
        (0..self.all.len()).map(|index| format!("{}-{index}", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_file_of_the_tar_under_a_name_that_changes() {
        let all = || {
            vec![
                ("a".to_owned(), b"one".to_vec()),
                ("b".to_owned(), vec![b'x'; 600]),
            ]
        };
        let (secrets, other) = (Secrets::new(all()).unwrap(), Secrets::new(all()).unwrap());
        assert_ne!(secrets.options(), other.options());
        let tar = secrets.tar().unwrap();
        let mut read = Vec::new();
        for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            read.push((name, bytes));
        }
        let files: Vec<_> = secrets.files().collect();
        let expected = [
            (files[0].clone(), b"one".to_vec()),
            (files[1].clone(), vec![b'x'; 600]),
        ];
        assert_eq!(read, expected);
        let options = files.iter().zip(["a", "b"]);
        let options: Vec<_> = options.map(|(file, id)| format!("id={id},src={file}")).collect();
        assert_eq!(secrets.options(), options);
        assert!(Secrets::new(Vec::new()).unwrap().is_empty());
    }
}
