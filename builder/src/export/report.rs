//! What an export tells the person who pushed: which layers were made anew, which stayed, how large, how long.

use std::time::Duration;

/// How a layer came into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nobody touched its files since the last image: they were not even read.
    Untouched,
    /// Its files were read and are those of the last image.
    Unchanged,
    /// Its buildpack left it out, and the previous image had it.
    FromPreviousImage,
    /// It is new.
    New,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerReport {
    /// `<buildpack>/<layer>`, or `app-0`, `launcher`, ...
    pub name: String,
    /// How it came into the image.
    pub how: How,
    /// Compressed, as it is stored.
    pub size: u64,
}

/// A whole export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The layers on top of the run image, in their order.
    pub layers: Vec<LayerReport>,
    /// The size of the run image's layers.
    pub run_image_size: u64,
    /// For looking at all files.
    pub looking: Duration,
    /// For reading, hashing and compressing.
    pub packing: Duration,
    /// For giving all to the registry.
    pub storing: Duration,
}

impl Report {
    /// The size of all layers, as they are stored.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.run_image_size + self.layers.iter().map(|layer| layer.size).sum::<u64>()
    }

    /// The lines for the build log.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let is_new = |layer: &&LayerReport| layer.how == How::New;
        let new: u64 = self.layers.iter().filter(is_new).map(|layer| layer.size).sum();
        let kept = self.layers.iter().filter(|layer| !is_new(layer)).count();
        let mut lines = Vec::new();
        for layer in self.layers.iter().filter(is_new) {
            lines.push(format!("       Added {} ({})", layer.name, human(layer.size)));
        }
        let seconds = (self.looking + self.packing + self.storing).as_secs_f64();
        lines.push(format!(
            "       Layers: {} added ({}), {kept} kept; image {}; {seconds:.1}s",
            self.layers.len() - kept,
            human(new),
            human(self.size()),
        ));
        lines
    }
}

/// As people read sizes: `512 B`, `1.5 KB`, `23 MB`.
pub(crate) fn human(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in ["KB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            break;
        }
        size /= 1000.0;
        unit = larger;
    }
    if unit == "B" || size >= 10.0 {
        format!("{size:.0} {unit}")
    } else {
        format!("{size:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_what_is_new_and_counts_the_rest() {
        let layer = |name: &str, how, size| LayerReport {
            name: name.to_owned(),
            how,
            size,
        };
        let report = Report {
            layers: vec![
                layer("pvdify_nodejs/dist", How::Untouched, 43_000_000),
                layer("app-0", How::New, 1234),
                layer("launcher", How::Unchanged, 400_000),
            ],
            run_image_size: 30_000_000,
            looking: Duration::from_millis(40),
            packing: Duration::from_millis(200),
            storing: Duration::from_millis(10),
        };
        insta::assert_snapshot!(report.lines().join("\n"), @r"
               Added app-0 (1.2 KB)
               Layers: 1 added (1.2 KB), 2 kept; image 73 MB; 0.2s
        ");
        let texts: Vec<String> = [0, 999, 1000, 9_949, 10_000, 999_499_999, 12 << 40]
            .map(human)
            .to_vec();
        assert_eq!(
            texts,
            ["0 B", "999 B", "1.0 KB", "9.9 KB", "10 KB", "999 MB", "13 TB"]
        );
    }
}
