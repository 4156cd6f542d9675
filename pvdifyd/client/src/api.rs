//! Calls of the REST API, one for each endpoint.

use crate::{Client, Error, Result, SseEvents};
use pvdify_api::{
    apps, bindings, buildpacks, config, domains, health, keys, logs, one_offs, paths, ps, releases, stack,
    volumes,
};
use pvdify_types::{
    AppName, BindingName, ConfigKey, Hostname, OneOffName, ReleaseVersion, SnapshotName, VolumeName,
};
use reqwest::Method;

/// What a change of config gave: the whole set, and the release it made, if any.
#[derive(Clone, Debug)]
pub struct ConfigChanged {
    /// After the change.
    pub config: config::Config,
    /// `None`: nothing changed, or nothing was deployed yet.
    pub release: Option<ReleaseVersion>,
    /// The keys of it that builds see, as `A, B and 3 more`.
    pub next_build: Option<String>,
}

/// What a change of who sees config vars gave.
#[derive(Clone, Debug)]
pub struct ScopesChanged {
    /// After the change.
    pub scopes: config::Scopes,
    /// As [`ConfigChanged::release`].
    pub release: Option<ReleaseVersion>,
}

/// What a change of mounts gave: the volume, and the release it made, if any.
#[derive(Clone, Debug)]
pub struct VolumeChanged {
    /// After the change.
    pub volume: volumes::Volume,
    /// `None`: nothing changed, or nothing was deployed yet.
    pub release: Option<ReleaseVersion>,
}

macro_rules! call {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) -> $out:ty = GET $path:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// When the server can't be reached or refuses.
        pub async fn $name(&self, $($arg: $ty),*) -> Result<$out> {
            self.get(&$path).await
        }
    };
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $method:ident $path:expr, $body:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// When the server can't be reached or refuses.
        pub async fn $name(&self, $($arg: $ty),*) -> Result<$out> {
            self.send_json(Method::$method, &$path, $body).await
        }
    };
}

impl Client {
    call!(/// `GET /health`.
        health() -> health::Health = GET paths::HEALTH);
    call!(/// `GET /apps`.
        apps() -> Vec<apps::App> = GET paths::apps());
    call!(/// `GET /apps/{name}`.
        app(name: &AppName) -> apps::App = GET paths::app(name));
    call!(/// `POST /apps`.
        create_app(body: &apps::CreateApp) -> apps::App = POST paths::apps(), body);
    call!(/// `PATCH /apps/{name}`.
        update_app(name: &AppName, body: &apps::UpdateApp) -> apps::App = PATCH paths::app(name), body);
    call!(/// `GET /apps/{name}/releases`, newest first.
        releases(name: &AppName) -> Vec<releases::Release> = GET paths::releases(name));
    call!(/// `GET /apps/{name}/releases/{version}`.
        release(name: &AppName, version: ReleaseVersion) -> releases::Release = GET paths::release(name, version));
    call!(/// `GET /apps/{name}/releases/{version}/output`.
        release_output(name: &AppName, version: ReleaseVersion) -> one_offs::OneOff = GET paths::release_output(name, version));
    call!(/// `POST /apps/{name}/releases/{version}/cancel`.
        cancel_release(name: &AppName, version: ReleaseVersion) -> releases::Release = POST paths::release_cancel(name, version), &serde_json::json!({}));
    call!(/// `POST /apps/{name}/releases`.
        create_release(name: &AppName, body: &releases::CreateRelease) -> releases::Release = POST paths::releases(name), body);
    call!(/// `POST /apps/{name}/rollback`.
        rollback(name: &AppName, body: &releases::Rollback) -> releases::Release = POST paths::rollback(name), body);
    call!(/// `GET /apps/{name}/config`.
        config(name: &AppName) -> config::Config = GET paths::config(name));
    call!(/// `GET /apps/{name}/config/scopes`: all keys, without values.
        config_scopes(name: &AppName) -> config::Scopes = GET paths::config_scopes(name));
    call!(/// `GET /apps/{name}/config/versions`, newest first.
        config_versions(name: &AppName) -> Vec<config::ConfigVersion> = GET paths::config_versions(name));
    call!(/// `GET /apps/{name}/domains`.
        domains(name: &AppName) -> Vec<domains::Domain> = GET paths::domains(name));
    call!(/// `POST /apps/{name}/domains`.
        add_domain(name: &AppName, body: &domains::AddDomain) -> domains::Domain = POST paths::domains(name), body);
    call!(/// `GET /apps/{name}/buildpacks`.
        buildpacks(name: &AppName) -> buildpacks::Buildpacks = GET paths::buildpacks(name));
    call!(/// `PUT /apps/{name}/buildpacks`: these in place of all before.
        set_buildpacks(name: &AppName, body: &buildpacks::SetBuildpacks) -> buildpacks::Buildpacks = PUT paths::buildpacks(name), body);
    call!(/// `GET /apps/{name}/bindings`.
        bindings(name: &AppName) -> Vec<bindings::Binding> = GET paths::bindings(name));
    call!(/// `PUT /apps/{name}/bindings/{binding}`: this in place of the one before.
        set_binding(name: &AppName, binding: &BindingName, body: &bindings::SetBinding) -> bindings::Binding = PUT paths::binding(name, binding), body);
    call!(/// `GET /apps/{name}/ps`.
        ps(name: &AppName) -> Vec<ps::Process> = GET paths::ps(name));
    call!(/// `POST /apps/{name}/ps/scale`.
        scale(name: &AppName, body: &ps::Scale) -> Vec<ps::Process> = POST paths::ps_scale(name), body);
    call!(/// `POST /apps/{name}/ps/restart`.
        restart(name: &AppName, body: &ps::Restart) -> Vec<ps::Process> = POST paths::ps_restart(name), body);
    call!(/// `POST /apps/{name}/ps/stop`.
        stop(name: &AppName, body: &ps::Stop) -> Vec<ps::Process> = POST paths::ps_stop(name), body);
    call!(/// `GET /apps/{name}/one-offs`, newest first.
        one_offs(name: &AppName) -> Vec<one_offs::OneOff> = GET paths::one_offs(name));
    call!(/// `GET /apps/{name}/one-offs/{one_off}`.
        one_off(name: &AppName, one_off: OneOffName) -> one_offs::OneOff = GET paths::one_off(name, one_off));
    call!(/// `POST /apps/{name}/one-offs`.
        run_one_off(name: &AppName, body: &one_offs::RunOneOff) -> one_offs::OneOff = POST paths::one_offs(name), body);
    call!(/// `GET /keys`.
        keys() -> Vec<keys::SshKey> = GET paths::keys());
    call!(/// `POST /keys`.
        add_key(body: &keys::AddKey) -> keys::SshKey = POST paths::keys(), body);

    call!(/// `GET /apps/{name}/volumes`.
        volumes(name: &AppName) -> Vec<volumes::Volume> = GET paths::volumes(name));
    call!(/// `GET /apps/{name}/volumes/{volume}`.
        volume(name: &AppName, volume: &VolumeName) -> volumes::Volume = GET paths::volume(name, volume));
    call!(/// `POST /apps/{name}/volumes`.
        create_volume(name: &AppName, body: &volumes::CreateVolume) -> volumes::Volume = POST paths::volumes(name), body);
    call!(/// `GET /apps/{name}/volumes/{volume}/snapshots`, newest first.
        snapshots(name: &AppName, volume: &VolumeName) -> Vec<volumes::Snapshot> = GET paths::snapshots(name, volume));

    /// `DELETE /apps/{name}/volumes/{volume}`, confirmed.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn destroy_volume(&self, name: &AppName, volume: &VolumeName) -> Result<()> {
        let confirm = confirm(volume.as_str());
        let request = self.request(Method::DELETE, &paths::volume(name, volume))?;
        self.send(request.query(&confirm)).await.map(drop)
    }

    /// `DELETE /apps/{name}/volumes/{volume}/snapshots/{snapshot}`, confirmed.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn destroy_snapshot(
        &self,
        name: &AppName,
        volume: &VolumeName,
        snapshot: &SnapshotName,
    ) -> Result<()> {
        let confirm = confirm(snapshot.as_str());
        let request = self.request(Method::DELETE, &paths::snapshot(name, volume, snapshot))?;
        self.send(request.query(&confirm)).await.map(drop)
    }

    /// `PUT /apps/{name}/volumes/{volume}/mounts`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn mount_volume(
        &self,
        name: &AppName,
        volume: &VolumeName,
        body: &volumes::MountVolume,
    ) -> Result<VolumeChanged> {
        let request = self.request(Method::PUT, &paths::volume_mounts(name, volume))?;
        volume_changed(self.send(request.json(body)).await?).await
    }

    /// `DELETE /apps/{name}/volumes/{volume}/mounts`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn unmount_volume(
        &self,
        name: &AppName,
        volume: &VolumeName,
        query: &volumes::UnmountQuery,
    ) -> Result<VolumeChanged> {
        let request = self.request(Method::DELETE, &paths::volume_mounts(name, volume))?;
        volume_changed(self.send(request.query(query)).await?).await
    }

    /// `POST /apps/{name}/volumes/{volume}/snapshots`: what comes of it, as it comes.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn create_snapshot(
        &self,
        name: &AppName,
        volume: &VolumeName,
        body: &volumes::CreateSnapshot,
    ) -> Result<SseEvents<volumes::VolumeEvent>> {
        let request = self.request(Method::POST, &paths::snapshots(name, volume))?;
        Ok(SseEvents::new(self.send(request.json(body)).await?))
    }

    /// `POST /apps/{name}/volumes/{volume}/restore`: what comes of it, as it comes.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn restore_volume(
        &self,
        name: &AppName,
        volume: &VolumeName,
        body: &volumes::RestoreVolume,
    ) -> Result<SseEvents<volumes::VolumeEvent>> {
        let request = self.request(Method::POST, &paths::restore(name, volume))?;
        Ok(SseEvents::new(self.send(request.json(body)).await?))
    }

    /// `DELETE /apps/{name}`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn delete_app(&self, name: &AppName) -> Result<()> {
        self.delete(&paths::app(name)).await.map(drop)
    }

    /// `DELETE /apps/{name}/domains/{domain}`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn remove_domain(&self, name: &AppName, domain: &Hostname) -> Result<()> {
        self.delete(&paths::domain(name, domain)).await.map(drop)
    }

    /// `DELETE /apps/{name}/bindings/{binding}`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn remove_binding(&self, name: &AppName, binding: &BindingName) -> Result<()> {
        self.delete(&paths::binding(name, binding)).await.map(drop)
    }

    /// `DELETE /keys/{fingerprint}`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn remove_key(&self, fingerprint: &str) -> Result<()> {
        self.delete(&paths::key(fingerprint)).await.map(drop)
    }

    /// `PUT /apps/{name}/config`: merges; a `None` removes.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn set_config(&self, name: &AppName, change: &config::ConfigChange) -> Result<ConfigChanged> {
        self.set_config_of(name, change, &config::ChangeQuery::default())
            .await
    }

    /// The same, and who sees what is set by it.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn set_config_of(
        &self,
        name: &AppName,
        change: &config::ConfigChange,
        query: &config::ChangeQuery,
    ) -> Result<ConfigChanged> {
        let request = self.request(Method::PUT, &paths::config(name))?;
        config_changed(self.send(request.query(query).json(change)).await?).await
    }

    /// `PUT /apps/{name}/config/scopes`: who sees config vars that are set.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn set_config_scopes(&self, name: &AppName, scopes: &config::Scopes) -> Result<ScopesChanged> {
        let request = self.request(Method::PUT, &paths::config_scopes(name))?;
        let response = self.send(request.json(scopes)).await?;
        Ok(ScopesChanged {
            release: text(&response, config::RELEASE_HEADER).and_then(|version| version.parse().ok()),
            scopes: response.json().await.map_err(Error::transport)?,
        })
    }

    /// `GET /apps/{name}/config/diff`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn config_diff(&self, name: &AppName, query: &config::DiffQuery) -> Result<config::ConfigDiff> {
        let request = self.request(Method::GET, &paths::config_diff(name))?;
        let response = self.send(request.query(query)).await?;
        response.json().await.map_err(Error::transport)
    }

    /// `DELETE /apps/{name}/config/{key}`.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn unset_config(&self, name: &AppName, key: &ConfigKey) -> Result<ConfigChanged> {
        config_changed(self.delete(&paths::config_key(name, key)).await?).await
    }

    /// `GET /apps/{name}/logs`: the last lines.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn logs(&self, name: &AppName, query: &logs::LogQuery) -> Result<Vec<logs::LogLine>> {
        let response = self
            .send(self.request(Method::GET, &paths::logs(name))?.query(query))
            .await?;
        response.json().await.map_err(Error::transport)
    }

    /// `GET /apps/{name}/logs?follow=true`: the last lines, then new ones.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn follow_logs(
        &self,
        name: &AppName,
        query: &logs::LogQuery,
    ) -> Result<SseEvents<logs::LogLine>> {
        let query = logs::LogQuery {
            follow: true,
            ..query.clone()
        };
        Ok(SseEvents::new(
            self.send(self.request(Method::GET, &paths::logs(name))?.query(&query))
                .await?,
        ))
    }

    /// `GET /apps/{name}/releases/{version}/events`: the release's progress to its end.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn release_events(
        &self,
        name: &AppName,
        version: ReleaseVersion,
    ) -> Result<SseEvents<releases::ReleaseEvent>> {
        let request = self.request(Method::GET, &paths::release_events(name, version))?;
        Ok(SseEvents::new(self.send(request).await?))
    }

    /// `POST /stack/rebase`: what came of each app, as it comes.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn rebase_stack(&self) -> Result<SseEvents<stack::StackEvent>> {
        let request = self.request(Method::POST, &paths::stack_rebase())?;
        Ok(SseEvents::new(self.send(request).await?))
    }

    async fn delete(&self, path: &str) -> Result<reqwest::Response> {
        self.send(self.request(Method::DELETE, path)?).await
    }
}

fn confirm(name: &str) -> volumes::ConfirmQuery {
    volumes::ConfirmQuery {
        confirm: name.to_owned(),
    }
}

/// The release that a change made.
fn release_of(response: &reqwest::Response) -> Option<ReleaseVersion> {
    let header = response.headers().get(config::RELEASE_HEADER)?;
    header.to_str().ok()?.parse().ok()
}

async fn volume_changed(response: reqwest::Response) -> Result<VolumeChanged> {
    let release = release_of(&response);
    let volume = response.json().await.map_err(Error::transport)?;
    Ok(VolumeChanged { volume, release })
}

async fn config_changed(response: reqwest::Response) -> Result<ConfigChanged> {
    Ok(ConfigChanged {
        release: release_of(&response),
        next_build: text(&response, config::NEXT_BUILD_HEADER).map(str::to_owned),
        config: response.json().await.map_err(Error::transport)?,
    })
}

/// A header's.
fn text<'a>(response: &'a reqwest::Response, header: &str) -> Option<&'a str> {
    response.headers().get(header)?.to_str().ok()
}
