//! Server, control plane and a client with a registered key, on ports and in folders of their own.

use crate::{client::Client, client::Said, control::Control};
use git_receiver::{Config, Limits, Server};
use std::{path::PathBuf, time::Duration};
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) control: Control,
    pub(crate) client: Client,
    pub(crate) fingerprint: String,
    limits: Limits,
    server: Option<Running>,
    control_task: JoinHandle<()>,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    /// The apps `demo` and `other` exist.
    pub(crate) async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::default();
        for app in ["demo", "other"] {
            control.script().apps.insert(app.to_owned(), format!("id-{app}"));
        }
        let control_task = control.serve(&folder.path().join("control.sock"));
        let (running, port, _) = serve(folder.path().to_owned(), limits.clone()).await;
        let client = Client::new(port, "ed25519").await;
        let fingerprint = client.fingerprint().await;
        control
            .script()
            .keys
            .insert(fingerprint.clone(), "ada".to_owned());
        Self {
            folder,
            control,
            client,
            fingerprint,
            limits,
            server: Some(running),
            control_task,
        }
    }

    /// A client with a key that no one registered.
    pub(crate) async fn stranger(&self, kind: &str) -> Client {
        Client::new(self.client.port, kind).await
    }

    /// Registers the key of a client.
    pub(crate) async fn register(&self, client: &Client, name: &str) {
        let fingerprint = client.fingerprint().await;
        self.control.script().keys.insert(fingerprint, name.to_owned());
    }

    /// Another clone with the registered key.
    pub(crate) async fn second_client(&self) -> Client {
        let mut client = Client::new(self.client.port, "ed25519").await;
        client.key.clone_from(&self.client.key);
        client
    }

    pub(crate) fn repos(&self) -> PathBuf {
        self.folder.path().join("repos")
    }

    pub(crate) fn git_dir(&self, app: &str) -> PathBuf {
        self.repos().join(format!("id-{app}.git"))
    }

    pub(crate) fn quarantines(&self) -> Vec<PathBuf> {
        let listed = std::fs::read_dir(self.repos().join("quarantine")).unwrap();
        listed.map(|entry| entry.unwrap().path()).collect()
    }

    /// The real git, on the server's own repository.
    pub(crate) async fn server_git(&self, app: &str, args: &[&str]) -> Said {
        let git_dir = format!("--git-dir={}", self.git_dir(app).display());
        let mut all = vec![git_dir.as_str()];
        all.extend_from_slice(args);
        self.client.git(&all).await
    }

    pub(crate) async fn server_ref(&self, app: &str, name: &str) -> Option<String> {
        let said = self.server_git(app, &["rev-parse", "-q", "--verify", name]).await;
        said.ok.then(|| said.out.trim().to_owned())
    }

    #[track_caller]
    pub(crate) fn assert_no_quarantine(&self) {
        assert_eq!(self.quarantines(), Vec::<PathBuf>::new());
    }

    /// Waits for what the server does on its own time.
    pub(crate) async fn eventually(what: &str, met: impl AsyncFn() -> bool) {
        tokio::time::timeout(Duration::from_secs(60), async {
            while !met().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
    }

    /// Ends the server and starts it anew on the same folder.
    pub(crate) async fn restart(&mut self) {
        self.stop_server().await;
        let (running, port, _) = serve(self.folder.path().to_owned(), self.limits.clone()).await;
        self.client.port = port;
        self.server = Some(running);
    }

    pub(crate) async fn stop_server(&mut self) {
        if let Some(Running { stop, task }) = self.server.take() {
            stop.send(()).unwrap();
            task.await.unwrap();
        }
    }

    pub(crate) fn stop_control(&self) {
        self.control_task.abort();
    }
}

async fn serve(folder: PathBuf, limits: Limits) -> (Running, u16, String) {
    let control = pvdify_client::Client::over_control_socket(&folder.join("control.sock")).unwrap();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        repos: folder.join("repos"),
        host_key: folder.join("ssh_host_key"),
        limits,
    };
    let server = Server::bind(config, control).await.unwrap();
    let (port, fingerprint) = (server.local_addr().port(), server.host_key_fingerprint());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        server
            .run(async {
                stopped.await.ok();
            })
            .await
            .unwrap();
    });
    (Running { stop, task }, port, fingerprint)
}
