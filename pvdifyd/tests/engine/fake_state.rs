//! A database in memory, with the rules that the real one keeps, and faults.

use async_trait::async_trait;
use pvdify_types::{
    AppId, Binding, ConfigVars, Formation, Generation, ImageRef, InstallationId, OneOffKind, OneOffName,
    ReleaseVersion, Resources, RouteTable,
};
use pvdifyd::reconcile::desired::{
    About, Candidate, ControlState, DesiredApp, OneOff, OneOffEnd, Readiness, ReleaseSpec, Result,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use crate::harness::Faults;

/// What a test sees of it.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) apps: BTreeMap<AppId, DesiredApp>,
    pub(crate) activated: Vec<u64>,
    pub(crate) failed: Vec<(u64, String, Vec<String>)>,
    /// Each one-off process that was seen running, and each that ended, with why it failed.
    pub(crate) began: Vec<OneOffName>,
    pub(crate) ended: Vec<(OneOffName, Option<String>)>,
    pub(crate) progress: Vec<String>,
    pub(crate) generation: u64,
}

pub(crate) struct FakeState {
    installation: InstallationId,
    rows: Mutex<Rows>,
    faults: Arc<Faults>,
}

impl FakeState {
    pub(crate) fn new(installation: &str, faults: &Arc<Faults>) -> Arc<Self> {
        Arc::new(Self {
            installation: installation.parse().unwrap(),
            rows: Mutex::default(),
            faults: Arc::clone(faults),
        })
    }

    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    /// Changes the only app.
    pub(crate) fn change(&self, change: impl FnOnce(&mut DesiredApp)) {
        change(self.rows().apps.values_mut().next().unwrap());
    }

    /// Adds an app `demo` whose v1 is to take over.
    pub(crate) fn create(&self, release: ReleaseSpec, scaled: &str) {
        let id: AppId = "a1".parse().unwrap();
        let app = DesiredApp {
            id: id.clone(),
            name: "demo".parse().unwrap(),
            deleting: false,
            formation: Formation::new(),
            current: None,
            candidate: Some(candidate(release, scaled)),
            orders: Vec::new(),
            held: false,
            hosts: vec!["demo.localhost".into()],
            one_offs: Vec::new(),
        };
        self.rows().apps.insert(id, app);
    }

    /// A release with a type `release` has its command run first, as `release.1001`.
    pub(crate) fn deploy(&self, release: ReleaseSpec, scaled: &str) {
        self.change(|app| {
            let command = release
                .processes
                .iter()
                .find(|(process, _)| process.is_release_phase());
            app.one_offs.extend(command.map(|(_, command)| OneOff {
                name: OneOffName {
                    kind: OneOffKind::Release,
                    number: 1001,
                },
                spec: Arc::new(release.clone()),
                command: command.clone(),
                is_running: false,
                deadline: SystemTime::now() + Duration::from_secs(60),
                timeout: Duration::from_secs(60),
            }));
            app.candidate = Some(Candidate {
                waits_for_command: !app.one_offs.is_empty(),
                ..candidate(release, scaled)
            });
        });
    }
}

pub(crate) fn candidate(spec: ReleaseSpec, scaled: &str) -> Candidate {
    Candidate {
        spec,
        formation: formation(scaled),
        deadline: SystemTime::now() + Duration::from_secs(60),
        waits_for_command: false,
    }
}

/// `web=1 worker=2`.
pub(crate) fn formation(text: &str) -> Formation {
    text.split_whitespace()
        .map(|part| {
            let (process, count) = part.split_once('=').unwrap();
            (process.parse().unwrap(), count.parse().unwrap())
        })
        .collect()
}

pub(crate) fn release(version: u64, image: &ImageRef, processes: &[(&str, &str)]) -> ReleaseSpec {
    ReleaseSpec {
        version: ReleaseVersion(version),
        image: image.clone(),
        processes: processes
            .iter()
            .map(|(process, command)| (process.parse().unwrap(), (*command).to_owned()))
            .collect(),
        launcher: false,
        config: ConfigVars::new(),
        port: 8080,
        readiness: Readiness::Tcp,
        start_timeout: Duration::from_secs(60),
        resources: Resources {
            memory_bytes: 64 * 1024 * 1024,
            pids: 64,
            cpu_millis: None,
        },
        commit: None,
        about: About::default(),
        mounts: Vec::new(),
    }
}

#[async_trait]
impl ControlState for FakeState {
    fn installation(&self) -> &InstallationId {
        &self.installation
    }

    async fn load(&self) -> Result<Vec<DesiredApp>> {
        self.faults.pass("load").await?;
        Ok(self.rows().apps.values().cloned().collect())
    }

    async fn bindings(&self, _: &AppId, _: ReleaseVersion) -> Result<Vec<Binding>> {
        Ok(Vec::new())
    }

    async fn activate(&self, app: &AppId, version: ReleaseVersion) -> Result<()> {
        self.faults.pass("activate").await?;
        {
            let mut rows = self.rows();
            let Some(app) = rows.apps.get_mut(app) else {
                return Ok(());
            };
            if let Some(candidate) = app
                .candidate
                .take_if(|candidate| candidate.spec.version == version)
            {
                app.formation = candidate.formation;
                app.current = Some(candidate.spec);
                rows.activated.push(version.0);
            }
        }
        self.faults.after("activate").await;
        Ok(())
    }

    async fn fail(
        &self,
        app: &AppId,
        version: ReleaseVersion,
        reason: String,
        log_tail: Vec<String>,
    ) -> Result<()> {
        self.faults.pass("fail").await?;
        {
            let mut rows = self.rows();
            let app = rows.apps.get_mut(app).unwrap();
            if app
                .candidate
                .take_if(|candidate| candidate.spec.version == version)
                .is_some()
            {
                rows.failed.push((version.0, reason, log_tail));
            }
        }
        self.faults.after("fail").await;
        Ok(())
    }

    async fn one_off_began(&self, app: &AppId, name: OneOffName, _: SystemTime) -> Result<()> {
        self.faults.pass("one_off_began").await?;
        {
            let mut rows = self.rows();
            let one_offs = &mut rows.apps.get_mut(app).unwrap().one_offs;
            if let Some(one_off) = one_offs.iter_mut().find(|one_off| one_off.name == name) {
                one_off.is_running = true;
                rows.began.push(name);
            }
        }
        self.faults.after("one_off_began").await;
        Ok(())
    }

    async fn one_off_ended(&self, app: &AppId, name: OneOffName, end: OneOffEnd) -> Result<()> {
        self.faults.pass("one_off_ended").await?;
        {
            let mut rows = self.rows();
            let app = rows.apps.get_mut(app).unwrap();
            let before = app.one_offs.len();
            app.one_offs.retain(|one_off| one_off.name != name);
            if app.one_offs.len() < before {
                let failure = end.failure.map(|failure| format!("{name} {failure}"));
                match &failure {
                    None => app
                        .candidate
                        .iter_mut()
                        .for_each(|it| it.waits_for_command = false),
                    Some(failure) => {
                        let version = app.candidate.take().unwrap().spec.version.0;
                        rows.failed.push((version, failure.clone(), end.output));
                    }
                }
                rows.ended.push((name, failure));
            }
        }
        self.faults.after("one_off_ended").await;
        Ok(())
    }

    async fn one_off_output(&self, _: &AppId, _: OneOffName, _: Vec<String>) -> Result<()> {
        Ok(())
    }

    async fn progress(&self, _: &AppId, version: ReleaseVersion, text: String) {
        self.rows().progress.push(format!("{version}: {text}"));
    }

    async fn forget(&self, app: &AppId) -> Result<()> {
        self.faults.pass("forget").await?;
        self.rows().apps.remove(app);
        self.faults.after("forget").await;
        Ok(())
    }

    async fn save_generation(&self, table: &RouteTable) -> Result<()> {
        self.faults.pass("save_generation").await?;
        {
            let mut rows = self.rows();
            self.faults.check(
                table.generation.0 > rows.generation,
                "a generation is not saved twice",
            );
            rows.generation = table.generation.0;
        }
        self.faults.after("save_generation").await;
        Ok(())
    }

    async fn last_generation(&self) -> Result<Generation> {
        self.faults.pass("last_generation").await?;
        Ok(Generation(self.rows().generation))
    }
}
