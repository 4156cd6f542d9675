//! From an order to the group that builds (buildpack.md, "Order Resolution", "Phase #1: Detection"). Pure: what
//! bin/detect of each buildpack says comes from a function of the caller's.
//!
//! What always holds:
//!
//! - Composite buildpacks unfold depth first, left to right, each row with the rest of its group behind it; an
//!   optional one is tried without itself last. Of two buildpacks with one ID the first one counts.
//! - The answer of a buildpack is asked for once, however many groups it stands in.
//! - It ends: composites that contain themselves, and orders that unfold without measure, are errors.

use crate::{
    catalog::{Catalog, DEEPEST, Key, MOST_GROUPS, OrderError},
    descriptor::Kind,
    exec_env,
    group::{Group, GroupElement, Order, OrderElement, OrderGroup},
    plan::{BuildPlan, Plan},
    target::ImageTarget,
    trial::{self, Passed},
};
use std::collections::BTreeMap;

/// Groups that an [`Undetected`] tells of.
const MOST_ATTEMPTS: usize = 100;

/// What a bin/detect said.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It takes part, with this plan.
    Pass(BuildPlan),
    /// It does not (exit status 100).
    Fail,
    /// It went wrong.
    Error,
}

/// What detection is given.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The order, with the platform's own buildpacks in it already.
    pub order: &'a Order,
    /// All that it leads to.
    pub catalog: &'a Catalog,
    /// What the images are.
    pub image: &'a ImageTarget,
    /// The execution environment, if the platform knows of them.
    pub exec_env: Option<&'a str>,
}

/// The group that builds.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    /// In the order they build; extensions are among them.
    pub members: Vec<Key>,
    /// What they agreed on.
    pub plan: Plan,
}

/// No group passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undetected {
    /// Whether a buildpack went wrong, rather than that all said no.
    pub errored: bool,
    /// The groups that were tried, the first hundred.
    pub attempts: Vec<Attempt>,
}

/// A group that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its buildpacks.
    pub members: Vec<Verdict>,
    /// Why the plans of those that passed do not fit; empty if it did not come to that.
    pub plans: Vec<String>,
}

/// One buildpack of a group that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which one.
    pub key: Key,
    /// Whether the group goes on without it.
    pub optional: bool,
    /// What became of it.
    pub result: VerdictResult,
}

/// What became of a buildpack in detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictResult {
    /// It passed.
    Passed,
    /// It said no.
    Failed,
    /// It went wrong.
    Errored,
    /// It does not run on these images.
    WrongTarget,
}

impl Detected {
    /// As `group.toml`.
    pub fn group(&self, catalog: &Catalog) -> Result<Group, OrderError> {
        let mut group = Group::default();
        for key in &self.members {
            let descriptor = catalog.get(key)?;
            let element = GroupElement {
                id: key.id.clone(),
                version: key.version.clone(),
                api: descriptor.api,
                homepage: descriptor.homepage.clone(),
            };
            match key.kind {
                Kind::Buildpack => group.group.push(element),
                Kind::Extension => group.group_extensions.push(element),
            }
        }
        Ok(group)
    }
}

/// Finds the first group that passes. `detect` is asked for the answers of buildpacks that are not known yet; it may
/// give those of others too.
pub fn resolve<E: From<OrderError>>(
    setting: Setting<'_>,
    detect: impl FnMut(&[Key]) -> Result<BTreeMap<Key, Answer>, E>,
) -> Result<Result<Detected, Undetected>, E> {
    let mut resolver = Resolver {
        setting,
        detect,
        known: BTreeMap::new(),
        tried: 0,
        undetected: Undetected::default(),
    };
    for group in &setting.order.order {
        let extensions = (!setting.order.order_extensions.is_empty())
            .then_some(Item::Extensions(&setting.order.order_extensions));
        let elements = group.group.iter().map(|it| Item::One(Kind::Buildpack, it));
        let items: Vec<Item<'_>> = extensions.into_iter().chain(elements).collect();
        if let Some(detected) = resolver.unfold(&items, Vec::new(), 0)? {
            return Ok(Ok(detected));
        }
    }
    Ok(Err(resolver.undetected))
}

#[derive(Clone, Copy)]
enum Item<'a> {
    One(Kind, &'a OrderElement),
    /// Where the order of extensions stands: one of its groups, or none.
    Extensions(&'a [OrderGroup]),
}

#[derive(Clone)]
struct Member {
    key: Key,
    optional: bool,
    wrong_target: bool,
}

struct Resolver<'a, F> {
    setting: Setting<'a>,
    detect: F,
    known: BTreeMap<Key, Answer>,
    tried: usize,
    undetected: Undetected,
}

impl<'a, E: From<OrderError>, F: FnMut(&[Key]) -> Result<BTreeMap<Key, Answer>, E>> Resolver<'a, F> {
    fn unfold(
        &mut self,
        items: &[Item<'a>],
        mut members: Vec<Member>,
        depth: usize,
    ) -> Result<Option<Detected>, E> {
        let mut rest = items;
        while let Some((item, remainder)) = rest.split_first() {
            rest = remainder;
            let (kind, element) = match *item {
                Item::Extensions(groups) => {
                    return self.rows(groups, Kind::Extension, true, remainder, &members, depth);
                }
                Item::One(kind, element) => (kind, element),
            };
            if members
                .iter()
                .any(|it| it.key.kind == kind && it.key.id == element.id)
            {
                continue;
            }
            let descriptor = self
                .setting
                .catalog
                .find(kind, &element.id, element.version.as_ref())?;
            let applies = |listed: &[String]| {
                self.setting
                    .exec_env
                    .is_none_or(|it| exec_env::applies(listed, it))
            };
            if !applies(&element.exec_env) || !applies(&descriptor.exec_env) {
                continue;
            }
            if descriptor.is_composite() {
                if depth == DEEPEST {
                    return Err(OrderError::TooDeep {
                        id: element.id.clone(),
                    }
                    .into());
                }
                return self.rows(
                    &descriptor.order,
                    kind,
                    element.optional,
                    remainder,
                    &members,
                    depth,
                );
            }
            let optional = element.optional || kind == Kind::Extension;
            // An optional one runs all the same, as with the reference: it may know better.
            let wrong_target = !optional && !descriptor.runs_on(self.setting.image);
            members.push(Member {
                key: Key::of(descriptor),
                optional,
                wrong_target,
            });
        }
        self.group(&members)
    }

    fn rows(
        &mut self,
        rows: &'a [OrderGroup],
        kind: Kind,
        optional: bool,
        remainder: &[Item<'a>],
        members: &[Member],
        depth: usize,
    ) -> Result<Option<Detected>, E> {
        for row in rows {
            let row = row.group.iter().map(|it| Item::One(kind, it));
            let items: Vec<Item<'a>> = row.chain(remainder.iter().copied()).collect();
            if let Some(detected) = self.unfold(&items, members.to_vec(), depth + 1)? {
                return Ok(Some(detected));
            }
        }
        if optional {
            self.unfold(remainder, members.to_vec(), depth + 1)
        } else {
            Ok(None)
        }
    }

    fn group(&mut self, members: &[Member]) -> Result<Option<Detected>, E> {
        self.tried += 1;
        if self.tried > MOST_GROUPS {
            return Err(OrderError::TooMany.into());
        }
        let is_new = |it: &&Member| !it.wrong_target && !self.known.contains_key(&it.key);
        let new: Vec<Key> = members.iter().filter(is_new).map(|it| it.key.clone()).collect();
        if !new.is_empty() {
            self.known.extend((self.detect)(&new)?);
        }
        let verdicts: Vec<Verdict> = members.iter().map(|it| self.verdict(it)).collect();
        let goes_on = |it: &Verdict| it.optional || it.result == VerdictResult::Passed;
        let passes = |it: &Verdict| it.key.kind == Kind::Buildpack && it.result == VerdictResult::Passed;
        let agreed = if verdicts.iter().all(goes_on) && verdicts.iter().any(passes) {
            let passed: Vec<Passed<'_>> = members.iter().filter_map(|it| self.passed(it)).collect();
            match trial::agree(&passed) {
                Ok(agreed) => {
                    let members = agreed.members.iter().map(|at| passed[*at].key.clone()).collect();
                    return Ok(Some(Detected {
                        members,
                        plan: agreed.plan,
                    }));
                }
                Err(reasons) => reasons,
            }
        } else {
            let is_error =
                |it: &Verdict| matches!(it.result, VerdictResult::Errored | VerdictResult::WrongTarget);
            self.undetected.errored |= verdicts.iter().any(is_error);
            Vec::new()
        };
        if self.undetected.attempts.len() < MOST_ATTEMPTS {
            self.undetected.attempts.push(Attempt {
                members: verdicts,
                plans: agreed,
            });
        }
        Ok(None)
    }

    fn passed<'b>(&'b self, member: &'b Member) -> Option<Passed<'b>> {
        match self.known.get(&member.key)? {
            Answer::Pass(plan) => Some(Passed {
                key: &member.key,
                optional: member.optional,
                plan,
            }),
            Answer::Fail | Answer::Error => None,
        }
    }

    fn verdict(&self, member: &Member) -> Verdict {
        let result = match self.known.get(&member.key) {
            _ if member.wrong_target => VerdictResult::WrongTarget,
            Some(Answer::Pass(_)) => VerdictResult::Passed,
            Some(Answer::Fail) => VerdictResult::Failed,
            Some(Answer::Error) | None => VerdictResult::Errored,
        };
        Verdict {
            key: member.key.clone(),
            optional: member.optional,
            result,
        }
    }
}
