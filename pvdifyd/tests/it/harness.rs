//! A whole control plane in a temporary folder, on ports of its own.

use crate::scripted_sessions::ScriptedSessions;
use async_trait::async_trait;
use pvdify_api::{apps::CreateApp, keys::AddKey, releases::CreateRelease};
use pvdify_client::Client;
use pvdify_types::{
    AppName, Generation, ImageName, ImageRef, OneOffStatus, ProcessType, ReleaseStatus, ReleaseVersion,
    Route, RouteTable, Setup, app_json,
};
use pvdifyd::{
    app::{
        App, AppDeps, Limits, Scope, Settings,
        ports::{BuildRequest, BuiltImage, ImageError, Images, RunImage},
        tokens,
    },
    engine::InstanceKind,
    http::{self, HttpSettings},
    logs::LogStore,
    reconcile::{
        desired::{ControlState, DesiredApp, OneOff, OneOffEnd},
        handle::{Handle, HandleEnds, InstanceState, Observation, ObservedInstance},
    },
    store::{Secrets, Store, anything_sealed},
    volumes::Volumes,
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// An Ed25519 public key made for these tests, and its fingerprint as `ssh-keygen -l` prints it.
pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOD4bdw/GXzpfhwtDzI8KCiqwzN7/6pSgluwmeV2t/3N ada@example.com";
pub(crate) const FINGERPRINT: &str = "SHA256:wHgjfi37VQLKT36Khw0qcemjr96gwC9G37+yTB1Q68I";

/// Images by the text of the reference or the source:
/// `bad` is refused, `gate` waits until the test opens the gate, `unhealthy` never becomes ready,
/// `command` has a release command, that fails if it also says `fail`, `worker` has a worker too, `port` exposes 3000 and has a health path, `buildpack` stands on the run image.
pub(crate) struct ScriptedImages {
    gate: watch::Sender<bool>,
    pub(crate) builds: AtomicUsize,
    /// The published run image's name; none when empty.
    pub(crate) run_image: watch::Sender<String>,
}

impl ScriptedImages {
    async fn image(&self, app: &AppName, text: &str) -> Result<BuiltImage, ImageError> {
        if text.contains("gate") {
            let mut gate = self.gate.subscribe();
            gate.wait_for(|open| *open)
                .await
                .map_err(|_| ImageError::Unavailable("gone".into()))?;
        }
        if text.contains("bad") {
            return Err(ImageError::Refused(format!("{text} is bad\nsecond line")));
        }
        assert!(!text.contains("panic"), "on purpose");
        let run_image = self.run_image.borrow().clone();
        let kind = match text {
            text if text.contains("unhealthy") => "unhealthy",
            text if text.contains("buildpack") => &run_image,
            _ => "ok",
        };
        let digest = hex::encode(Sha256::digest(text));
        let mut processes = BTreeMap::from([(ProcessType::web(), String::new())]);
        if text.contains("worker") {
            processes.insert("worker".parse().unwrap(), "work".into());
        }
        if text.contains("command") {
            let command = if text.contains("fail") { "fail" } else { "migrate" };
            processes.insert("release".parse().unwrap(), command.into());
        }
        Ok(BuiltImage {
            image: format!("127.0.0.1:5000/{app}/{kind}@sha256:{digest}")
                .parse()
                .unwrap(),
            processes,
            launcher: false,
            exposed_port: text.contains("port").then_some(3000),
            healthcheck_path: text.contains("port").then(|| "/up".into()),
            healthcheck_timeout: text.contains("port").then_some(7),
            setup: setup(text),
        })
    }
}

/// What the app.json of a source with one says.
fn setup(text: &str) -> Setup {
    if !text.contains("setup") {
        return Setup::default();
    }
    let postdeploy = if text.contains("fail") {
        "seed fail"
    } else {
        "seed"
    };
    let json =
        r#"{"env": {"GREETING": "hi", "SECRET": {"generator": "secret"}, "KEY": {"description": "for mail"}},
        "formation": {"worker": {"quantity": 2}}, "scripts": {"postdeploy": "POSTDEPLOY"}}"#
            .replace("POSTDEPLOY", postdeploy);
    Setup::of(&app_json::parse(json.as_bytes()).unwrap()).unwrap()
}

#[async_trait]
impl Images for ScriptedImages {
    async fn build(
        &self,
        request: BuildRequest,
        output: mpsc::Sender<String>,
    ) -> Result<BuiltImage, ImageError> {
        self.builds.fetch_add(1, Ordering::SeqCst);
        let source = std::fs::read_to_string(&request.source).unwrap();
        output.send(format!("-----> Building {source}")).await.unwrap();
        if !request.buildpacks.is_empty() {
            let names: Vec<_> = request.buildpacks.iter().map(ToString::to_string).collect();
            output
                .send(format!("       with {}", names.join(" ")))
                .await
                .unwrap();
        }
        if !request.bindings.is_empty() {
            let names: Vec<_> = request.bindings.iter().map(|one| one.name().as_str()).collect();
            let line = format!("       bound to {}", names.join(" "));
            output.send(line).await.unwrap();
        }
        if !request.config.is_empty() {
            let vars = request.config.iter();
            let vars: Vec<_> = vars
                .map(|(key, var)| format!("{key} ({} bytes)", var.value.reveal().len()))
                .collect();
            let line = format!("       sees {}", vars.join(" "));
            output.send(line).await.unwrap();
        }
        if let Some(set) = &request.first_config {
            setup(&source).check(set).map_err(ImageError::Refused)?;
        }
        self.image(&request.app, &source).await
    }
    async fn import(&self, app: &AppName, image: &ImageName) -> Result<BuiltImage, ImageError> {
        self.image(app, &image.to_string()).await
    }
    async fn publish_run_image(&self) -> Result<RunImage, ImageError> {
        let text = self.run_image.borrow().clone();
        if text.is_empty() {
            return Err(ImageError::Unavailable("there is no run image".into()));
        }
        let digest = digest(&text).parse().unwrap();
        Ok(RunImage {
            digest,
            changed: true,
        })
    }
    async fn forget(&self, _: &AppName) -> Result<(), ImageError> {
        Ok(())
    }

    /// An image's repository tells which run image it is on; none of its own: no buildpack built it.
    async fn rebase(&self, app: &AppName, image: &ImageRef) -> Result<ImageRef, ImageError> {
        let on = image.repository.rsplit('/').next().unwrap();
        let run_image = self.run_image.borrow().clone();
        if on == run_image {
            return Ok(image.clone());
        }
        if !on.starts_with("run") {
            return Err(ImageError::Refused(format!(
                "{app}: no buildpack built it. Deploy it again instead"
            )));
        }
        let kind = if run_image.contains("unhealthy") {
            "unhealthy"
        } else {
            &run_image
        };
        let digest = digest(&format!("{} on {run_image}", image.digest));
        Ok(format!("127.0.0.1:5000/{app}/{kind}@{digest}").parse().unwrap())
    }
}

pub(crate) struct Options {
    pub(crate) dev: bool,
    pub(crate) reconcile: bool,
    pub(crate) limits: Limits,
    pub(crate) static_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dev: true,
            reconcile: true,
            limits: Limits {
                free_bytes: 0,
                delete_time: Duration::from_secs(30),
                ..Limits::default()
            },
            static_dir: None,
        }
    }
}

pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) store: Store,
    pub(crate) images: Arc<ScriptedImages>,
    pub(crate) sessions: Arc<ScriptedSessions>,
    pub(crate) logs: LogStore,
    pub(crate) url: String,
    pub(crate) reconciling: watch::Sender<bool>,
    /// Every candidate fails.
    pub(crate) doomed: watch::Sender<bool>,
    pub(crate) generations: watch::Receiver<Generation>,
    /// As the reconciler saw it last.
    pub(crate) desired: watch::Receiver<Vec<DesiredApp>>,
    tasks: Vec<JoinHandle<()>>,
    dir: Option<TempDir>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), options).await
    }

    pub(crate) async fn in_dir(dir: TempDir, options: Options) -> Self {
        let root = dir.path();
        let store = Store::open(&root.join("pvdify.db")).unwrap();
        let sealed = store.read(anything_sealed).await.unwrap();
        let secrets = Secrets::open(&root.join("key"), sealed).unwrap();
        let images = Arc::new(ScriptedImages {
            gate: watch::channel(false).0,
            builds: AtomicUsize::new(0),
            run_image: watch::channel("run-1".to_owned()).0,
        });
        let sessions = Arc::new(ScriptedSessions::default());
        let (handle, ends) = Handle::new();
        let logs = LogStore::open(&root.join("logs")).unwrap();
        let app = App::new(AppDeps {
            store: store.clone(),
            secrets,
            images: images.clone(),
            sessions: sessions.clone(),
            handle,
            logs: logs.clone(),
            volumes: Volumes::open(&root.join("volumes")).unwrap(),
            settings: Settings {
                domain: "localhost".into(),
                web_scheme: "http",
                web_port: Some(8080),
                ssh_host: "localhost".into(),
                ssh_port: 2222,
                build_dir: root.join("builds"),
                limits: options.limits,
            },
        });
        app.reap().await.unwrap();

        let settings = HttpSettings {
            dev: options.dev,
            names: vec!["apps.example.com".into(), "pvdify.apps.example.com".into()],
            static_dir: options.static_dir,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = http::api_router(app.clone(), settings);
        let socket = http::bind_control(&root.join("control.sock")).await.unwrap();
        let (reconciling, run) = watch::channel(options.reconcile);
        let (doomed, doom) = watch::channel(false);
        let (generation, generations) = watch::channel(Generation(0));
        let (seen, desired) = watch::channel(Vec::new());
        let (closing, control_app) = (app.closing(), app.clone());
        let until = {
            let closing = closing.clone();
            async move { closing.cancelled().await }
        };
        let tasks = vec![
            tokio::spawn(async move {
                http::serve_api(listener, router, closing.cancelled_owned())
                    .await
                    .unwrap();
            }),
            tokio::spawn(async move {
                http::serve_control(socket, control_app, until).await.unwrap();
            }),
            tokio::spawn(reconcile(app.clone(), ends, run, doom, generation, seen)),
        ];
        Self {
            app,
            store,
            images,
            sessions,
            logs,
            url,
            reconciling,
            doomed,
            generations,
            desired,
            tasks,
            dir: Some(dir),
        }
    }

    /// As if the process had been killed: nothing is finished, nothing cleaned up but memory.
    pub(crate) async fn kill(mut self) -> TempDir {
        for task in self.tasks.drain(..) {
            task.abort();
            task.await.ok();
        }
        self.dir.take().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.as_ref().unwrap().path().join(name)
    }

    /// Lets every `gate` image through.
    pub(crate) fn open_gate(&self) {
        self.images.gate.send_replace(true);
    }

    pub(crate) fn client(&self) -> Client {
        Client::over_tcp(&self.url, None).unwrap()
    }

    pub(crate) fn control(&self) -> Client {
        Client::over_control_socket(&self.path("control.sock")).unwrap()
    }

    pub(crate) async fn token(&self, scope: Scope) -> String {
        tokens::create(&self.store, scope.as_str(), scope, tokens::DEFAULT_LIFETIME)
            .await
            .unwrap()
    }

    pub(crate) async fn create(&self, name: &str) -> AppName {
        let body = CreateApp {
            name: name.into(),
            environment: None,
        };
        self.client().create_app(&body).await.unwrap().name
    }

    pub(crate) async fn deploy(&self, app: &AppName, image: &str) -> ReleaseVersion {
        let body = CreateRelease { image: image.into() };
        self.client().create_release(app, &body).await.unwrap().version
    }

    /// Waits for a release's end by its events, and gives it.
    pub(crate) async fn ended(&self, app: &AppName, version: ReleaseVersion) -> ReleaseStatus {
        let mut events = self.client().release_events(app, version).await.unwrap();
        while let Some(event) = events.next().await.unwrap() {
            if let pvdify_api::releases::ReleaseEvent::Done { status, .. } = event {
                return status;
            }
        }
        panic!("the events ended without the release's end");
    }

    /// An app with one release that serves.
    pub(crate) async fn serving(&self, name: &str, image: &str) -> AppName {
        let app = self.create(name).await;
        let version = self.deploy(&app, image).await;
        assert_eq!(self.ended(&app, version).await, ReleaseStatus::Current);
        app
    }

    pub(crate) async fn add_key(&self) {
        let body = AddKey {
            public_key: KEY.into(),
            name: None,
        };
        self.client().add_key(&body).await.unwrap();
    }

    /// `version status` of all releases, oldest first.
    pub(crate) async fn history(&self, app: &AppName) -> Vec<String> {
        let mut all = self.client().releases(app).await.unwrap();
        all.reverse();
        all.iter()
            .map(|release| format!("{} {}", release.version, release.status))
            .collect()
    }

    /// Every row of every table that a request can change.
    pub(crate) fn dump(&self) -> String {
        dump(&self.path("pvdify.db"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.app.close();
        self.tasks.iter().for_each(JoinHandle::abort);
        let Some(dir) = self.dir.take() else { return };
        // A folder from which something takes files at the same time, as a volume's destruction does, is not removed
        // at once: whoever looks for a file that is gone by then gives up.
        let path = dir.keep();
        let gone = (0..200).any(|_| {
            let removed = std::fs::remove_dir_all(&path);
            let gone = removed.is_ok() || !path.exists();
            if !gone {
                std::thread::sleep(Duration::from_millis(10));
            }
            gone
        });
        assert!(
            gone || std::thread::panicking(),
            "{} can't be removed",
            path.display()
        );
    }
}

pub(crate) fn dump(path: &Path) -> String {
    let db = rusqlite::Connection::open(path).unwrap();
    let mut names = db
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'installation' ORDER BY name",
        )
        .unwrap();
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut text = String::new();
    for name in names {
        let mut rows = db
            .prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2"))
            .unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<_> = (0..columns).map(|i| cell(row.get_ref(i).unwrap())).collect();
            text.push_str(&format!("{name}: {}\n", cells.join(", ")));
        }
    }
    text
}

fn cell(value: rusqlite::types::ValueRef<'_>) -> String {
    match value.as_str() {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{value:?}"),
    }
}

/// Of the image that the reference `text` stands for.
pub(crate) fn digest(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text)))
}

/// Does in a moment what the real one does with containers.
async fn reconcile(
    app: App,
    ends: HandleEnds,
    mut run: watch::Receiver<bool>,
    doom: watch::Receiver<bool>,
    generation: watch::Sender<Generation>,
    seen: watch::Sender<Vec<DesiredApp>>,
) {
    let mut last = app.last_generation().await.unwrap();
    loop {
        if run.wait_for(|run| *run).await.is_err() {
            return;
        }
        let apps = app.load().await.unwrap();
        let (mut instances, mut table) = (Vec::new(), RouteTable::default());
        for one in &apps {
            if one.deleting {
                app.forget(&one.id).await.unwrap();
                continue;
            }
            for one_off in &one.one_offs {
                run_once(&app, one, one_off).await;
                ends.wake.notify_one();
            }
            if let Some(candidate) = one.candidate.as_ref().filter(|it| !it.waits_for_command) {
                let version = candidate.spec.version;
                app.progress(&one.id, version, format!("web.1 of {version} starts"))
                    .await;
                if *doom.borrow() || candidate.spec.image.repository.ends_with("unhealthy") {
                    let tail = vec!["boom".to_owned()];
                    app.fail(&one.id, version, "web.1 exited with status 1".into(), tail)
                        .await
                        .unwrap();
                } else {
                    app.activate(&one.id, version).await.unwrap();
                }
                ends.wake.notify_one();
            }
            instances.extend(observed(one));
            let index = table.routes.len();
            table.routes.push(Route {
                app: one.name.clone(),
                endpoints: Vec::new(),
                maintenance: false,
            });
            table
                .hosts
                .extend(one.hosts.iter().map(|host| (host.clone(), index)));
        }
        let at_rest = apps.iter().filter(|app| app.held).map(|app| app.id.clone());
        let at_rest = at_rest.collect();
        let observation = Observation { instances, at_rest };
        ends.observation.send_replace(Arc::new(observation));
        let shown = ends.routes.borrow().clone();
        if shown.generation == Generation(0) || (&table.hosts, &table.routes) != (&shown.hosts, &shown.routes)
        {
            last = last.next();
            table.generation = last;
            app.save_generation(&table).await.unwrap();
            ends.routes.send_replace(Arc::new(table));
            generation.send_replace(last);
        }
        seen.send_replace(apps);
        // The tick is for a test that reopened the database under it.
        tokio::time::timeout(Duration::from_millis(500), ends.wake.notified())
            .await
            .ok();
    }
}

/// Runs what runs once: a command that holds `fail` ends with status 3.
async fn run_once(app: &App, of: &DesiredApp, one_off: &OneOff) {
    let failed = one_off.command.contains("fail");
    app.one_off_began(&of.id, one_off.name, SystemTime::now())
        .await
        .unwrap();
    let end = OneOffEnd {
        status: if failed {
            OneOffStatus::Failed
        } else {
            OneOffStatus::Succeeded
        },
        exit_status: Some(if failed { 3 } else { 0 }),
        failure: failed.then(|| "exited with status 3".to_owned()),
        output: vec![format!("{} ran", one_off.command)],
    };
    app.one_off_ended(&of.id, one_off.name, end).await.unwrap();
}

fn observed(app: &DesiredApp) -> Vec<ObservedInstance> {
    let Some(current) = &app.current else {
        return Vec::new();
    };
    let of_type = |(process, count): (&ProcessType, &u32)| {
        let (process, version) = (process.clone(), current.version);
        (1..=*count)
            .map(|ordinal| ObservedInstance {
                id: format!("{}-{}-{process}-{ordinal}", app.name, version.0)
                    .to_lowercase()
                    .parse()
                    .unwrap(),
                kind: InstanceKind::Process,
                app: app.id.clone(),
                process: process.clone(),
                ordinal,
                release: version,
                state: InstanceState::Up,
                restarts: 0,
                started_at: Some(SystemTime::UNIX_EPOCH),
            })
            .collect::<Vec<_>>()
    };
    app.formation.iter().flat_map(of_type).collect()
}

/// A pinned image of ours.
pub(crate) fn image_of(app: &AppName, text: &str) -> ImageRef {
    format!("127.0.0.1:5000/{app}/ok@{}", digest(text))
        .parse()
        .unwrap()
}
