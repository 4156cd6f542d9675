//! Service bindings: what an app is given to reach a service by, as files in a folder named for the binding
//! (servicebinding.io; Cloud Native Buildpacks' platform specification, "Bindings").
//!
//! A [`Binding`] that is there keeps every rule, so whoever holds one writes its files without looking again. Its
//! entries may be secrets: no `Debug` shows them.

use crate::newtype::string_newtype;
use rustls_pki_types::pem::{PemObject, SectionKind};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use thiserror::Error;

/// The most bindings of one app.
pub const MAX_BINDINGS: usize = 50;
/// All entries of one binding together, and the limit of a Kubernetes secret, which bindings usually are.
pub const MAX_BINDING_BYTES: usize = 1024 * 1024;
/// The most entries of one binding.
pub const MAX_ENTRIES: usize = 100;
/// The type of a binding whose entries are certificates to trust.
const CA_CERTIFICATES: &str = "ca-certificates";

/// A binding's name: its folder's, as a DNS label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BindingName(String);
string_newtype!(BindingName, BindingError);

/// A binding's type or provider: `postgresql`, `ca-certificates`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BindingWord(String);
string_newtype!(BindingWord, BindingError);

/// The name of an entry: its file's.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryName(String);
string_newtype!(EntryName, BindingError);

/// Why something is no binding. Names entries, and never shows what is in them.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BindingError {
    #[error(
        "a binding's name has 1 to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit"
    )]
    Name,
    #[error("a binding's type or provider has 1 to 100 letters, digits, -, _, . and /")]
    Word,
    #[error(
        "an entry's name has 1 to 253 letters, digits, -, _ and ., and does not begin with a dot or hyphen"
    )]
    Entry,
    #[error("an entry can't be called {0}: that is the file which says the binding's {0}")]
    Reserved(String),
    #[error("a binding has at least one entry")]
    Empty,
    #[error("a binding has at most {MAX_ENTRIES} entries, this one has {0}")]
    TooMany(usize),
    #[error("a binding has at most 1 MiB, this one has {0} bytes")]
    TooLarge(usize),
    #[error(
        "the entry {0} is no certificate: a binding of type ca-certificates holds PEM certificates and nothing else"
    )]
    NoCertificate(EntryName),
}

impl BindingName {
    fn check(text: &str) -> Result<(), BindingError> {
        let is_label = (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        is_label.then_some(()).ok_or(BindingError::Name)
    }
}

impl BindingWord {
    fn check(text: &str) -> Result<(), BindingError> {
        let is_word = (1..=100).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
        is_word.then_some(()).ok_or(BindingError::Word)
    }
}

impl EntryName {
    fn check(text: &str) -> Result<(), BindingError> {
        if matches!(text, "type" | "provider") {
            return Err(BindingError::Reserved(text.to_owned()));
        }
        let is_file = (1..=253).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !text.starts_with(['.', '-']);
        is_file.then_some(()).ok_or(BindingError::Entry)
    }
}

/// A binding that keeps every rule.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    name: BindingName,
    kind: BindingWord,
    provider: Option<BindingWord>,
    entries: BTreeMap<EntryName, Vec<u8>>,
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("provider", &self.provider)
            .field("entries", &self.entries.keys())
            .finish()
    }
}

impl Binding {
    /// Takes a binding.
    ///
    /// # Errors
    /// When it has no entry, too many or too large ones, or, as one of certificates, something else.
    pub fn new(
        name: BindingName,
        kind: BindingWord,
        provider: Option<BindingWord>,
        entries: BTreeMap<EntryName, Vec<u8>>,
    ) -> Result<Self, BindingError> {
        let bytes = entries.values().map(Vec::len).sum();
        match entries.len() {
            0 => return Err(BindingError::Empty),
            more if more > MAX_ENTRIES => return Err(BindingError::TooMany(more)),
            _ if bytes > MAX_BINDING_BYTES => return Err(BindingError::TooLarge(bytes)),
            _ => {}
        }
        let binding = Self {
            name,
            kind,
            provider,
            entries,
        };
        let other = || binding.entries.iter().find(|(_, bytes)| !is_certificates(bytes));
        match other().filter(|_| binding.has_certificates()) {
            Some((name, _)) => Err(BindingError::NoCertificate(name.clone())),
            None => Ok(binding),
        }
    }

    /// Its folder's name.
    #[must_use]
    pub fn name(&self) -> &BindingName {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &BindingWord {
        &self.kind
    }

    /// Its provider.
    #[must_use]
    pub fn provider(&self) -> Option<&BindingWord> {
        self.provider.as_ref()
    }

    /// The secrets themselves.
    #[must_use]
    pub fn reveal(&self) -> &BTreeMap<EntryName, Vec<u8>> {
        &self.entries
    }

    /// All files of its folder: `type`, `provider` and the entries.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let provider = self.provider.as_ref();
        std::iter::once(("type", self.kind.as_str().as_bytes()))
            .chain(provider.map(|word| ("provider", word.as_str().as_bytes())))
            .chain(
                self.entries
                    .iter()
                    .map(|(name, bytes)| (name.as_str(), &bytes[..])),
            )
    }

    /// Whether its entries are certificates to trust. Types are compared without case, as buildpacks do.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        self.kind.as_str().eq_ignore_ascii_case(CA_CERTIFICATES)
    }
}

/// The bundle in which these bindings' certificates are trusted beside those of `base`; `None` when they have none.
#[must_use]
pub fn bundle(bindings: &[Binding], base: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
    let mut with = bindings
        .iter()
        .filter(|binding| binding.has_certificates())
        .peekable();
    with.peek()?;
    let mut bundle = base();
    for entry in with.flat_map(|binding| binding.entries.values()) {
        if bundle.last().is_some_and(|last| *last != b'\n') {
            bundle.push(b'\n');
        }
        bundle.extend_from_slice(entry);
    }
    bundle.push(b'\n');
    Some(bundle)
}

/// One or more PEM certificates, and no section of another kind: what is trusted is shown to everyone.
fn is_certificates(bytes: &[u8]) -> bool {
    let mark = b"-----BEGIN";
    let begun = bytes.windows(mark.len()).filter(|at| at == mark).count();
    let mut certificates = 0;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        match section {
            Ok((SectionKind::Certificate, der)) if is_sequence(&der) => certificates += 1,
            _ => return false,
        }
    }
    certificates > 0 && certificates == begun
}

/// One DER sequence and nothing behind it: what each certificate is.
fn is_sequence(der: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = der else {
        return false;
    };
    let octets = usize::from(first & 0x7f);
    match first & 0x80 {
        0 => rest.len() == usize::from(*first),
        _ if octets == 0 || octets > 4 || rest.len() < octets => false,
        _ => {
            let length = rest[..octets]
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            rest.len() - octets == length
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its content is an empty sequence: enough of a certificate for what looks at PEM alone.
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----";

    fn binding(kind: &str, entries: &[(&str, &str)]) -> Result<Binding, BindingError> {
        let entries = entries.iter();
        Binding::new(
            "db".parse()?,
            kind.parse()?,
            Some("acme".parse()?),
            entries
                .map(|(name, text)| Ok((name.parse()?, text.as_bytes().to_vec())))
                .collect::<Result<_, _>>()?,
        )
    }

    #[test]
    fn names_are_those_of_files_and_folders_and_lead_nowhere_else() {
        for good in ["a", "my-db", "1", &"a".repeat(63)] {
            assert!(good.parse::<BindingName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "-a",
            "a-",
            "a.b",
            "a/b",
            "..",
            "a_b",
            "\u{e9}",
            &"a".repeat(64),
        ] {
            assert_eq!(bad.parse::<BindingName>(), Err(BindingError::Name), "{bad:?}");
        }
        for good in ["username", "ca.pem", "A_b-1"] {
            assert!(good.parse::<EntryName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "-x", "a b", "a\n", "a\0"] {
            assert_eq!(bad.parse::<EntryName>(), Err(BindingError::Entry), "{bad:?}");
        }
        for reserved in ["type", "provider"] {
            assert_eq!(
                reserved.parse::<EntryName>(),
                Err(BindingError::Reserved(reserved.into()))
            );
        }
        for bad in ["", "a b", "a\n"] {
            assert_eq!(bad.parse::<BindingWord>(), Err(BindingError::Word), "{bad:?}");
        }
    }

    #[test]
    fn a_binding_is_its_files_and_shows_none_of_them() {
        let binding = binding("postgresql", &[("password", "s3cret"), ("host", "db")]).unwrap();
        let files: Vec<_> = binding.files().collect();
        assert_eq!(
            files,
            [
                ("type", b"postgresql".as_slice()),
                ("provider", b"acme"),
                ("host", b"db"),
                ("password", b"s3cret")
            ]
        );
        let shown = format!("{binding:?}");
        assert!(shown.contains("password") && !shown.contains("s3cret"), "{shown}");
        // As bytes neither.
        assert!(!shown.contains("115, 51"), "{shown}");
        assert_eq!(super::bundle(&[binding], || unreachable!()), None);
    }

    #[test]
    fn a_binding_is_neither_empty_nor_without_end() {
        assert_eq!(binding("x", &[]), Err(BindingError::Empty));
        let large = "x".repeat(MAX_BINDING_BYTES);
        assert!(binding("x", &[("a", &large)]).is_ok());
        assert_eq!(
            binding("x", &[("a", &large), ("b", "y")]),
            Err(BindingError::TooLarge(MAX_BINDING_BYTES + 1))
        );
        let names: Vec<String> = (0..=MAX_ENTRIES).map(|n| n.to_string()).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(binding("x", &many), Err(BindingError::TooMany(MAX_ENTRIES + 1)));
    }

    #[test]
    fn certificates_are_certificates_and_nothing_besides() {
        let two = format!("a comment\n{PEM}\n\n{PEM}\r\n");
        let good = [binding("CA-Certificates", &[("a", PEM), ("b", &two)]).unwrap()];
        let bundle = bundle(&good, || b"base".to_vec()).unwrap();
        assert_eq!(
            String::from_utf8(bundle).unwrap(),
            format!("base\n{PEM}\n{two}\n")
        );
        let key = format!("{PEM}\n{}", PEM.replace("CERTIFICATE", "PRIVATE KEY"));
        let unknown = format!("{PEM}\n{}", PEM.replace("CERTIFICATE", "ENCRYPTED PRIVATE KEY"));
        let bad = [
            "",
            "hello",
            &PEM[..40],
            &PEM.replace("MAA=", "AAAA"),
            &PEM.replace("MAA=", "MAE="),
            &key,
            &unknown,
        ];
        for bad in bad {
            let refused = binding("ca-certificates", &[("fine", PEM), ("odd", bad)]);
            assert_eq!(
                refused,
                Err(BindingError::NoCertificate("odd".parse().unwrap())),
                "{bad}"
            );
            assert!(binding("other", &[("odd", bad)]).is_ok());
        }
    }
}
