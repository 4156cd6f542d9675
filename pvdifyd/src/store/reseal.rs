//! Sealing anew, with the present key, what an older one sealed: some rows at a time, so that other changes go on
//! between.

use super::{Result, Secrets, Tx, bindings, config_vars, secrets::Sealed};

/// Rows of one transaction, and their bytes: opening and sealing them takes milliseconds.
const ROWS: usize = 200;
const BYTES: usize = 4 * 1024 * 1024;

/// How much one transaction may still seal anew.
#[derive(Debug)]
pub(super) struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    /// Whether one more fits; the first one always does.
    pub(super) fn take(&mut self, sealed: &Sealed) -> bool {
        let fits = self.rows == ROWS || (self.rows > 0 && self.bytes >= sealed.bytes.len());
        if fits {
            self.rows -= 1;
            self.bytes = self.bytes.saturating_sub(sealed.bytes.len());
        }
        fits
    }
}

/// Seals some anew; 0 when nothing is left that an older key sealed.
///
/// # Errors
/// Of the database, and when a value does not open.
pub fn some(tx: &Tx<'_>, secrets: &Secrets) -> Result<usize> {
    let mut budget = Budget {
        rows: ROWS,
        bytes: BYTES,
    };
    config_vars::reseal(tx, secrets, &mut budget)?;
    bindings::reseal(tx, secrets, &mut budget)?;
    Ok(ROWS - budget.rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_transaction_takes_its_share_of_rows_or_bytes_and_one_at_least() {
        let sealed = |bytes| Sealed {
            key_id: String::new(),
            nonce: [0; 24],
            bytes: vec![0; bytes],
        };
        for (bytes, taken) in [(0, ROWS), (BYTES / 3, 3), (BYTES, 1), (2 * BYTES, 1)] {
            let (mut budget, one) = (
                Budget {
                    rows: ROWS,
                    bytes: BYTES,
                },
                sealed(bytes),
            );
            assert_eq!((0..=ROWS).filter(|_| budget.take(&one)).count(), taken, "{bytes}");
        }
    }

    #[tokio::test]
    async fn every_table_that_holds_something_sealed_is_known_here() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        let tables = store.read(|reader| {
            let mut query = reader.prepare(
                "SELECT m.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
                 WHERE m.type = 'table' AND c.name = 'key_id' ORDER BY m.name",
            )?;
            let names = query.query_map([], |row| row.get::<_, String>(0))?;
            Ok::<_, crate::store::Error>(names.collect::<std::result::Result<Vec<_>, _>>()?)
        });
        assert_eq!(tables.await.unwrap(), ["binding_entries", "config_vars"]);
    }
}
