//! The table `process_orders`: what people asked of an app's instances.
//!
//! An order stands until the next of the same reach; whom it is about is decided anew at each look: an instance that was
//! started after it has obeyed it.

use super::{Error, Result, column};
use pvdify_types::{AppId, Selection};
use rusqlite::{Connection, Row, params};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Order {
    pub reach: Selection,
    /// Instances of a lower generation are replaced, the new before the old.
    pub restart_generation: Option<u64>,
    /// Instances that were started before it are stopped.
    pub stopped_at: Option<i64>,
}

fn read(row: &Row<'_>) -> Result<Order> {
    let process: String = column::plain(row, "process_orders.process")?;
    let ordinal: u32 = column::plain(row, "process_orders.ordinal")?;
    let parse = || {
        process
            .parse()
            .map_err(|error| Error::unreadable("process_orders.process", error))
    };
    Ok(Order {
        reach: match (process.as_str(), ordinal) {
            ("", _) => Selection::All,
            (_, 0) => Selection::Type(parse()?),
            (_, ordinal) => Selection::One(parse()?, ordinal),
        },
        restart_generation: column::plain(row, "process_orders.restart_generation")?,
        stopped_at: column::plain(row, "process_orders.stopped_at")?,
    })
}

fn columns(reach: &Selection) -> (&str, u32) {
    match reach {
        Selection::All => ("", 0),
        Selection::Type(process) => (process.as_str(), 0),
        Selection::One(process, ordinal) => (process.as_str(), *ordinal),
    }
}

/// All of an app's.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<Order>> {
    let mut query =
        reader.prepare_cached("SELECT * FROM process_orders WHERE app = ?1 ORDER BY process, ordinal")?;
    query.query_and_then([app.as_str()], read)?.collect()
}

/// Asks for these instances anew.
///
/// # Errors
/// Of the database.
pub fn restart(tx: &Connection, app: &AppId, reach: &Selection) -> Result<()> {
    let (process, ordinal) = columns(reach);
    tx.execute(
        "INSERT INTO process_orders (app, process, ordinal, restart_generation)
         VALUES (?1, ?2, ?3, (SELECT coalesce(max(restart_generation), 0) + 1 FROM process_orders WHERE app = ?1))
         ON CONFLICT (app, process, ordinal) DO UPDATE SET restart_generation = excluded.restart_generation",
        params![app.as_str(), process, ordinal],
    )?;
    Ok(())
}

/// Asks for these instances to be stopped.
///
/// # Errors
/// Of the database.
pub fn stop(tx: &Connection, app: &AppId, reach: &Selection, now: i64) -> Result<()> {
    let (process, ordinal) = columns(reach);
    tx.execute(
        "INSERT INTO process_orders (app, process, ordinal, stopped_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (app, process, ordinal) DO UPDATE SET stopped_at = excluded.stopped_at",
        params![app.as_str(), process, ordinal, now],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, apps};

    #[tokio::test]
    async fn each_restart_has_a_generation_of_its_own_and_a_stop_changes_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        store
            .write(|tx| -> Result<()> {
                let app = apps::insert(tx, &"demo".parse().unwrap(), Default::default(), 0)?.unwrap();
                let one: Selection = "web.1".parse().unwrap();
                restart(tx, &app, &one)?;
                restart(tx, &app, &Selection::All)?;
                stop(tx, &app, &one, 7)?;
                restart(tx, &app, &"web".parse().unwrap())?;
                let all: Vec<_> = list(tx, &app)?
                    .into_iter()
                    .map(|order| {
                        (
                            order.reach.to_string(),
                            order.restart_generation,
                            order.stopped_at,
                        )
                    })
                    .collect();
                assert_eq!(
                    all,
                    [
                        ("all processes".to_owned(), Some(2), None),
                        ("web".to_owned(), Some(3), None),
                        ("web.1".to_owned(), Some(1), Some(7)),
                    ]
                );
                Ok(())
            })
            .await
            .unwrap();
    }
}
