//! In which order a whole builder's buildpacks are tried: as it says itself, or those of its own that were named behind
//! it. Pure.

use super::facts::Facts;
use pvdify_cnb::{
    group::{Order, OrderElement, OrderGroup},
    id::{BuildpackId, BuildpackVersion},
    project::{Project, ProjectBuildpack, ProjectSource},
};
use pvdify_types::BuildpackName;

/// How a buildpack of the builder may be called, beside its bare ID.
const OF_BUILDER: &str = "urn:cnb:builder:";

/// The order; `others` were named behind the builder `name`.
pub(crate) fn order(
    name: &BuildpackName,
    facts: &Facts,
    others: &[BuildpackName],
    project: &Project,
) -> Result<Order, String> {
    let own = |text: &str| {
        element(facts, text).ok_or_else(|| {
            let all = facts.buildpacks.iter();
            let all: Vec<String> = all.map(|one| format!("{}@{}", one.id, one.version)).collect();
            format!(
                "{name} is a whole builder, beside which only its own buildpacks can be named, by their IDs; {text} is none of {}",
                all.join(", ")
            )
        })
    };
    let groups = if others.is_empty() {
        facts.order.order.clone()
    } else {
        let group = others.iter().map(|one| own(one.as_str()));
        vec![OrderGroup {
            group: group.collect::<Result<_, _>>()?,
        }]
    };
    let end = |buildpacks: &[ProjectBuildpack]| -> Result<Vec<OrderElement>, String> {
        buildpacks.iter().map(|one| own(&of_project(one))).collect()
    };
    let (pre, post) = (end(&project.pre)?, end(&project.post)?);
    let around = |group: OrderGroup| OrderGroup {
        group: [pre.clone(), group.group, post.clone()].concat(),
    };
    Ok(Order {
        order: groups.into_iter().map(around).collect(),
        ..Order::default()
    })
}

/// What project.toml calls a buildpack before or behind all others.
fn of_project(buildpack: &ProjectBuildpack) -> String {
    match (&buildpack.source, &buildpack.id) {
        (
            ProjectSource::Known {
                version: Some(version),
            },
            Some(id),
        ) => format!("{id}@{version}"),
        (ProjectSource::Known { version: None }, Some(id)) => id.to_string(),
        (ProjectSource::Uri(uri), _) => uri.clone(),
        (ProjectSource::Inline(_) | ProjectSource::Known { .. }, _) => {
            "the script in project.toml".to_owned()
        }
    }
}

fn element(facts: &Facts, text: &str) -> Option<OrderElement> {
    let text = text.strip_prefix(OF_BUILDER).unwrap_or(text);
    let (id, version) = match text.split_once('@') {
        Some((id, version)) => (id, Some(version)),
        None => (text, None),
    };
    let id: BuildpackId = id.parse().ok()?;
    let version: Option<BuildpackVersion> = version.map(str::parse).transpose().ok()?;
    let mut all = facts.buildpacks.iter().filter(|one| one.id == id);
    let found = match version {
        Some(version) => all.find(|one| one.version == version)?.version.clone(),
        // Of several, the one that its own order names.
        None => {
            let mut in_order = facts.order.order.iter().flat_map(|group| &group.group);
            let of_order = in_order
                .find(|one| one.id == id)
                .and_then(|one| one.version.clone());
            match (of_order, all.next(), all.next()) {
                (Some(version), Some(_), _) => version,
                (None, Some(only), None) => only.version.clone(),
                _ => return None,
            }
        }
    };
    Some(OrderElement::new(id, Some(found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buildpacks::whole::facts::{Buildpack, Names},
        export::Owner,
    };
    use pvdify_cnb::api::Api;

    fn facts() -> Facts {
        let buildpack = |id: &str, version: &str| Buildpack {
            id: id.parse().unwrap(),
            version: version.parse().unwrap(),
        };
        Facts {
            owner: Owner { uid: 1, gid: 1 },
            stack: String::new(),
            lifecycle: String::new(),
            api: Api::new(0, 12),
            run_image: Names::default(),
            order: toml::from_str("[[order]]\n[[order.group]]\nid = 'acme/all'\n[[order]]\n[[order.group]]\nid = 'acme/x'\nversion = '2'\n")
                .unwrap(),
            has_extensions: false,
            buildpacks: vec![
                buildpack("acme/x", "1"),
                buildpack("acme/x", "2"),
                buildpack("heroku/nodejs", "3"),
            ],
        }
    }

    fn ids(others: &[&str], project: &str) -> Result<String, String> {
        let others: Vec<BuildpackName> = others.iter().map(|one| one.parse().unwrap()).collect();
        let project = Project::parse(project).unwrap();
        let order = order(
            &"docker://acme/builder".parse().unwrap(),
            &facts(),
            &others,
            &project,
        )?;
        let shown = |one: &OrderElement| match &one.version {
            Some(version) => format!("{}@{version}", one.id),
            None => one.id.to_string(),
        };
        let groups = order.order.iter();
        let groups = groups.map(|group| group.group.iter().map(shown).collect::<Vec<_>>().join(" "));
        Ok(groups.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn its_own_order_counts_unless_buildpacks_of_it_are_named() {
        let shown = |others: &[&str], project: &str| ids(others, project).unwrap();
        assert_eq!(shown(&[], ""), "acme/all, acme/x@2");
        // What is ours by that name elsewhere is the builder's here.
        assert_eq!(
            shown(&["heroku/nodejs", "urn:cnb:builder:acme/x@1"], ""),
            "heroku/nodejs@3 acme/x@1"
        );
        let post = "[_]\nschema-version = '0.2'\n[[io.buildpacks.post.group]]\nid = 'acme/x'\n";
        assert_eq!(shown(&[], post), "acme/all acme/x@2, acme/x@2 acme/x@2");
    }

    #[test]
    fn anything_else_beside_it_is_refused() {
        let refused = |others: &[&str], project: &str| ids(others, project).unwrap_err();
        insta::assert_snapshot!(refused(&["https://h/x.git"], ""), @"docker://acme/builder is a whole builder, beside which only its own buildpacks can be named, by their IDs; https://h/x.git is none of acme/x@1, acme/x@2, heroku/nodejs@3");
        assert!(refused(&["acme/x@9"], "").contains("acme/x@9 is none of"));
        let inline = "[_]\nschema-version = '0.2'\n[[io.buildpacks.pre.group]]\nid = 'me/x'\n[io.buildpacks.pre.group.script]\napi = '0.10'\ninline = 'echo'\n";
        assert!(refused(&[], inline).contains("the script in project.toml is none of"));
    }
}
