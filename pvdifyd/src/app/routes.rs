//! What the router and git-receiver ask beside pushes.

use super::{Acting, Action, error::Error, error::Result};
use crate::store::apps;
use pvdify_api::control::{LivingApps, RouterReport};
use pvdify_types::RouteTable;
use std::sync::Arc;
use tokio::sync::watch;

impl Acting {
    /// Every app that lives.
    ///
    /// # Errors
    /// When refused.
    pub async fn living_apps(&self) -> Result<LivingApps> {
        self.may(Action::ListLiving)?;
        let all = self.app.store().read(apps::list).await.map_err(Error::from)?;
        Ok(LivingApps {
            ids: all.into_iter().map(|app| app.id).collect(),
        })
    }

    /// The route table and every one after it.
    ///
    /// # Errors
    /// When refused.
    pub fn routes(&self) -> Result<watch::Receiver<Arc<RouteTable>>> {
        self.may(Action::FollowRoutes)?;
        Ok(self.app.inner.handle.routes())
    }

    /// Takes the router's word.
    ///
    /// # Errors
    /// When refused.
    pub fn report_routes(&self, report: RouterReport) -> Result<()> {
        self.may(Action::FollowRoutes)?;
        self.app.inner.handle.router_reports(report);
        Ok(())
    }
}
