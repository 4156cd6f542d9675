//! How a session begins: who may, where, and what is started.

use super::{Face, Peer, Place, attend, one_off_name};
use crate::{
    app::{
        Acting, Action, App,
        authorise::living_app,
        control_state::current_spec,
        error::{Error, Result},
    },
    engine::{Command, EngineError, ExecSpec, InstanceSpec, SessionSpec},
    logs::SOURCE_PVDIFY,
    reconcile::{self, handle::InstanceState},
    store::{bindings, releases},
};
use pvdify_api::{logs::LogLine, session::Start};
use pvdify_types::{AppId, AppName, ConfigKey, ConfigValue, ConfigVars, InstanceId, ProcessType};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use time::OffsetDateTime;

/// Of all words of a command.
const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// On top of a session's own limit: the engine's own kills what nobody ended.
const SLACK: Duration = Duration::from_secs(60);

/// A session that may begin: it has its place, and waits for what to start.
pub struct Ticket {
    place: Place,
    app: AppId,
    app_name: AppName,
    user: String,
    target: Target,
}

enum Target {
    OneOff(u32),
    Inside {
        /// As `web.1`.
        name: String,
        instance: InstanceId,
        /// Whether its image has a launcher.
        launcher: bool,
    },
}

impl Acting {
    /// A one-off process of the current release.
    ///
    /// # Errors
    /// When refused, unknown, nothing was deployed, or the app has as many already as it may.
    pub async fn run(&self, name: &AppName) -> Result<Ticket> {
        self.may(Action::Run)?;
        let name = name.clone();
        let app = self
            .app
            .store()
            .read(move |reader| {
                let app = living_app(reader, &name)?;
                match releases::current(reader, &app.id)? {
                    Some(_) => Ok(app),
                    None => Err(Error::NothingDeployed(app.name)),
                }
            })
            .await?;
        let (place, ordinal) = self.app.place_one_off(&app.id, &app.name)?;
        Ok(self.ticket(place, app.id, app.name, Target::OneOff(ordinal)))
    }

    /// A command inside an instance, `web.1`.
    ///
    /// # Errors
    /// When refused, unknown, the instance does not run, or the app has as many sessions already as it may.
    pub async fn exec(&self, name: &AppName, instance: &str) -> Result<Ticket> {
        self.may(Action::Exec)?;
        let (name, observation) = (name.clone(), self.app.inner.handle.observation());
        let wanted = instance.to_owned();
        let (app, target) =
            self.app
                .store()
                .read(move |reader| {
                    let app = living_app(reader, &name)?;
                    let of_name = observation.instances.iter().filter(|one| {
                        one.app == app.id && format!("{}.{}", one.process, one.ordinal) == wanted
                    });
                    let running = of_name.filter(|one| one.state != InstanceState::Crashed);
                    // While a release takes over there can be two: the newer, if it is up.
                    let Some(found) = running.max_by_key(|one| (one.state == InstanceState::Up, one.release))
                    else {
                        return Err(Error::NotRunning {
                            app: app.name,
                            instance: wanted.chars().take(64).collect(),
                        });
                    };
                    let release = releases::find(reader, &app.id, found.release)?;
                    let target = Target::Inside {
                        name: wanted.clone(),
                        instance: found.id.clone(),
                        launcher: release
                            .and_then(|release| release.code)
                            .is_some_and(|code| code.launcher),
                    };
                    Ok((app, target))
                })
                .await?;
        let place = self.app.place_inside(&app.id, &app.name)?;
        Ok(self.ticket(place, app.id, app.name, target))
    }

    fn ticket(&self, place: Place, app: AppId, app_name: AppName, target: Target) -> Ticket {
        Ticket {
            place,
            app,
            app_name,
            user: self.user().to_owned(),
            target,
        }
    }
}

impl Ticket {
    /// Starts it, and stays with it to its end, which the client is told.
    pub async fn attend(self, start: Start, peer: Peer) {
        let output = peer.output.clone();
        if let Err(error) = self.try_attend(start, peer).await {
            attend::refuse(&output, &error);
        }
    }

    async fn try_attend(self, start: Start, peer: Peer) -> Result<()> {
        let env = parse(&start)?;
        match &self.target {
            Target::OneOff(ordinal) => self.run(*ordinal, start, env, peer).await,
            Target::Inside {
                name,
                instance,
                launcher,
            } => {
                self.note("api", format!("Session in {name} opened by {}", self.user));
                let command = command_of(start.command, &BTreeMap::new());
                let spec = ExecSpec {
                    command: command.argv(*launcher).unwrap_or_default(),
                    env: start.env,
                    terminal: start.terminal,
                    session: self.app().inner.sessions.mark.clone(),
                };
                let session = self
                    .app()
                    .inner
                    .sessions
                    .engine
                    .exec_session(instance, &spec)
                    .await;
                let session = session.map_err(|error| self.not_started(name, &error))?;
                attend::attend(session, peer, name, &self.bounds()).await;
                Ok(())
            }
        }
    }

    async fn run(&self, ordinal: u32, start: Start, env: ConfigVars, peer: Peer) -> Result<()> {
        let name = one_off_name(ordinal);
        let (app, secrets) = (self.app.clone(), Arc::clone(&self.app().inner.secrets));
        let app_name = self.app_name.clone();
        let host = self.app().default_host(&app_name);
        let (release, bound) = self
            .app()
            .store()
            .read(move |reader| {
                let release =
                    current_spec(reader, &secrets, &app, &host)?.ok_or(Error::NothingDeployed(app_name))?;
                let bound = bindings::of_release(reader, &secrets, &app, release.version)?;
                Ok::<_, Error>((release, bound))
            })
            .await?;
        let command = command_of(start.command, &release.processes);
        let shown = command.shown();
        let mut face = Face {
            command: shown.clone(),
            release: release.version.0,
            started_at: SystemTime::now(),
            is_up: false,
        };
        self.place.show(face.clone());
        self.note(&name, format!("{} by {}", reconcile::starting(&shown), self.user));
        let instance = reconcile::session(
            (self.app.clone(), self.app_name.clone()),
            &release,
            ordinal,
            command,
        );
        let mut config = instance.config.clone();
        config.extend(env);
        let spec = SessionSpec {
            instance: InstanceSpec {
                config,
                bindings: bound,
                ..instance
            },
            terminal: start.terminal,
            holder: self.app().inner.sessions.mark.clone(),
            time_limit: self.app().settings().limits.session_time + SLACK,
        };
        let session = match self.app().inner.sessions.engine.run_session(&spec).await {
            Ok(session) => session,
            Err(error) => {
                self.note(&name, format!("Process could not be started: {error}"));
                return Err(self.not_started(&name, &error));
            }
        };
        self.note(&name, "State changed from starting to up".to_owned());
        face.is_up = true;
        self.place.show(face);
        let end = attend::attend(session, peer, &name, &self.bounds()).await;
        for line in end.story() {
            self.note(&name, line);
        }
        Ok(())
    }

    fn bounds(&self) -> attend::Bounds {
        let limits = &self.app().settings().limits;
        attend::Bounds {
            time: limits.session_time,
            idle: limits.session_idle,
            stop: self.place.stop.clone(),
            closing: self.app().closing(),
        }
    }

    fn app(&self) -> &App {
        &self.place.app
    }

    fn not_started(&self, name: &str, error: &EngineError) -> Error {
        tracing::warn!(app = %self.app_name, name, %error, "a session did not start");
        Error::NotStarted {
            name: name.to_owned(),
            reason: error.to_string(),
        }
    }

    fn note(&self, process: &str, message: String) {
        let line = LogLine {
            time: OffsetDateTime::now_utc(),
            source: SOURCE_PVDIFY.to_owned(),
            process: process.to_owned(),
            message,
        };
        self.app().inner.logs.append(&self.app, line);
    }
}

/// The environment that was asked for; all of `start` is within its limits then.
fn parse(start: &Start) -> Result<ConfigVars> {
    let bytes: usize = start.command.iter().map(String::len).sum();
    if bytes > MAX_COMMAND_BYTES {
        return Err(Error::Invalid(format!(
            "a command has at most {} KiB",
            MAX_COMMAND_BYTES / 1024
        )));
    }
    if start.command.iter().any(|word| word.contains('\0'))
        || start.command.first().is_some_and(String::is_empty)
    {
        return Err(Error::Invalid(
            "a command is no empty text, and holds no NUL byte".to_owned(),
        ));
    }
    let var = |(key, value): (&String, &String)| {
        let key: ConfigKey = key.parse().map_err(Error::invalid)?;
        let value = ConfigValue::new(value.clone()).map_err(Error::Invalid)?;
        Ok((key, value))
    };
    start.env.iter().map(var).collect()
}

/// One text names a process type of the release, or is for a shell.
fn command_of(mut words: Vec<String>, types: &BTreeMap<ProcessType, String>) -> Command {
    if words.len() > 1 {
        return Command::Words(words);
    }
    let Some(text) = words.pop() else {
        return Command::Shell;
    };
    let process = text.parse::<ProcessType>().ok();
    match process.and_then(|process| types.get_key_value(&process)) {
        Some((process, command)) => Command::Process(process.clone(), command.clone()),
        None => Command::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_may_name_a_process_type_and_several_never_do() {
        let types = [("worker".parse().unwrap(), "run it".to_owned())].into();
        let of = |words: &[&str]| command_of(words.iter().map(|&word| word.to_owned()).collect(), &types);
        let worker = Command::Process("worker".parse().unwrap(), "run it".into());
        assert_eq!(of(&["worker"]), worker);
        assert_eq!(of(&["worker now"]), Command::Text("worker now".into()));
        assert_eq!(of(&["ls"]), Command::Text("ls".into()));
        assert_eq!(
            of(&["worker", "x"]),
            Command::Words(vec!["worker".into(), "x".into()])
        );
        assert_eq!(of(&[]), Command::Shell);
    }
}
