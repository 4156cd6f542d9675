//! Shows route tables: each differs from the one before and has the next generation.
//!
//! A generation is saved before its table is shown, so that no number is ever given to two tables, whatever is
//! killed in between.

use super::desired::{ControlState, Result};
use pvdify_types::{Generation, RouteTable};
use std::sync::Arc;
use tokio::sync::watch;

/// What was shown; all of it may be lost.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// The last generation that was saved; `None` when that is not known.
    generation: Option<Generation>,
    /// Whether a table of this run is shown.
    shown: bool,
}

impl Publisher {
    /// Whether a table of this run is shown.
    pub(super) fn has_shown(&self) -> bool {
        self.shown
    }

    /// Shows a table that differs from the shown one, under the next generation; `about_to_show` is told of it
    /// just before.
    pub(super) async fn publish(
        &mut self,
        state: &dyn ControlState,
        routes: &watch::Sender<Arc<RouteTable>>,
        mut table: RouteTable,
        about_to_show: impl FnOnce(&RouteTable),
    ) -> Result<()> {
        {
            let shown = routes.borrow();
            if self.shown && shown.hosts == table.hosts && shown.routes == table.routes {
                return Ok(());
            }
        }
        // Taken out while it is saved: after a failure nobody knows whether the number is used.
        let last = match self.generation.take() {
            Some(generation) => generation,
            None => state.last_generation().await?,
        };
        table.generation = last.next();
        state.save_generation(&table).await?;
        self.generation = Some(table.generation);
        about_to_show(&table);
        self.shown = true;
        routes.send_replace(Arc::new(table));
        Ok(())
    }
}
