//! `Aptfile`, as Heroku reads it: a package, the address of a `.deb` file, or `:repo:` and a source, a line each.

use crate::wanted::{Source, Wanted};
use buildpack_support::{Failure, Result};

/// Reads it into `wanted`.
pub(crate) fn read(text: &str, wanted: &mut Wanted) -> Result<()> {
    for (index, line) in text.lines().enumerate() {
        let place = format!("Aptfile, line {}", index + 1);
        let line = line.trim();
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(source) = line.strip_prefix(":repo:") {
            wanted.sources.push(self::source(source.trim(), &place)?);
        } else if line.contains("://") {
            check_address(line, &place)?;
            wanted.add_download(line);
        } else {
            // As Heroku's: several on one line are several packages.
            for spec in line.split_whitespace() {
                wanted.add(spec, false, &place)?;
            }
        }
    }
    Ok(())
}

fn source(line: &str, place: &str) -> Result<Source> {
    let kind = line.split_whitespace().next().unwrap_or_default();
    let mut words = line.split_whitespace().skip(1).peekable();
    if words.peek().is_some_and(|word| word.starts_with('[')) {
        while words.next().is_some_and(|word| !word.ends_with(']')) {}
    }
    let address = words.next().unwrap_or_default();
    let is_web = address.starts_with("https://") || address.starts_with("http://");
    if kind == "deb" && is_web && words.next().is_some() {
        return Ok(Source {
            line: line.to_owned(),
            key: None,
        });
    }
    Err(Failure::new(
        format!("{place}, is no source of packages"),
        format!("It is {line:?}."),
        "Write it as in `:repo:deb https://deb.example.com/debian trixie main`. A source whose key the image does not \
         have is better given in project.toml ([[com.heroku.buildpacks.deb-packages.sources]], with `signed_by`). \
         Commit and push again.",
    ))
}

/// Whether an address is one of a `.deb` file that can be fetched.
pub(crate) fn check_address(address: &str, place: &str) -> Result<()> {
    let is_web = address.starts_with("https://") || address.starts_with("http://");
    let is_plain = address.chars().all(|c| c.is_ascii_graphic());
    if is_web && is_plain {
        return Ok(());
    }
    Err(Failure::new(
        format!("{address:?} can't be downloaded"),
        format!("It stands in {place}. Only https:// and http:// are fetched."),
        "Correct the address of the .deb file, commit and push again.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        read(text, &mut wanted).map(|()| wanted)
    }

    #[test]
    fn each_line_is_what_it_says() {
        let wanted = wanted(
            "# comment\nlibpq-dev\r\nffmpeg imagemagick # two\n\nhttps://x.example/a_1_amd64.deb\n\
             :repo:deb [trusted=yes arch=amd64] https://apt.example stable main\n",
        )
        .unwrap();
        let specs: Vec<&str> = wanted
            .packages
            .iter()
            .map(|package| package.spec.as_str())
            .collect();
        assert_eq!(specs, ["libpq-dev", "ffmpeg", "imagemagick"]);
        assert_eq!(wanted.downloads, ["https://x.example/a_1_amd64.deb"]);
        assert_eq!(
            wanted.sources[0].line,
            "deb [trusted=yes arch=amd64] https://apt.example stable main"
        );
    }

    #[test]
    fn what_can_not_be_is_told_with_its_line() {
        let text = |line: &str| wanted(&format!("curl\n{line}")).unwrap_err().text();
        insta::assert_snapshot!(text(":repo:ppa:someone/thing"), @r#"
        Aptfile, line 2, is no source of packages

        It is "ppa:someone/thing".

        Write it as in `:repo:deb https://deb.example.com/debian trixie main`. A source whose key the image does not have is better given in project.toml ([[com.heroku.buildpacks.deb-packages.sources]], with `signed_by`). Commit and push again.
        "#);
        insta::assert_snapshot!(text("file:///etc/x.deb"), @r#"
        "file:///etc/x.deb" can't be downloaded

        It stands in Aptfile, line 2. Only https:// and http:// are fetched.

        Correct the address of the .deb file, commit and push again.
        "#);
        assert!(wanted(":repo:deb file:///etc stable main").is_err());
        assert!(wanted(":repo:deb https://x.example").is_err());
        assert!(wanted("--option").is_err());
    }
}
