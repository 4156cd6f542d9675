//! How a source is built: today by its Dockerfile.

use crate::source::Source;

/// The source's Dockerfile, or what was looked for and what is there instead.
pub(crate) fn choose(source: &Source) -> Result<&[u8], String> {
    match &source.dockerfile {
        Some(dockerfile) => Ok(dockerfile),
        None if source.top.is_empty() => {
            Err("the source is empty: commit your files and push again".to_owned())
        }
        None => {
            let shown: Vec<&str> = source.top.iter().take(8).map(String::as_str).collect();
            let more = if source.top.len() > shown.len() {
                ", ..."
            } else {
                ""
            };
            let near = source
                .top
                .iter()
                .find(|name| name.eq_ignore_ascii_case("dockerfile"));
            let hint = match near {
                Some(name) => format!("rename {name} to Dockerfile"),
                None => "add a Dockerfile beside them, then push again".to_owned(),
            };
            Err(format!(
                "no Dockerfile at the top of the source. Looked for: Dockerfile. Found: {}{more}. To go on, {hint}",
                shown.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_dockerfile_the_error_says_what_was_looked_for_and_found() {
        let with = |names: &[&str]| Source {
            top: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Source::default()
        };
        insta::assert_snapshot!(choose(&with(&["app.py", "README.md"])).unwrap_err(), @"no Dockerfile at the top of the source. Looked for: Dockerfile. Found: README.md, app.py. To go on, add a Dockerfile beside them, then push again");
        insta::assert_snapshot!(choose(&with(&["dockerfile"])).unwrap_err(), @"no Dockerfile at the top of the source. Looked for: Dockerfile. Found: dockerfile. To go on, rename dockerfile to Dockerfile");
        insta::assert_snapshot!(choose(&with(&[])).unwrap_err(), @"the source is empty: commit your files and push again");
        let source = Source {
            dockerfile: Some(b"FROM x".to_vec()),
            ..Source::default()
        };
        assert_eq!(choose(&source), Ok(b"FROM x".as_slice()));
    }
}
