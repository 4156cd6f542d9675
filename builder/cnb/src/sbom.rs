//! SBOM files: `<layer>.sbom.<ext>`, `launch.sbom.<ext>`, `build.sbom.<ext>` (buildpack.md,
//! "Software-Bill-of-Materials").

/// A format that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// CycloneDX.
    CycloneDx,
    /// SPDX.
    Spdx,
    /// Syft's own.
    Syft,
}

/// All formats.
pub const FORMATS: [Format; 3] = [Format::CycloneDx, Format::Spdx, Format::Syft];

impl Format {
    /// As `sbom-formats` of a buildpack.toml lists it.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
            Self::Syft => "application/vnd.syft+json",
        }
    }

    /// The file's name in `<layers>/sbom/...`, and the end of its name in a buildpack's folder.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::CycloneDx => "sbom.cdx.json",
            Self::Spdx => "sbom.spdx.json",
            Self::Syft => "sbom.syft.json",
        }
    }
}

/// What an SBOM file in a buildpack's folder is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// `launch.sbom.*`: the app beside the layers.
    Launch,
    /// `build.sbom.*`: the build beside the layers.
    Build,
    /// One layer.
    Layer(&'a str),
}

/// Whose SBOM a file of this name is, and its format if that is known; nothing if it is no SBOM.
#[must_use]
pub fn parse(file_name: &str) -> Option<(Owner<'_>, Option<Format>)> {
    let of_known = FORMATS.into_iter().find_map(|format| {
        let owner = file_name.strip_suffix(format.file_name())?.strip_suffix('.')?;
        Some((owner, Some(format)))
    });
    let of_unknown = || {
        let (owner, format) = file_name.strip_suffix(".json")?.rsplit_once(".sbom.")?;
        (!format.is_empty()).then_some((owner, None))
    };
    let (owner, format) = of_known
        .or_else(of_unknown)
        .filter(|(owner, _)| !owner.is_empty())?;
    let owner = match owner {
        "launch" => Owner::Launch,
        "build" => Owner::Build,
        layer => Owner::Layer(layer),
    };
    Some((owner, format))
}
