//! Counted things: releases, config versions, route table generations. All start at 1 and only grow.

use serde::{Deserialize, Serialize};
use std::{fmt, num::ParseIntError, str::FromStr};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);
        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

counter! {
    /// A release's number within its app: v1, v2, ...
    ReleaseVersion
}
counter! {
    /// The number of one whole set of config vars within its app; 0 is the empty set before the first.
    ConfigVersion
}
counter! {
    /// The number of one whole route table; the router never goes back to a lower one.
    Generation
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for ReleaseVersion {
    type Err = ParseIntError;
    /// Takes `v3` and `3`, as Heroku's command line does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('v').unwrap_or(text).parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_version_is_read_with_and_without_its_v() {
        assert_eq!("v3".parse(), Ok(ReleaseVersion(3)));
        assert_eq!("3".parse(), Ok(ReleaseVersion(3)));
        assert!("vv3".parse::<ReleaseVersion>().is_err());
        assert!("-3".parse::<ReleaseVersion>().is_err());
        assert_eq!(ReleaseVersion(3).to_string(), "v3");
    }
}
