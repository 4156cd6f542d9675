//! Builds every part in order and stops them in reverse.
//!
//! The order is the architecture: what serves is bound first, so that a taken address stops the start before
//! anything changed; the database, the registry and the engine come next; then what lost its owner with the
//! process before is ended; and only then is anything answered. git-receiver and router get nothing but a
//! client of the control socket, as if they were processes of their own.

mod addresses;
mod beside;
mod images;
mod lock;
mod registry;

use crate::{
    app::{App, AppDeps, Limits, Settings},
    config::Config,
    engine::{
        podman::{PodmanEngine, PodmanOptions, RegistryAccess},
        probe,
        service::{PodmanService, ServiceOptions},
    },
    garbage::{self, Garbage},
    http::{self, HttpSettings},
    logs::LogStore,
    reconcile::{ReconcileOptions, Reconciler, handle::Handle},
    store::{self, Secrets, Store},
    volumes::Volumes,
};
use addresses::Addresses;
pub(crate) use beside::{lock_control, running_server};
use pvdify_builder::podman::Libpod;
use pvdify_client::Client;
use std::{
    error::Error,
    fs,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, signal::unix::SignalKind, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// A start that failed, or a part that ended: one sentence and its causes.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs until SIGTERM or SIGINT, or until a part fails.
///
/// # Errors
/// When a part can't start, or ends by itself.
pub async fn serve(config: Config) -> Result<(), Failure> {
    init_tracing(&config.log_level)?;
    prepare_folders(&config.state_dir)?;
    let _locks = lock::take(&config.state_dir, config.parts)?;
    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    let mut addresses = Addresses::default();

    // Bound before anything else; served last.
    let control_client = Client::over_control_socket(&config.control_socket())?;
    let router = bind_router(&config, &control_client, &mut addresses).await?;
    let git = bind_git(&config, &control_client, &mut addresses).await?;

    if config.parts.control {
        let ssh_port = addresses
            .ssh
            .map_or(config.ssh_listen.port(), |address| address.port());
        let http_port = addresses
            .http
            .map_or(config.http_listen.port(), |address| address.port());
        let ports = PublicPorts {
            ssh: ssh_port,
            http: http_port,
        };
        start_control(&config, ports, &mut addresses, &mut parts, &stop).await?;
    }
    if let Some(server) = router {
        let stopped = stop.clone().cancelled_owned();
        parts.spawn(async move { ("router", server.run(stopped).await.map_err(Failure::from)) });
    }
    if let Some(server) = git {
        let stopped = stop.clone().cancelled_owned();
        parts.spawn(async move { ("git-receiver", server.run(stopped).await.map_err(Failure::from)) });
    }
    addresses.publish(&config.state_dir, config.parts)?;
    tracing::info!(
        api = ?addresses.api, http = ?addresses.http, ssh = ?addresses.ssh, registry = ?addresses.registry,
        state = %config.state_dir.display(), "pvdifyd {} serves", env!("CARGO_PKG_VERSION")
    );
    run_until_told(parts, stop).await
}

/// What people type, which in `--dev` tests is what the system gave.
#[derive(Clone, Copy)]
struct PublicPorts {
    ssh: u16,
    http: u16,
}

async fn run_until_told(
    mut parts: JoinSet<(&'static str, Result<(), Failure>)>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    let mut outcome = Ok(());
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping; apps go on"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping; apps go on"),
        Some(ended) = parts.join_next() => outcome = Err(describe(ended)),
    }
    stop.cancel();
    while let Some(ended) = parts.join_next().await {
        if let Ok((name, Err(error))) = ended {
            tracing::warn!(part = name, %error, "a part did not stop as it should");
        }
    }
    outcome
}

/// A part that ends before it is told to is a failure, also when it says all is well.
fn describe(ended: Result<(&'static str, Result<(), Failure>), tokio::task::JoinError>) -> Failure {
    match ended {
        Ok((name, Ok(()))) => format!("{name} ended by itself").into(),
        Ok((name, Err(error))) => format!("{name}: {error}").into(),
        Err(error) => format!("a part broke: {error}").into(),
    }
}

async fn bind_router(
    config: &Config,
    control: &Client,
    addresses: &mut Addresses,
) -> Result<Option<router::Server>, Failure> {
    if !config.parts.router {
        return Ok(None);
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let settings = router::Config {
        listen: config.http_listen,
        state_file: config.state_dir.join("router/routes.json"),
        threads,
        limits: router::Limits::default(),
        trusted_proxies: Vec::new(),
    };
    let server = router::Server::bind(settings, control.clone()).await?;
    addresses.http = Some(server.local_addr());
    Ok(Some(server))
}

async fn bind_git(
    config: &Config,
    control: &Client,
    addresses: &mut Addresses,
) -> Result<Option<git_receiver::Server>, Failure> {
    if !config.parts.git {
        return Ok(None);
    }
    let settings = git_receiver::Config {
        listen: config.ssh_listen,
        repos: config.state_dir.join("repos"),
        host_key: config.state_dir.join("keys/ssh_host_ed25519"),
        limits: git_receiver::Limits {
            pack_bytes: config.max_push_bytes,
            ..git_receiver::Limits::default()
        },
    };
    let server = git_receiver::Server::bind(settings, control.clone()).await?;
    addresses.ssh = Some(server.local_addr());
    tracing::info!(fingerprint = server.host_key_fingerprint(), "SSH host key");
    Ok(Some(server))
}

async fn start_control(
    config: &Config,
    ports: PublicPorts,
    addresses: &mut Addresses,
    parts: &mut JoinSet<(&'static str, Result<(), Failure>)>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let api = bind("the API (PVDIFY_LISTEN)", config.listen).await?;
    let registry = bind("the registry (PVDIFY_REGISTRY_LISTEN)", config.registry_listen).await?;
    addresses.api = Some(api.local_addr()?);
    addresses.registry = Some(registry.local_addr()?);

    let store = Store::open(&config.state_dir.join("pvdify.db"))?;
    fs::write(
        config.state_dir.join("installation-id"),
        format!("{}\n", store.installation()),
    )?;
    let sealed_rows_exist = store.read(store::anything_sealed).await?;
    let secrets = Secrets::open(&config.key_file, sealed_rows_exist)?;
    if secrets.is_rotating()? {
        tracing::warn!("a rotation of the sealing key was broken off: run pvdifyd key rotate to finish it");
    }

    let blobs = pvdify_registry::Store::open(&config.state_dir.join("registry"))?;
    let own_access = RegistryAccess {
        address: registry.local_addr()?.to_string(),
        user: "pvdifyd".to_owned(),
        password: registry::fresh_password()?,
    };
    let podman = Arc::new(find_podman(config).await?);
    let host = probe::probe(podman.socket()).await?;
    for finding in host
        .findings
        .iter()
        .filter(|finding| finding.level != probe::Level::Ok)
    {
        let fix = finding.fix.as_deref().unwrap_or_default();
        tracing::warn!(finding = finding.name, value = finding.value, fix, "this host");
    }
    let images = images::BuilderImages::new(
        config,
        podman.socket(),
        &host.limits,
        &own_access,
        store.installation(),
        blobs.clone(),
    );
    images.sweep_interrupted().await;
    let builder = images.builder();
    let (installation, podman_socket) = (store.installation().clone(), podman.socket().to_owned());
    let volumes = Volumes::open(&config.state_dir.join("volumes")).map_err(|error| {
        format!(
            "can't open the volumes below {}: {error}",
            config.state_dir.display()
        )
    })?;
    let options = PodmanOptions {
        limits: host.limits,
        init: host.init,
        registry: Some(own_access.clone()),
    };
    let engine = PodmanEngine::new(store.installation().clone(), podman, options, volumes.clone());
    let engine = Arc::new(engine);

    let logs = LogStore::open(&config.state_dir.join("logs"))?;
    let (handle, ends) = Handle::new();
    let app = App::new(AppDeps {
        store,
        secrets,
        images: Arc::new(images),
        sessions: engine.clone(),
        handle,
        logs: logs.clone(),
        volumes,
        settings: settings(config, ports),
    });
    app.reap().await?;
    app.sweep_sessions().await;

    let access = Arc::new(registry::OwnAccess::new(&own_access, app.clone()));
    let registry_router = pvdify_registry::router(blobs.clone(), access);
    let stopped = stop.clone().cancelled_owned();
    parts.spawn(async move {
        let served = axum::serve(registry, registry_router)
            .with_graceful_shutdown(stopped)
            .await;
        ("registry", served.map_err(Failure::from))
    });
    publish_run_image(builder.clone());
    let garbage = Garbage::new(
        app.clone(),
        blobs,
        builder,
        Libpod::new(podman_socket),
        garbage::Settings {
            installation,
            registry: own_access.address,
            keep_images: config.keep_images,
            period: config.garbage_period,
        },
    );
    let stopped = stop.clone();
    parts.spawn(async move {
        garbage.run(stopped).await;
        ("garbage collection", Ok(()))
    });

    let reconciler = Reconciler::new(
        Arc::new(app.clone()),
        engine,
        logs,
        ends,
        ReconcileOptions::default(),
    )?;
    let stopped = stop.clone();
    parts.spawn(async move {
        reconciler.run(stopped).await;
        ("reconciler", Ok(()))
    });

    let control = http::bind_control(&config.control_socket()).await?;
    let stopped = stop.clone().cancelled_owned();
    let served_app = app.clone();
    parts.spawn(async move {
        (
            "control socket",
            http::serve_control(control, served_app, stopped)
                .await
                .map_err(Failure::from),
        )
    });

    let http_settings = HttpSettings {
        dev: config.dev,
        names: config.api_names(),
        static_dir: config.static_dir.clone(),
    };
    let api_router = http::api_router(app.clone(), http_settings);
    let stopped = stop.clone().cancelled_owned();
    parts.spawn(async move {
        (
            "API",
            http::serve_api(api, api_router, stopped)
                .await
                .map_err(Failure::from),
        )
    });

    let swept_app = app.clone();
    parts.spawn(async move {
        swept_app.keep_sweeping().await;
        ("what sessions leave", Ok(()))
    });
    // Streams would hold their servers for ever; sessions are ended, and waited for.
    let stopped = stop.clone().cancelled_owned();
    parts.spawn(async move {
        stopped.await;
        app.close();
        app.sessions_ended().await;
        ("open streams", Ok(()))
    });
    Ok(())
}

/// Apps' images stand on what is published; a deploy by Dockerfile works without, so a start does not wait for it.
fn publish_run_image(builder: pvdify_builder::Builder) {
    tokio::spawn(async move {
        match builder.publish_run_image().await {
            Ok(published) => tracing::info!(
                digest = %published.digest,
                changed = published.changed,
                "the run image of apps is published"
            ),
            Err(error) => tracing::warn!(%error, "the run image of apps is not published"),
        }
    });
}

/// Podman's API, found or started, with the runtime that works on this host.
pub(crate) async fn find_podman(config: &Config) -> Result<PodmanService, Failure> {
    let options = ServiceOptions {
        socket: config.podman_socket.clone(),
        ..ServiceOptions::new(&config.state_dir)
    };
    Ok(PodmanService::find_or_start(options).await?)
}

async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| format!("can't listen on {address} for {what}: {error}").into())
}

fn settings(config: &Config, ports: PublicPorts) -> Settings {
    let ssh_host = match config.domain.as_str() {
        "localhost" => "127.0.0.1".to_owned(),
        domain => domain.to_owned(),
    };
    Settings {
        domain: config.domain.clone(),
        web_scheme: "http",
        web_port: (ports.http != 80).then_some(ports.http),
        ssh_host,
        ssh_port: ports.ssh,
        build_dir: config.state_dir.join("builds"),
        limits: Limits {
            build_time: config.build_timeout + Duration::from_secs(60),
            images_kept: config.keep_images,
            sessions: config.max_sessions,
            session_time: config.session_timeout,
            session_idle: config.session_idle,
            ..Limits::default()
        },
    }
}

/// Everything below the state directory is for its owner alone.
fn prepare_folders(state_dir: &Path) -> Result<(), Failure> {
    for name in ["", "run", "keys", "router", "repos", "registry", "builds", "logs"] {
        let dir = state_dir.join(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| format!("can't make {}: {error}", dir.display()))?;
    }
    fs::set_permissions(state_dir, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

fn init_tracing(filter: &str) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| format!("PVDIFY_LOG_LEVEL: {error}; as in info or pvdifyd=debug"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        // It would be told of on stderr, which can't be written: that panics.
        .log_internal_errors(false)
        .try_init()
}
