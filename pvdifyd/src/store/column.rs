//! Reading columns back into the words they were written from.

use super::{Error, Result};
use rusqlite::{Row, types::FromSql};
use serde::de::DeserializeOwned;
use std::{fmt::Display, str::FromStr};

/// A column of a plain SQL type.
pub(super) fn plain<T: FromSql>(row: &Row<'_>, column: &'static str) -> Result<T> {
    Ok(row.get(name(column))?)
}

/// A text column that is one of our newtypes.
pub(super) fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(name(column))?;
    text.parse().map_err(|error| Error::unreadable(column, error))
}

/// The same where it may be NULL.
pub(super) fn parsed_if<T: FromStr<Err: Display>>(row: &Row<'_>, column: &'static str) -> Result<Option<T>> {
    let text: Option<String> = row.get(name(column))?;
    let parse = |text: String| text.parse().map_err(|error| Error::unreadable(column, error));
    text.map(parse).transpose()
}

/// A text column that holds JSON.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(name(column))?;
    serde_json::from_str(&text).map_err(|error| Error::unreadable(column, error))
}

/// The same where it may be NULL.
pub(super) fn json_if<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<Option<T>> {
    let text: Option<String> = row.get(name(column))?;
    let parse = |text: String| serde_json::from_str(&text).map_err(|error| Error::unreadable(column, error));
    text.map(parse).transpose()
}

/// What is written into such a column.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("maps with string keys and plain structs always serialise")
}

/// Columns are named `table.column`, as errors show them; a row knows them without the table.
fn name(column: &'static str) -> &'static str {
    column.split_once('.').map_or(column, |(_, name)| name)
}
