//! What Pvdify says of instances in an app's log, in Heroku's words. Pure: from two looks to lines.

use super::{handle::InstanceState, observe::Instance};
use crate::engine::InstanceKey;
use pvdify_types::InstanceId;
use std::collections::{BTreeMap, BTreeSet};

/// Of a process that SIGKILL ended.
const KILLED: i64 = 137;
/// In Heroku's words; the kernel kills, and leaves no other trace in the container.
const OUT_OF_MEMORY: &str = "Error R15 (Memory quota vastly exceeded) -> Process was killed, most likely because it used \
                             more memory than it may";

/// What was last told of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    state: InstanceState,
    restarts: u32,
}

/// One line about one instance.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) key: InstanceKey,
    pub(super) line: String,
    /// It tells that the instance came up.
    pub(super) up: bool,
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub(super) struct Narrator {
    told: Option<BTreeMap<InstanceId, Told>>,
}

impl Narrator {
    /// The lines that tell what changed since the last look. The first look after a start tells nothing:
    /// what was adopted has been told of before.
    ///
    /// Nothing is told of those in `ending`: whoever ends them tells it.
    pub(super) fn look(&mut self, instances: &[Instance], ending: &BTreeSet<InstanceId>) -> Vec<Line> {
        let before = self.told.take();
        let mut lines = Vec::new();
        let mut told = BTreeMap::new();
        for instance in instances {
            let now = Told {
                state: instance.state(),
                restarts: instance.engine.restarts,
            };
            told.insert(instance.engine.id.clone(), now);
            if let Some(before) = before.as_ref().filter(|_| !ending.contains(&instance.engine.id)) {
                let fresh = Told {
                    state: InstanceState::Starting,
                    restarts: 0,
                };
                let past = before.get(&instance.engine.id).copied().unwrap_or(fresh);
                let key = &instance.engine.key;
                let changes = changes(past, now, instance.last_exit);
                let up = now.state == InstanceState::Up;
                lines.extend(changes.into_iter().map(|line| Line {
                    key: key.clone(),
                    up: up && line.ends_with(InstanceState::Up.as_str()),
                    line,
                }));
            }
        }
        self.told = Some(told);
        lines
    }
}

fn changes(past: Told, now: Told, last_exit: Option<i64>) -> Vec<String> {
    let mut lines = Vec::new();
    let exited = now.restarts > past.restarts
        || (now.state == InstanceState::Crashed && past.state != InstanceState::Crashed);
    let mut state = past.state;
    if exited {
        if let Some(status) = last_exit {
            lines.push(format!("Process exited with status {status}"));
            // The engine can't tell why; nothing of ours kills without having said so.
            if status == KILLED {
                lines.push(OUT_OF_MEMORY.to_owned());
            }
        }
        if now.state == InstanceState::Up {
            // It was restarted and ready between two looks.
            lines.push(changed(state, InstanceState::Starting));
            state = InstanceState::Starting;
        }
    }
    if state != now.state {
        lines.push(changed(state, now.state));
    }
    lines
}

fn changed(from: InstanceState, to: InstanceState) -> String {
    format!("State changed from {} to {}", from.as_str(), to.as_str())
}

/// Of a start.
pub(crate) fn starting(command: &str) -> String {
    if command.is_empty() {
        "Starting process with the image's own command".to_owned()
    } else {
        format!("Starting process with command `{command}`")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{instance, key};
    use super::*;

    #[test]
    fn a_life_in_herokus_words() {
        let mut narrator = Narrator::default();
        let mut web = instance("c1", key("web", 1, 1));
        let mut story = Vec::new();
        let mut look = |narrator: &mut Narrator, web: &Instance| {
            story.extend(
                narrator
                    .look(std::slice::from_ref(web), &BTreeSet::new())
                    .into_iter()
                    .map(|told| told.line),
            );
        };
        narrator.look(&[], &BTreeSet::new());
        web.ready = false;
        look(&mut narrator, &web);
        web.ready = true;
        look(&mut narrator, &web);
        look(&mut narrator, &web);
        (web.engine.restarts, web.last_exit, web.ready) = (1, Some(137), false);
        look(&mut narrator, &web);
        web.ready = true;
        look(&mut narrator, &web);
        (web.engine.restarts, web.last_exit) = (2, Some(1));
        look(&mut narrator, &web);
        web.engine.state = crate::engine::EngineState::Exited(1);
        look(&mut narrator, &web);
        insta::assert_snapshot!(story.join("\n"), @"
        State changed from starting to up
        Process exited with status 137
        Error R15 (Memory quota vastly exceeded) -> Process was killed, most likely because it used more memory than it may
        State changed from up to starting
        State changed from starting to up
        Process exited with status 1
        State changed from up to starting
        State changed from starting to up
        Process exited with status 1
        State changed from up to crashed
        ");
    }

    #[test]
    fn what_was_adopted_is_not_told_again() {
        assert!(
            Narrator::default()
                .look(&[instance("c1", key("web", 1, 1))], &BTreeSet::new())
                .is_empty()
        );
    }
}
