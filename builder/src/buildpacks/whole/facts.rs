//! What a whole builder image tells of itself, and whether a build can run in it (platform.md, "Builder"). Pure.
//!
//! Its label and its files say the same things in several places, by its age; the newer ones count.

use crate::{
    buildpacks::adopt::OURS,
    export::{Owner, StoredImage},
};
use pvdify_cnb::{
    api::{self, Api},
    group::Order,
    id::{BuildpackId, BuildpackVersion},
};
use pvdify_types::ImageName;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// The label by which a builder is known.
pub(crate) const LABEL: &str = "io.buildpacks.builder.metadata";

/// Whether an image with this config is a builder.
pub(crate) fn is_builder(config: &[u8]) -> bool {
    let config: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
    config
        .pointer("/config/Labels")
        .is_some_and(|labels| labels.get(LABEL).is_some())
}

/// The largest number of a user or a group that is taken; the kernel means "none" by its largest one.
const LARGEST_ID: u32 = i32::MAX as u32;

/// A builder that a build can run in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// As whom its builds run.
    pub(crate) owner: Owner,
    /// Its stack, where it names one: layers of another one are of no use.
    pub(crate) stack: String,
    /// Its lifecycle's version.
    pub(crate) lifecycle: String,
    /// The highest Platform API that its lifecycle and this server speak.
    pub(crate) api: Api,
    /// Which image its apps stand on.
    pub(crate) run_image: Names,
    /// In which order its buildpacks are tried; without image extensions.
    pub(crate) order: Order,
    /// Whether it has image extensions.
    pub(crate) has_extensions: bool,
    /// The buildpacks that it has.
    pub(crate) buildpacks: Vec<Buildpack>,
}

/// One of its buildpacks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Buildpack {
    pub(crate) id: BuildpackId,
    pub(crate) version: BuildpackVersion,
}

/// An image's name, and others that it can be had by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Names {
    pub(crate) image: String,
    #[serde(deserialize_with = "or_none")]
    pub(crate) mirrors: Vec<String>,
}

/// The files of `/cnb` that count here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) order: Option<String>,
    pub(crate) run: Option<String>,
    pub(crate) stack: Option<String>,
    pub(crate) lifecycle: Option<String>,
}

/// The label's content.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(deserialize_with = "or_none")]
    buildpacks: Vec<Buildpack>,
    stack: Stack,
    #[serde(deserialize_with = "or_none")]
    images: Vec<Names>,
    lifecycle: Lifecycle,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stack {
    #[serde(rename = "runImage", alias = "run-image")]
    run_image: Names,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Run {
    images: Vec<Names>,
}

/// `lifecycle.toml`, of which the label has a part.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Lifecycle {
    version: String,
    apis: Apis,
    /// In the file, what the label has a level above.
    lifecycle: Version,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version {
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Apis {
    platform: Supported,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Supported {
    #[serde(deserialize_with = "or_none")]
    supported: Vec<Api>,
}

/// Go writes null for an empty list.
fn or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Facts {
    /// Reads them; an error is why no build can run in it.
    pub(crate) fn read(image: &StoredImage, files: &Files) -> Result<Self, String> {
        let label = image.label(LABEL).unwrap_or_default();
        let metadata: Metadata = serde_json::from_str(label)
            .map_err(|error| format!("its label {LABEL} is not understood: {error}"))?;
        let owner = owner(image)?;
        let text = files.order.as_deref();
        let order: Order = parsed(
            "/cnb/order.toml",
            text.ok_or("it has no /cnb/order.toml, which says which of its buildpacks build")?,
        )?;
        if order.order.iter().all(|group| group.group.is_empty()) {
            return Err("its /cnb/order.toml names no buildpack".to_owned());
        }
        let in_order = order
            .order
            .iter()
            .flat_map(|group| &group.group)
            .map(|one| &one.id);
        let in_label = metadata.buildpacks.iter().map(|one| &one.id);
        if let Some(id) = in_order.chain(in_label).find(|id| id.as_str().starts_with(OURS)) {
            return Err(format!(
                "it has a buildpack that calls itself {id}; only this server's own are called {OURS}..."
            ));
        }
        let lifecycle: Lifecycle = match files.lifecycle.as_deref() {
            Some(text) => parsed("/cnb/lifecycle/lifecycle.toml", text)?,
            None => Lifecycle::default(),
        };
        let version = [&lifecycle.lifecycle.version, &metadata.lifecycle.version]
            .into_iter()
            .find(|version| !version.is_empty())
            .cloned()
            .unwrap_or_else(|| "of an unknown version".to_owned());
        let spoken = [&lifecycle.apis, &metadata.lifecycle.apis]
            .map(|apis| &apis.platform.supported)
            .into_iter()
            .find(|apis| !apis.is_empty());
        let spoken = spoken.ok_or("its /cnb/lifecycle/lifecycle.toml names no Platform API")?;
        Ok(Self {
            owner,
            stack: image.env("CNB_STACK_ID").unwrap_or_default().to_owned(),
            api: highest(spoken).ok_or_else(|| {
                format!(
                    "its lifecycle {version} speaks Platform API {}, this server {} to {}: take a builder of another age",
                    spoken.iter().map(Api::to_string).collect::<Vec<_>>().join(", "),
                    api::OLDEST_PLATFORM,
                    api::PLATFORM
                )
            })?,
            lifecycle: version,
            run_image: run_image(&metadata, files)?,
            has_extensions: !order.order_extensions.is_empty(),
            order: Order {
                order: order.order,
                ..Order::default()
            },
            buildpacks: metadata.buildpacks,
        })
    }
}

fn parsed<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| format!("its {path} is not understood: {error}"))
}

fn owner(image: &StoredImage) -> Result<Owner, String> {
    let number = |name: &str| -> Result<u32, String> {
        let text = image.env(name).unwrap_or_default();
        text.parse()
            .ok()
            .filter(|number| *number <= LARGEST_ID)
            .ok_or_else(|| {
                format!("its environment must have {name}, the number of its builds' user, and has {text:?}")
            })
    };
    let owner = Owner {
        uid: number("CNB_USER_ID")?,
        gid: number("CNB_GROUP_ID")?,
    };
    if owner.uid == 0 {
        return Err("its builds run as root (CNB_USER_ID), and none does here".to_owned());
    }
    Ok(owner)
}

/// The highest Platform API that is spoken here too.
fn highest(spoken: &[Api]) -> Option<Api> {
    spoken
        .iter()
        .copied()
        .filter(|api| api.is_supported_platform())
        .max()
}

fn run_image(metadata: &Metadata, files: &Files) -> Result<Names, String> {
    let run: Run = match files.run.as_deref() {
        Some(text) => parsed("/cnb/run.toml", text)?,
        None => Run::default(),
    };
    let stack: Stack = match files.stack.as_deref() {
        Some(text) => parsed("/cnb/stack.toml", text)?,
        None => Stack::default(),
    };
    let all = run.images.into_iter().chain([stack.run_image]);
    let of_label = metadata.images.iter().chain([&metadata.stack.run_image]).cloned();
    let names = all
        .chain(of_label)
        .find(|names| !names.image.is_empty())
        .ok_or_else(|| "it names no run image for its apps (/cnb/run.toml)".to_owned())?;
    for name in std::iter::once(&names.image).chain(&names.mirrors) {
        let parsed = name.parse::<ImageName>();
        parsed.map_err(|error| format!("its run image is called {name:?}: {error}"))?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const LIFECYCLE: &str = "[apis.platform]\ndeprecated = []\nsupported = ['0.9', '0.13', '0.99']\n\
                             [api]\nplatform = '0.7'\n[lifecycle]\nversion = '0.20.1'\n";

    fn image(label: &Value, env: &[&str]) -> StoredImage {
        StoredImage {
            digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            config: json!({"config": {"Labels": {LABEL: label.to_string()}, "Env": env}}),
            layers: Vec::new(),
        }
    }

    fn label() -> Value {
        json!({
            "buildpacks": [{"id": "acme/one", "version": "1.0", "homepage": "https://h"}],
            "stack": {"runImage": {"image": "acme/of-label", "mirrors": null}},
            "images": null,
            "lifecycle": {"version": "0.1", "api": {"platform": "0.7"}, "apis": {"platform": {"supported": ["0.7"]}}},
        })
    }

    fn files() -> Files {
        Files {
            order: Some("[[order]]\n[[order.group]]\nid = 'acme/one'\nversion = '1.0'\n".to_owned()),
            lifecycle: Some(LIFECYCLE.to_owned()),
            ..Files::default()
        }
    }

    const ENV: [&str; 3] = ["CNB_USER_ID=1001", "CNB_GROUP_ID=1000", "CNB_STACK_ID=acme.stack"];

    fn read(files: &Files) -> Result<Facts, String> {
        Facts::read(&image(&label(), &ENV), files)
    }

    #[test]
    fn a_builder_says_who_builds_in_which_order_by_which_api_and_on_what_its_apps_stand() {
        let facts = read(&files()).unwrap();
        assert_eq!(facts.owner, Owner { uid: 1001, gid: 1000 });
        assert_eq!(
            (facts.stack.as_str(), facts.lifecycle.as_str()),
            ("acme.stack", "0.20.1")
        );
        assert_eq!(facts.api, Api::new(0, 13));
        assert_eq!(facts.run_image.image, "acme/of-label");
        assert_eq!(facts.buildpacks[0].id.as_str(), "acme/one");
        assert!(!facts.has_extensions);
        let of_label = Files {
            lifecycle: None,
            ..files()
        };
        let facts = read(&of_label).unwrap();
        assert_eq!((facts.api, facts.lifecycle.as_str()), (Api::new(0, 7), "0.1"));
    }

    #[test]
    fn the_newest_place_that_names_a_run_image_counts() {
        let run = "[[images]]\nimage = 'acme/of-run'\nmirrors = ['m/1', 'm/2']\n[[images]]\nimage = 'x'\n";
        let stack = "[run-image]\nimage = 'acme/of-stack'\n";
        let mut files = files();
        files.stack = Some(stack.to_owned());
        assert_eq!(read(&files).unwrap().run_image.image, "acme/of-stack");
        files.run = Some(run.to_owned());
        let names = read(&files).unwrap().run_image;
        assert_eq!((names.image.as_str(), names.mirrors.len()), ("acme/of-run", 2));
        let none = Facts::read(&image(&json!({}), &ENV), &self::files()).unwrap_err();
        files.run = Some(run.replace("m/2", "m /2"));
        insta::assert_snapshot!(read(&files).unwrap_err(), @r#"its run image is called "m /2": an image name can't hold ' '"#);
        insta::assert_snapshot!(none, @"it names no run image for its apps (/cnb/run.toml)");
    }

    #[test]
    fn what_no_build_can_run_in_is_said_why() {
        let with = |change: fn(&mut Files)| {
            let mut files = files();
            change(&mut files);
            read(&files).unwrap_err()
        };
        insta::assert_snapshot!(with(|files| files.order = None), @"it has no /cnb/order.toml, which says which of its buildpacks build");
        insta::assert_snapshot!(with(|files| files.order = Some(String::new())), @"its /cnb/order.toml names no buildpack");
        insta::assert_snapshot!(
            with(|files| files.order = Some("[[order]]\n[[order.group]]\nid = 'pvdify/go'\n".to_owned())),
            @"it has a buildpack that calls itself pvdify/go; only this server's own are called pvdify/..."
        );
        insta::assert_snapshot!(
            with(|files| files.lifecycle = Some(LIFECYCLE.replace("'0.9', '0.13', ", "'0.3', "))),
            @"its lifecycle 0.20.1 speaks Platform API 0.3, 0.99, this server 0.7 to 0.15: take a builder of another age"
        );
        let of_env = |env: &[&str]| Facts::read(&image(&label(), env), &files()).unwrap_err();
        insta::assert_snapshot!(of_env(&[]), @r#"its environment must have CNB_USER_ID, the number of its builds' user, and has """#);
        assert!(of_env(&["CNB_USER_ID=4294967295", "CNB_GROUP_ID=1"]).contains("must have CNB_USER_ID"));
        insta::assert_snapshot!(of_env(&["CNB_USER_ID=0", "CNB_GROUP_ID=0"]), @"its builds run as root (CNB_USER_ID), and none does here");
    }
}
