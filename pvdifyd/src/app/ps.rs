//! Processes: what runs, how many, once more.

use super::{
    Acting, Action,
    authorise::{known_app, living_app},
    error::{Error, Result},
};
use crate::{
    reconcile::handle::{InstanceState, Observation},
    store::{self, Reader, apps, formation, releases},
};
use pvdify_api::ps::{self as wire, Instance, Process};
use pvdify_types::{AppId, AppName, Formation, ProcessType, formation::MAX_QUANTITY, formation::quantities};
use std::collections::BTreeMap;

/// Process types of the current release, with their commands.
type Types = BTreeMap<ProcessType, String>;

impl Acting {
    /// The processes of the current release; empty before the first.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn processes(&self, name: &AppName) -> Result<Vec<Process>> {
        self.may(Action::ReadProcesses)?;
        self.processes_of(name.clone()).await
    }

    async fn processes_of(&self, name: AppName) -> Result<Vec<Process>> {
        let (id, types, scaled) = self
            .app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                let types = types(reader, &app)?.unwrap_or_default();
                let scaled = formation::scaled(reader, &app.id)?;
                Ok::<_, Error>((app.id, types, scaled))
            })
            .await?;
        Ok(faces(&id, &types, &scaled, &self.app.inner.handle.observation()))
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
                for (process, quantity) in &wanted {
                    if !types.contains_key(process) || process.is_release_phase() {
                        return Err(unknown_type(&app, process.as_str(), &types));
                    }
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

    /// Replaces every instance, the new ones before the old.
    ///
    /// # Errors
    /// When refused, unknown, or nothing was deployed.
    pub async fn restart(&self, name: &AppName) -> Result<Vec<Process>> {
        self.may(Action::Restart)?;
        let wanted = name.clone();
        let id = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &wanted)?;
                if releases::current(tx, &app.id)?.is_none() {
                    return Err(Error::NothingDeployed(app.name));
                }
                apps::restart(tx, &app.id)?;
                apps::touch(tx, &app.id, store::now())?;
                Ok(app.id)
            })
            .await?;
        self.app.note(&id, format!("Restarted by {}", self.user()));
        self.app.inner.handle.wake();
        self.processes_of(name.clone()).await
    }
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
                })
                .collect(),
            process_type,
            count,
        }
    };
    counts.into_iter().map(face).collect()
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
