//! Which of an app's processes something is about: `web.1`, all of `web`, or all there are.

use crate::name::{ProcessType, ProcessTypeError};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selection {
    /// Every process of the app.
    All,
    /// Those of a type.
    Type(ProcessType),
    /// One of a type, from 1.
    One(ProcessType, u32),
}

/// Why a text selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum SelectionError {
    #[error("{0}")]
    Type(String),
    #[error("a process is named as web.1, not as {0:?}")]
    Number(String),
}

impl Selection {
    /// Whether this process is one of them.
    #[must_use]
    pub fn covers(&self, process: &ProcessType, ordinal: u32) -> bool {
        match self {
            Self::All => true,
            Self::Type(of) => of == process,
            Self::One(of, number) => of == process && *number == ordinal,
        }
    }
}

impl FromStr for Selection {
    type Err = SelectionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |process: &str| {
            process
                .parse()
                .map_err(|error: ProcessTypeError| SelectionError::Type(error.to_string()))
        };
        let Some((process, number)) = text.split_once('.') else {
            return parse(text).map(Self::Type);
        };
        let wrong = || SelectionError::Number(text.chars().take(48).collect());
        let ordinal: u32 = number.parse().map_err(|_| wrong())?;
        // `+1` and `01` are numbers, and no names.
        if ordinal == 0 || ordinal.to_string() != number {
            return Err(wrong());
        }
        Ok(Self::One(parse(process)?, ordinal))
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all processes"),
            Self::Type(process) => write!(f, "{process}"),
            Self::One(process, ordinal) => write!(f, "{process}.{ordinal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_or_one_of_it_is_selected_and_nothing_else_reads_as_one() {
        let (web, worker) = (ProcessType::web(), "worker".parse().unwrap());
        let table = [
            ("web", [true, true, false]),
            ("web.2", [false, true, false]),
            ("worker.1", [false, false, true]),
        ];
        for (text, expected) in table {
            let selection: Selection = text.parse().unwrap();
            assert_eq!(selection.to_string(), text);
            let covered =
                [(&web, 1), (&web, 2), (&worker, 1)].map(|(of, number)| selection.covers(of, number));
            assert_eq!(covered, expected, "{text}");
        }
        assert!(Selection::All.covers(&worker, 7));
        for bad in [
            "", ".1", "web.", "web.0", "web.01", "web.+1", "web.x", "web.1.1", "a b",
        ] {
            assert!(bad.parse::<Selection>().is_err(), "{bad}");
        }
    }
}
