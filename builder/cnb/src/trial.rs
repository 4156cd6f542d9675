//! Whether a group's build plans fit together (buildpack.md, "Phase #1: Detection").
//!
//! Each buildpack's choices (its plan, then each `or`) are tried left to right, depth first; the first trial that fits
//! is taken. In a trial, what is required must be provided by the same or an earlier buildpack, what is provided must
//! be required by the same or a later one. Who breaks that and is optional is left out, and the rest tried again.

use crate::{
    catalog::Key,
    descriptor::Kind,
    plan::{BuildPlan, Plan, PlanChoice, PlanEntry, Provider},
};
use std::collections::BTreeMap;

/// A buildpack that passed.
#[derive(Clone, Copy, Debug)]
pub struct Passed<'a> {
    /// Which one.
    pub key: &'a Key,
    /// Whether the group goes on without it.
    pub optional: bool,
    /// What its bin/detect wrote.
    pub plan: &'a BuildPlan,
}

/// A trial that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreed {
    /// Those that stay, by their place in the group.
    pub members: Vec<usize>,
    /// What they agreed on, by name.
    pub plan: Plan,
}

/// Trials at most, so that plans with many choices can't hold up the build.
const MOST_TRIALS: usize = 20_000;

/// Finds the first trial that fits, or says for each way of failing once why none does.
pub fn agree(group: &[Passed<'_>]) -> Result<Agreed, Vec<String>> {
    let mut search = Search {
        group,
        chosen: Vec::new(),
        trials: 0,
        reasons: Vec::new(),
    };
    search.from(0).ok_or(search.reasons)
}

struct Search<'a> {
    group: &'a [Passed<'a>],
    chosen: Vec<Choice<'a>>,
    trials: usize,
    reasons: Vec<String>,
}

#[derive(Clone, Copy)]
struct Choice<'a> {
    at: usize,
    key: &'a Key,
    optional: bool,
    choice: &'a PlanChoice,
}

impl<'a> Search<'a> {
    fn from(&mut self, at: usize) -> Option<Agreed> {
        let Some(passed) = self.group.get(at) else {
            return self.trial();
        };
        let last = passed.plan.or.len();
        for (number, choice) in passed.plan.choices().enumerate() {
            // A choice before the last is no reason to leave the buildpack out: there is another one.
            let optional = passed.optional && number == last;
            let next = Choice {
                at,
                key: passed.key,
                optional,
                choice,
            };
            if let Some(missing) = self.never_provided(&next) {
                self.note(format!(
                    "{} requires {missing:?}, which nothing before it provides",
                    passed.key
                ));
                continue;
            }
            self.chosen.push(next);
            let found = self.from(at + 1);
            self.chosen.pop();
            if found.is_some() || self.trials >= MOST_TRIALS {
                return found;
            }
        }
        None
    }

    /// What a choice requires in vain whatever the later ones are, so that they need not be tried.
    fn never_provided(&self, next: &Choice<'a>) -> Option<&'a str> {
        let provided = |name: &str| {
            let all = self.chosen.iter().chain([next]);
            all.flat_map(|it| &it.choice.provides).any(|it| it.name == name)
        };
        let mut required = next.choice.requires.iter().map(|it| it.name.as_str());
        required.find(|name| !next.optional && !provided(name))
    }

    fn trial(&mut self) -> Option<Agreed> {
        self.trials += 1;
        if self.trials == MOST_TRIALS {
            self.reasons
                .insert(0, format!("the plans have more than {MOST_TRIALS} combinations"));
            return None;
        }
        let mut left = self.chosen.clone();
        loop {
            let dependencies = Dependency::all(&left);
            let unmet: Vec<(usize, String)> = dependencies
                .iter()
                .flat_map(|(name, it)| it.unmet(name, &left))
                .collect();
            if unmet.is_empty() {
                if !left.iter().any(|it| it.key.kind == Kind::Buildpack) {
                    self.note(
                        "no buildpack is left when those are left out whose plans do not fit".to_owned(),
                    );
                    return None;
                }
                let entries = dependencies.into_values().map(|it| it.entry).collect();
                return Some(Agreed {
                    members: left.iter().map(|it| it.at).collect(),
                    plan: Plan { entries },
                });
            }
            if let Some((_, reason)) = unmet.iter().find(|(at, _)| !left[*at].optional) {
                self.note(reason.clone());
                return None;
            }
            let mut place = 0..left.len();
            left.retain(|_| {
                place
                    .next()
                    .is_some_and(|at| unmet.iter().all(|(out, _)| *out != at))
            });
        }
    }

    fn note(&mut self, reason: String) {
        if self.reasons.len() < 10 && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

/// One name, read off the choices from left to right.
#[derive(Default)]
struct Dependency {
    entry: PlanEntry,
    /// Choices that provide it, with no requirement after them yet.
    unused: Vec<usize>,
    /// Choices that require it, with no provider before them.
    early: Vec<usize>,
}

impl Dependency {
    fn all<'a>(choices: &[Choice<'a>]) -> BTreeMap<&'a str, Self> {
        let mut all: BTreeMap<&str, Self> = BTreeMap::new();
        for (at, it) in choices.iter().enumerate() {
            for provide in &it.choice.provides {
                let unused = &mut all.entry(&provide.name).or_default().unused;
                if unused.last() != Some(&at) {
                    unused.push(at);
                }
            }
            for require in &it.choice.requires {
                let dependency = all.entry(&require.name).or_default();
                let used = dependency.unused.drain(..).map(|at| provider(choices[at].key));
                dependency.entry.providers.extend(used);
                if dependency.entry.providers.is_empty() {
                    dependency.early.push(at);
                } else {
                    dependency.entry.requires.push(require.clone());
                }
            }
        }
        all
    }

    fn unmet(&self, name: &str, choices: &[Choice<'_>]) -> Vec<(usize, String)> {
        let early = self.early.iter().map(|at| {
            (
                *at,
                format!(
                    "{} requires {name:?}, which nothing before it provides",
                    choices[*at].key
                ),
            )
        });
        let unused = self.unused.iter().map(|at| {
            (
                *at,
                format!(
                    "{} provides {name:?}, which nothing after it requires",
                    choices[*at].key
                ),
            )
        });
        early.chain(unused).collect()
    }
}

fn provider(key: &Key) -> Provider {
    Provider {
        id: key.id.clone(),
        version: key.version.to_string(),
        extension: key.kind == Kind::Extension,
    }
}
