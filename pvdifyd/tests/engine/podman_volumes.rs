//! Volumes on a real Podman.

use crate::{podman::spec, sandbox::Sandbox};
use pvdify_types::{VolumeId, VolumeMount};
use pvdifyd::engine::{EngineError, InstanceEngine};
use std::{fs, time::Duration};

const GRACE: Duration = Duration::from_secs(10);

fn mount(id: &VolumeId, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        id: id.clone(),
        volume: id.as_str().parse().unwrap(),
        process: None,
        path: path.parse().unwrap(),
        read_only,
        shared: false,
    }
}

#[tokio::test]
async fn a_volume_is_mounted_plainly_outlives_its_container_and_is_never_made_anew() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let volumes = sandbox.volumes();
    let (data, notes): (VolumeId, VolumeId) = ("data".parse().unwrap(), "notes".parse().unwrap());
    let mut spec = spec(&sandbox, "worker", "exec sleep 600");
    for volume in [&data, &notes] {
        volumes.create(&spec.key.app, volume).unwrap();
    }
    spec.mounts = vec![mount(&data, "/data", false), mount(&notes, "/notes/in", true)];
    let id = engine.start(&spec).await.unwrap();
    let run = async |command: &str| {
        let command = ["sh", "-c", command].map(str::to_owned);
        engine.exec(&id, &command).await.unwrap()
    };
    assert_eq!(run("echo kept > /data/file").await.status, 0);
    assert_ne!(run("echo x > /notes/in/file").await.status, 0);
    let table = run("cat /proc/self/mountinfo").await.stdout;
    let table = String::from_utf8(table).unwrap();
    for (path, access) in [("/data", "rw"), ("/notes/in", "ro")] {
        let line = table
            .lines()
            .find(|line| line.contains(&format!(" {path} ")))
            .unwrap();
        let options = line.split(' ').nth(5).unwrap();
        assert!(options.starts_with(&format!("{access},nosuid,nodev")), "{line}");
        // Neither sees what is mounted in the other later.
        assert!(!line.contains("shared:") && !line.contains("master:"), "{line}");
    }
    engine.stop(&id, GRACE).await.unwrap();
    engine.remove(&id).await.unwrap();
    let folder = volumes.data(&spec.key.app, &data).unwrap();
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "kept\n");

    fs::rename(&folder, folder.with_file_name("away")).unwrap();
    assert!(matches!(
        engine.prepare(&spec).await,
        Err(EngineError::Refused(_))
    ));
    let refused = engine.start(&spec).await.unwrap_err();
    let EngineError::Refused(reason) = refused else {
        panic!("{refused}");
    };
    assert!(
        reason.starts_with("the volume data can't be mounted: "),
        "{reason}"
    );
    assert!(!folder.exists());
    // A link in its place leads nowhere.
    std::os::unix::fs::symlink("/etc", &folder).unwrap();
    assert!(matches!(engine.start(&spec).await, Err(EngineError::Refused(_))));
    assert!(engine.list().await.unwrap().is_empty());
}
