//! What most commands end with: an answer, for programs or for a person.
//!
//! With `--json` a value is printed whole, also an empty list, and nothing stands beside it on stdout. A person
//! gets lines or columns; that a list is empty is talk, so that a pipe gets nothing.

use super::Result;
use crate::{args::Json, output};
use serde::Serialize;

impl Json {
    /// Prints a value: as JSON, or as `show` does for a person.
    pub(super) fn print<T: Serialize>(self, value: T, show: impl FnOnce(T) -> Result) -> Result {
        if self.json {
            output::json(&value)
        } else {
            show(value)
        }
    }

    /// Prints a list: as JSON, or as `show` does for a person, who is told `none` when it is empty.
    pub(super) fn print_list<T: Serialize>(
        self,
        list: Vec<T>,
        none: &str,
        show: impl FnOnce(Vec<T>) -> Result,
    ) -> Result {
        self.print(list, |list| {
            if list.is_empty() {
                output::talk(none);
                Ok(())
            } else {
                show(list)
            }
        })
    }
}
