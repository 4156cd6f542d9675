//! Calls of the control socket.

use crate::{Client, Ndjson, Result};
use pvdify_api::{control, paths, stack};
use pvdify_types::{AppName, RouteTable};
use reqwest::Method;

impl Client {
    /// Who a verified key is; `None` when it is not registered.
    ///
    /// # Errors
    /// When the control plane can't be reached or fails.
    pub async fn identify_ssh_key(&self, fingerprint: &str) -> Result<Option<control::SshIdentity>> {
        let body = control::IdentifySshKey {
            fingerprint: fingerprint.to_owned(),
        };
        match self
            .send_json(Method::POST, &paths::control_ssh_key(), &body)
            .await
        {
            Ok(identity) => Ok(Some(identity)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// May this key push to this app?
    ///
    /// # Errors
    /// A refusal of status 404 when there is no such app for this key.
    pub async fn authorise_push(&self, fingerprint: &str, app: &str) -> Result<control::PushGrant> {
        let body = control::AuthorisePush {
            fingerprint: fingerprint.to_owned(),
            app: app.to_owned(),
        };
        self.send_json(Method::POST, &paths::control_push(), &body).await
    }

    /// All living apps.
    ///
    /// # Errors
    /// When the control plane can't be reached or fails.
    pub async fn living_apps(&self) -> Result<control::LivingApps> {
        self.get(&paths::control_apps()).await
    }

    /// Sends a source tree (an uncompressed tar) and gives the build's events as they come.
    ///
    /// # Errors
    /// When the control plane can't be reached, or refuses before the build starts.
    pub async fn build(
        &self,
        app: &AppName,
        query: &control::BuildQuery,
        source: reqwest::Body,
    ) -> Result<Ndjson<control::BuildEvent>> {
        let request = self
            .request(Method::POST, &paths::control_builds(app))?
            .query(query);
        let request = request.header("content-type", "application/x-tar").body(source);
        Ok(Ndjson::new(self.send(request).await?))
    }

    /// Puts every app on the newest run image, and gives what came of each as it comes.
    ///
    /// # Errors
    /// When the control plane can't be reached.
    pub async fn control_rebase_stack(&self) -> Result<Ndjson<stack::StackEvent>> {
        let request = self.request(Method::POST, &paths::control_stack_rebase())?;
        Ok(Ndjson::new(self.send(request).await?))
    }

    /// Puts a new sealing key in place of the one that is there, and seals everything anew.
    ///
    /// # Errors
    /// When the control plane can't be reached, or the rotation stops; the next one finishes it.
    pub async fn control_rotate_key(&self) -> Result<control::KeyRotated> {
        let request = self.request(Method::POST, &paths::control_key_rotate())?;
        let response = self.send(request).await?;
        response.json().await.map_err(crate::Error::transport)
    }

    /// Whole route tables, the present one first, then each new one.
    ///
    /// # Errors
    /// When the control plane can't be reached.
    pub async fn routes(&self) -> Result<Ndjson<RouteTable>> {
        Ok(Ndjson::new(
            self.send(self.request(Method::GET, &paths::control_routes())?)
                .await?,
        ))
    }

    /// Tells which table is served and what still drains.
    ///
    /// # Errors
    /// When the control plane can't be reached.
    pub async fn report_routes(&self, report: &control::RouterReport) -> Result<()> {
        self.send(
            self.request(Method::POST, &paths::control_routes_report())?
                .json(report),
        )
        .await?;
        Ok(())
    }
}

/// A request body that streams, as [`Client::build`] takes it.
pub type Body = reqwest::Body;
