//! Processes: what runs, how many, once more.

use super::{
    Acting, Action,
    authorise::{known_app, living_app},
    error::{Error, Result},
    releases::fail,
    volumes::check_count,
};
use crate::{
    engine::InstanceKind,
    reconcile::handle::{InstanceState, Observation},
    store::{
        self, Reader, Tx, apps, formation,
        one_offs::{self, OneOff},
        process_orders, releases, volumes,
    },
};
use pvdify_api::ps::{self as wire, Instance, Process};
use pvdify_types::{
    AppId, AppName, Formation, OneOffKind, OneOffName, OneOffStatus, ProcessType, Selection,
    formation::{MAX_QUANTITY, quantities},
};
use std::collections::BTreeMap;

/// Process types of the current release, with their commands.
type Types = BTreeMap<ProcessType, String>;

impl Acting {
    /// The processes of the current release, and the one-offs that run; empty before the first.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn processes(&self, name: &AppName) -> Result<Vec<Process>> {
        self.may(Action::ReadProcesses)?;
        self.processes_of(name.clone()).await
    }

    async fn processes_of(&self, name: AppName) -> Result<Vec<Process>> {
        let (id, types, scaled, once) = self
            .app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                let types = types(reader, &app)?.unwrap_or_default();
                let scaled = formation::scaled(reader, &app.id)?;
                let once = one_offs::open(reader, &app.id)?;
                Ok::<_, Error>((app.id, types, scaled, once))
            })
            .await?;
        let observed = self.app.inner.handle.observation();
        let mut all = faces(&id, &types, &scaled, &observed);
        for kind in OneOffKind::ALL {
            let mut instances = of_kind(kind, &once);
            if kind == OneOffKind::Run {
                instances.extend(self.app.inner.sessions.faces(&id));
            }
            all.extend(once_face(kind, instances));
        }
        Ok(all)
    }

    /// Sets how many run. Makes no release.
    ///
    /// # Errors
    /// When refused, unknown, nothing was deployed, or a type or count breaks a rule; then nothing of it is done.
    pub async fn scale(&self, name: &AppName, body: wire::Scale) -> Result<Vec<Process>> {
        self.may(Action::Scale)?;
        let wanted = parse_counts(body)?;
        let (name, scaled_name) = (name.clone(), name.clone());
        let summary = summary(&wanted, self.user());
        let id = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                let types = types(tx, &app)?.ok_or_else(|| Error::NothingDeployed(app.name.clone()))?;
                let mounts = volumes::mounts::of_app(tx, &app.id)?;
                for (process, quantity) in &wanted {
                    if !types.contains_key(process) || process.is_release_phase() {
                        return Err(unknown_type(&app, process.as_str(), &types));
                    }
                    check_count(&mounts, process, *quantity)?;
                    formation::set(tx, &app.id, process, *quantity)?;
                }
                apps::touch(tx, &app.id, store::now())?;
                Ok(app.id)
            })
            .await?;
        self.app.note(&id, summary);
        self.app.inner.handle.wake();
        self.processes_of(scaled_name).await
    }

    /// Replaces instances, the new ones before the old: every one, those of a type, or a single one.
    ///
    /// # Errors
    /// When refused, unknown, or nothing was deployed.
    pub async fn restart(&self, name: &AppName, body: wire::Restart) -> Result<Vec<Process>> {
        self.may(Action::Restart)?;
        let reach = match body.process {
            None => Selection::All,
            Some(text) => text.parse().map_err(Error::invalid)?,
        };
        let told = format!("Restarted {reach} by {}", self.user());
        self.order(name, told, move |tx, app| {
            check_reach(tx, app, &reach)?;
            process_orders::restart(tx, &app.id, &reach)?;
            Ok(())
        })
        .await
    }

    /// Stops instances, which then start again as the formation wants it, or a one-off process, which does not.
    ///
    /// # Errors
    /// When refused, unknown, or nothing of that name runs.
    pub async fn stop(&self, name: &AppName, body: wire::Stop) -> Result<Vec<Process>> {
        self.may(Action::Restart)?;
        let told = format!("Stopped {} by {}", body.process, self.user());
        if let Ok(one_off) = body.process.parse::<OneOffName>() {
            if self.stop_session(name, one_off).await? {
                return self.processes_of(name.clone()).await;
            }
            let cancelled = format!("was stopped by {}", self.user());
            return self
                .order(name, told, move |tx, app| {
                    cancel_one_off(tx, app, one_off, cancelled)
                })
                .await;
        }
        let reach: Selection = body.process.parse().map_err(Error::invalid)?;
        self.order(name, told, move |tx, app| {
            check_reach(tx, app, &reach)?;
            process_orders::stop(tx, &app.id, &reach, store::now())?;
            Ok(())
        })
        .await
    }

    /// Ends a one-off process with someone at its streams; `false`: there is none of that name.
    async fn stop_session(&self, name: &AppName, one_off: OneOffName) -> Result<bool> {
        let wanted = name.clone();
        let app = self
            .app
            .store()
            .read(move |reader| living_app(reader, &wanted))
            .await?;
        Ok(self.app.stop_session(&app.id, one_off))
    }

    /// Writes an order down, tells of it, and has it carried out.
    async fn order(
        &self,
        name: &AppName,
        told: String,
        write: impl FnOnce(&Tx<'_>, &apps::App) -> Result<()> + Send + 'static,
    ) -> Result<Vec<Process>> {
        let wanted = name.clone();
        let id = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &wanted)?;
                write(tx, &app)?;
                apps::touch(tx, &app.id, store::now())?;
                Ok::<_, Error>(app.id)
            })
            .await?;
        self.app.note(&id, told);
        self.app.inner.handle.wake();
        self.processes_of(name.clone()).await
    }
}

/// Whether there is what is meant: a type of the current release, and so many of it.
fn check_reach(reader: &Reader, app: &apps::App, reach: &Selection) -> Result<()> {
    let types = types(reader, app)?.ok_or_else(|| Error::NothingDeployed(app.name.clone()))?;
    let (process, ordinal) = match reach {
        Selection::All => return Ok(()),
        Selection::Type(process) => (process, 1),
        Selection::One(process, ordinal) => (process, *ordinal),
    };
    let counts = quantities(types.keys().cloned(), &formation::scaled(reader, &app.id)?);
    let count = *counts
        .get(process)
        .ok_or_else(|| unknown_type(app, process.as_str(), &types))?;
    if ordinal <= count {
        return Ok(());
    }
    Err(Error::NoInstance {
        app: app.name.clone(),
        process: reach.to_string(),
        scaled: format!("{process}={count}"),
    })
}

/// Ends it in the database; its container, which is then nobody's, is stopped. A release command is part of its release,
/// which ends with it.
fn cancel_one_off(tx: &Tx<'_>, app: &apps::App, name: OneOffName, why: String) -> Result<()> {
    let gone = || Error::NoOneOff {
        app: app.name.clone(),
        name: name.to_string(),
    };
    let row = one_offs::find(tx, &app.id, name)?.filter(|row| row.status.is_open());
    let row = row.ok_or_else(gone)?;
    let now = store::now();
    if name.kind == OneOffKind::Release {
        fail(tx, &app.id, row.version, &format!("{name} {why}"), &[], now)?;
        return Ok(());
    }
    let end = one_offs::End {
        status: OneOffStatus::Cancelled,
        exit_status: None,
        failure: Some(why),
    };
    one_offs::end(tx, &app.id, name, &end, now)?;
    Ok(())
}

fn types(reader: &Reader, app: &apps::App) -> Result<Option<Types>> {
    let current = releases::current(reader, &app.id)?;
    Ok(current
        .and_then(|release| release.code)
        .map(|code| code.processes))
}

fn unknown_type(app: &apps::App, process: &str, types: &Types) -> Error {
    let known: Vec<_> = types
        .keys()
        .filter(|known| !known.is_release_phase())
        .map(ProcessType::as_str)
        .collect();
    Error::NoProcessType {
        app: app.name.clone(),
        process: process.to_owned(),
        known: known.join(", "),
    }
}

fn parse_counts(body: wire::Scale) -> Result<Formation> {
    if body.processes.is_empty() {
        return Err(Error::InvalidWithHint {
            message: "no process type is named".into(),
            hint: "name at least one, as in web=2".into(),
        });
    }
    let count = |(process, count): (String, i64)| {
        let process: ProcessType = process.parse().map_err(Error::invalid)?;
        let quantity = u32::try_from(count).ok().filter(|count| *count <= MAX_QUANTITY);
        let quantity = quantity.ok_or_else(|| {
            Error::Invalid(format!("{process}: a count is 0 to {MAX_QUANTITY}, not {count}"))
        })?;
        Ok((process, quantity))
    };
    body.processes.into_iter().map(count).collect()
}

fn summary(counts: &Formation, user: &str) -> String {
    let counts: Vec<_> = counts
        .iter()
        .map(|(process, count)| format!("{process}@{count}"))
        .collect();
    format!("Scaled to {} by {user}", counts.join(" "))
}

fn faces(app: &AppId, types: &Types, scaled: &Formation, observed: &Observation) -> Vec<Process> {
    let counts = quantities(types.keys().cloned(), scaled);
    let face = |(process_type, count): (ProcessType, u32)| {
        let mut of_type: Vec<_> = observed
            .instances
            .iter()
            .filter(|instance| instance.kind == InstanceKind::Process)
            .filter(|instance| instance.app == *app && instance.process == process_type)
            .collect();
        of_type.sort_by_key(|instance| (instance.ordinal, instance.release));
        let states: Vec<_> = of_type.iter().map(|instance| instance.state).collect();
        Process {
            command: types.get(&process_type).cloned().unwrap_or_default(),
            status: status(count, &states).to_owned(),
            instances: of_type
                .iter()
                .map(|instance| Instance {
                    name: format!("{process_type}.{}", instance.ordinal),
                    state: instance.state.as_str().to_owned(),
                    release: instance.release.0,
                    restarts: instance.restarts,
                    started_at: instance.started_at.map(Into::into),
                    command: None,
                })
                .collect(),
            process_type,
            count,
        }
    };
    counts.into_iter().map(face).collect()
}

/// What runs once of a kind, without those with a session.
fn of_kind(kind: OneOffKind, open: &[OneOff]) -> Vec<Instance> {
    let face = |one_off: &OneOff| Instance {
        name: one_off.name.to_string(),
        state: match one_off.status {
            OneOffStatus::Running => InstanceState::Up,
            _ => InstanceState::Starting,
        }
        .as_str()
        .to_owned(),
        release: one_off.version.0,
        restarts: 0,
        started_at: one_off.started_at.map(store::as_date),
        command: Some(one_off.command.clone()),
    };
    let of_kind = open.iter().filter(|one_off| one_off.name.kind == kind);
    of_kind.map(face).collect()
}

/// All of a kind; `None` when there is none.
fn once_face(kind: OneOffKind, instances: Vec<Instance>) -> Option<Process> {
    let count = u32::try_from(instances.len()).unwrap_or(u32::MAX);
    (count > 0).then(|| Process {
        process_type: kind.process(),
        count,
        command: String::new(),
        status: "running".to_owned(),
        instances,
    })
}

/// A type in one word.
fn status(count: u32, states: &[InstanceState]) -> &'static str {
    let up = states.iter().filter(|state| **state == InstanceState::Up).count();
    if count == 0 {
        "stopped"
    } else if u32::try_from(up).unwrap_or(u32::MAX) >= count {
        "running"
    } else if states.contains(&InstanceState::Crashed) {
        "crashed"
    } else {
        "starting"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_status_in_one_word() {
        use InstanceState::{Crashed, Starting, Up};
        let table: [(u32, &[InstanceState], &str); 6] = [
            (0, &[Up], "stopped"),
            (1, &[], "starting"),
            (2, &[Up, Starting], "starting"),
            (2, &[Up, Crashed], "crashed"),
            (2, &[Up, Up], "running"),
            (1, &[Up, Crashed], "running"),
        ];
        for (count, states, word) in table {
            assert_eq!(status(count, states), word, "{count} {states:?}");
        }
    }
}
