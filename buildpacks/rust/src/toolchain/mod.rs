//! Rust: what its own distribution server has, component by component with their digests; where the server is out
//! of reach, the compilers in Debian.

mod debian;
mod server;

use crate::{problems, version::Asked};
use buildpack_support::{
    Result,
    download::Downloads,
    files,
    layer::{self, Layer, Spec},
    toolchain::deb,
};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use serde::{Deserialize, Serialize};
use server::{Component, Unavailable};

type Context = BuildContext<crate::RustBuildpack>;

/// Where a Rust comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Server {
        version: String,
        from: String,
        components: Vec<Component>,
    },
    Debian {
        version: String,
        from: String,
        planned: Vec<deb::Planned>,
    },
}

impl Source {
    pub(crate) fn version(&self) -> &str {
        match self {
            Self::Server { version, .. } | Self::Debian { version, .. } => version,
        }
    }

    pub(crate) fn from(&self) -> &str {
        match self {
            Self::Server { from, .. } | Self::Debian { from, .. } => from,
        }
    }
}

/// The Rust to use, of those that can be had.
pub(crate) fn find(context: &Context, asked: &Asked, env: &Env) -> Result<Source> {
    let from = if asked.from.is_empty() {
        "the newest".to_owned()
    } else {
        format!("{} asks for {}", asked.from, asked.channel)
    };
    let index = layer::cache(context, layer_name!("index"), 1_u32)?;
    match server::manifest(&index, &asked.channel, env) {
        Ok(text) => {
            let (version, components) = server::components(&text, &asked.targets)
                .ok_or_else(|| problems::no_components(&asked.channel, server::host()))?;
            Ok(Source::Server {
                version,
                from,
                components,
            })
        }
        Err(Unavailable::Missing) => Err(problems::no_channel(&asked.channel, &asked.from)),
        Err(Unavailable::Unreachable(why)) => debian::find(context, asked, env, &why),
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Key {
    files: Vec<String>,
    recipe: u32,
}

/// Installs it for the build.
pub(crate) fn install(context: &Context, source: &Source, asked: &Asked, env: &Env) -> Result<Layer> {
    let files = match source {
        Source::Server { components, .. } => components
            .iter()
            .map(|component| component.hash.clone())
            .collect(),
        Source::Debian { planned, .. } => deb::file_names(planned),
    };
    let spec = Spec {
        name: layer_name!("rust"),
        title: &format!("Rust {}", source.version()),
        build: true,
        launch: false,
        key: Key { files, recipe: 1 },
    };
    let downloads = Downloads::of(env);
    layer::keyed(context, &spec, |path| match source {
        Source::Server { components, .. } => {
            for component in components {
                server::unpack(component, &downloads, env, path)?;
            }
            Ok(LayerEnv::new())
        }
        Source::Debian { planned, .. } => {
            if !asked.targets.is_empty() {
                return Err(problems::no_targets(&asked.targets, &asked.from));
            }
            let apt = deb::Apt::of_layer(context, env, deb::Base::Build)?;
            apt.unpack(&downloads, planned, path)?;
            files::remove(&path.join("usr/share/doc"))?;
            Ok(deb::layer_env(path))
        }
    })
}
