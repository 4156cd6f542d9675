//! An app's volumes in its containers: folders of the host, bind-mounted.
//!
//! A folder that is not there is a refusal: Podman would make an empty one, and the app would begin anew beside its data.
//! The first container that has a volume gives it to its image's user, since an image that does not run as root could not
//! write into a folder of root's; from then on owners are the app's own affair.

use super::during;
use crate::{
    engine::{EngineError, InstanceSpec, Result},
    volumes::Volumes,
};
use pvdify_builder::podman::{Libpod, Mount};
use pvdify_types::{InstanceId, VolumeMount};
use std::path::Path;

/// There where the kernel's SELinux is on.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// Of a file that lists users or groups.
const MAX_LIST: usize = 1 << 20;

/// The mounts of a container.
pub(super) fn mounts(volumes: &Volumes, spec: &InstanceSpec) -> Result<Vec<Mount>> {
    let labelled = Path::new(SELINUX).exists();
    let mount = |mount: &VolumeMount| {
        let source = volumes.data(&spec.key.app, &mount.id).map_err(|error| {
            let volume = &mount.volume;
            EngineError::Refused(format!(
                "the volume {volume} can't be mounted: {error}. Nothing was made in its place: put its folder back from a backup"
            ))
        })?;
        Ok(bind(&source, mount, labelled))
    };
    spec.mounts.iter().map(mount).collect()
}

/// What is mounted below it on the host, now or later, stays there: neither is shown in the other.
fn bind(source: &Path, mount: &VolumeMount, labelled: bool) -> Mount {
    let access = if mount.read_only { "ro" } else { "rw" };
    let mut options = vec!["bind", "rprivate", "nosuid", "nodev", access];
    if labelled {
        // One label of the container's own, or one of all containers.
        options.push(if mount.is_exclusive() { "Z" } else { "z" });
    }
    Mount {
        destination: mount.path.to_string(),
        kind: "bind".to_owned(),
        source: source.display().to_string(),
        options: options.into_iter().map(str::to_owned).collect(),
    }
}

/// Gives volumes that nobody has used to the user of a container that is not started yet.
pub(super) async fn claim(
    libpod: &Libpod,
    volumes: &Volumes,
    container: &InstanceId,
    image: &str,
    spec: &InstanceSpec,
) -> Result<()> {
    if spec.mounts.is_empty() {
        return Ok(());
    }
    let image = libpod.image(image).await.map_err(during("inspect image"))?;
    let user = image.map(|image| image.config.user).unwrap_or_default();
    if user.is_empty() {
        return Ok(());
    }
    let list = async |path: &str| {
        let read = libpod.read_file(container.as_str(), path, MAX_LIST).await;
        let bytes = read.map_err(during("read the image's users"))?;
        Ok::<_, EngineError>(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    // Of a user that the image does not have, the start says so.
    let Some(owner) = owner(&user, &list("/etc/passwd").await?, &list("/etc/group").await?) else {
        return Ok(());
    };
    for mount in spec.mounts.iter().filter(|mount| !mount.read_only) {
        volumes.claim(&spec.key.app, &mount.id, owner).map_err(|error| {
            let (user, group) = owner;
            EngineError::Refused(format!(
                "the volume {} can't be given to the image's user ({user}:{group}): {error}",
                mount.volume
            ))
        })?;
    }
    Ok(())
}

/// The numbers of an image's `USER`: `name`, `name:group`, `uid` or `uid:gid`.
fn owner(user: &str, passwd: &str, group: &str) -> Option<(u32, u32)> {
    let (name, of_group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let number: Option<u32> = name.parse().ok();
    let known = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [entry, _, id, gid, ..] = fields[..] else {
            return None;
        };
        let id: u32 = id.parse().ok()?;
        (entry == name || number == Some(id)).then_some((id, gid.parse().ok()?))
    });
    let uid = number.or(known.map(|(id, _)| id))?;
    let gid = match of_group {
        None => known.map_or(0, |(_, gid)| gid),
        Some(name) => name.parse().ok().or_else(|| {
            group.lines().find_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let id = fields.get(2)?.parse().ok()?;
                (fields[0] == name).then_some(id)
            })
        })?,
    };
    Some((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_user_is_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ncnb:x:1002:1003::/home/cnb:\nbroken\n";
        let group = "root:x:0:\nwww:x:33:cnb\n";
        let table = [
            ("root", Some((0, 0))),
            ("cnb", Some((1002, 1003))),
            ("1002", Some((1002, 1003))),
            ("1002:1000", Some((1002, 1000))),
            ("cnb:www", Some((1002, 33))),
            ("4711", Some((4711, 0))),
            ("nobody", None),
            ("cnb:none", None),
        ];
        for (user, numbers) in table {
            assert_eq!(owner(user, passwd, group), numbers, "{user}");
        }
        assert_eq!(owner("1000", "", ""), Some((1000, 0)), "an image without a list");
    }

    #[test]
    fn a_mount_gives_no_privileges_and_shows_no_other_mounts() {
        let mount = |read_only, shared| VolumeMount {
            id: "v1".parse().unwrap(),
            volume: "data".parse().unwrap(),
            process: None,
            path: "/data".parse().unwrap(),
            read_only,
            shared,
        };
        let options =
            |mount: &VolumeMount, labelled| bind(Path::new("/x/data"), mount, labelled).options.join(",");
        assert_eq!(
            options(&mount(false, false), false),
            "bind,rprivate,nosuid,nodev,rw"
        );
        assert_eq!(
            options(&mount(false, false), true),
            "bind,rprivate,nosuid,nodev,rw,Z"
        );
        assert_eq!(
            options(&mount(true, false), true),
            "bind,rprivate,nosuid,nodev,ro,z"
        );
        assert_eq!(
            options(&mount(false, true), true),
            "bind,rprivate,nosuid,nodev,rw,z"
        );
    }
}
