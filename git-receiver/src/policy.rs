//! What each ref command of a push means: deploy, store, or refuse. Pure.
//!
//! One branch of a push deploys at most; other refs are stored as they are. A non-fast-forward is accepted:
//! git asks for `--force` on the client's side, and Heroku's server takes it too.

use crate::receive::{Command, Refs};
use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice},
    objs::Kind,
};
use std::collections::HashSet;

/// What is known when a push is judged.
pub(crate) struct Facts<'a> {
    /// The refs as advertised; the app's turn keeps them so.
    pub(crate) refs: &'a Refs,
    /// Short names, as `main`.
    pub(crate) deploy_branches: &'a [String],
    /// What an object is, in the quarantine or the repository.
    pub(crate) kind_of: &'a dyn Fn(&ObjectId) -> Option<Kind>,
    pub(crate) atomic: bool,
}

/// One command's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The ref moves; nothing is built.
    Store,
    /// The ref moves if its commit is released.
    Deploy,
    /// The ref stays; these words follow the ref in git's output.
    Refuse(&'static str),
}

/// A push's fate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// In the commands' order.
    pub(crate) verdicts: Vec<Verdict>,
    /// Lines for the person, without `remote: `.
    pub(crate) notes: Vec<String>,
}

impl Judgement {
    /// The command that deploys.
    pub(crate) fn deploy(&self) -> Option<usize> {
        self.verdicts
            .iter()
            .position(|verdict| *verdict == Verdict::Deploy)
    }

    /// Whether anything moves.
    pub(crate) fn has_work(&self) -> bool {
        self.verdicts
            .iter()
            .any(|verdict| !matches!(verdict, Verdict::Refuse(_)))
    }
}

/// Judges all commands of one push.
pub(crate) fn judge(commands: &[Command], facts: &Facts<'_>) -> Judgement {
    let mut notes = Vec::new();
    let mut after = facts.refs.clone();
    let mut seen = HashSet::new();
    let twice: HashSet<&BString> = commands
        .iter()
        .map(|c| &c.name)
        .filter(|name| !seen.insert(*name))
        .collect();
    let mut verdicts = vec![Verdict::Refuse("multiple updates for one ref"); commands.len()];
    // Deletions first, so that `:a a/b` in one push is no conflict of names, whichever comes first.
    for deletions in [true, false] {
        for (command, verdict) in commands.iter().zip(&mut verdicts) {
            if command.is_delete() == deletions && !twice.contains(&command.name) {
                *verdict = judge_one(command, &after, facts);
                if !matches!(verdict, Verdict::Refuse(_)) {
                    after.set(command.name.as_bstr(), command.new);
                }
            }
        }
    }

    if verdicts
        .iter()
        .filter(|verdict| **verdict == Verdict::Deploy)
        .count()
        > 1
    {
        notes.push(" !     Two branches that deploy came in one push: push one of them.".to_owned());
        for verdict in verdicts.iter_mut().filter(|verdict| **verdict == Verdict::Deploy) {
            *verdict = Verdict::Refuse("only one branch of a push can deploy");
        }
    }
    if facts.atomic
        && verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Refuse(_)))
    {
        for verdict in verdicts
            .iter_mut()
            .filter(|verdict| !matches!(verdict, Verdict::Refuse(_)))
        {
            *verdict = Verdict::Refuse("atomic push failed");
        }
    }
    for (command, verdict) in commands.iter().zip(&verdicts) {
        notes.extend(note(command, verdict, facts.deploy_branches));
    }
    Judgement { verdicts, notes }
}

fn judge_one(command: &Command, refs: &Refs, facts: &Facts<'_>) -> Verdict {
    let name = command.name.as_bstr();
    if !is_safe_name(name) {
        return Verdict::Refuse("funny refname");
    }
    let deploys = is_deploy_branch(name, facts.deploy_branches);
    let current = facts.refs.get(name);
    if command.old != current.unwrap_or_else(|| ObjectId::null(command.old.kind())) {
        return Verdict::Refuse("stale info: the ref has moved, fetch first");
    }
    if command.is_delete() {
        return match (current, deploys) {
            (None, _) => Verdict::Refuse("no such ref"),
            (Some(_), true) => Verdict::Refuse("deletion of the deploy branch prohibited"),
            (Some(_), false) => Verdict::Store,
        };
    }
    if current.is_none() && refs.conflict(name).is_some() {
        return Verdict::Refuse("the name conflicts with an existing ref");
    }
    match (facts.kind_of)(&command.new) {
        None => Verdict::Refuse("missing necessary objects"),
        Some(Kind::Commit) if deploys => Verdict::Deploy,
        Some(kind) if kind != Kind::Commit && name.starts_with(b"refs/heads/") => {
            Verdict::Refuse("a branch must point to a commit")
        }
        Some(_) => Verdict::Store,
    }
}

/// git's rules for ref names, within `refs/`, and no part that a program could take for an option.
fn is_safe_name(name: &BStr) -> bool {
    let parts: Vec<_> = name.split_str("/").collect();
    parts.len() >= 3
        && parts[0] == b"refs"
        && parts.iter().all(|part| !part.starts_with(b"-"))
        && gix::validate::reference::name(name).is_ok()
}

fn is_deploy_branch(name: &BStr, deploy_branches: &[String]) -> bool {
    let branch = name.strip_prefix(b"refs/heads/");
    branch.is_some_and(|branch| deploy_branches.iter().any(|deploys| deploys.as_bytes() == branch))
}

fn note(command: &Command, verdict: &Verdict, deploy_branches: &[String]) -> Option<String> {
    let deploying = deploy_branches.join(" and ");
    let first = deploy_branches.first().map_or("main", String::as_str);
    let short = command
        .name
        .strip_prefix(b"refs/heads/")
        .or_else(|| command.name.strip_prefix(b"refs/"));
    let short = short.unwrap_or(&command.name).as_bstr();
    match verdict {
        Verdict::Store if !command.is_delete() => Some(format!(
            "Stored {short} without a build: only {deploying} deploy. To deploy it: git push REMOTE {short}:{first}"
        )),
        Verdict::Refuse("deletion of the deploy branch prohibited") => Some(format!(
            " !     {short} is the branch that deploys and can't be deleted. To remove the app: pvdify apps:delete NAME"
        )),
        Verdict::Store | Verdict::Deploy | Verdict::Refuse(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn command(old: char, new: char, name: &str) -> Command {
        Command {
            old: id(old),
            new: id(new),
            name: name.into(),
        }
    }

    /// Object `1..=8` are commits, `9` a blob; `main` is at 1, `feature/x` at 2, the rest is empty.
    fn judged(commands: &[Command], atomic: bool) -> Judgement {
        let mut refs = Refs::default();
        refs.set("refs/heads/main".into(), id('1'));
        refs.set("refs/heads/feature/x".into(), id('2'));
        let kind_of = |object: &ObjectId| match object.to_string().chars().next() {
            Some('1'..='8') => Some(Kind::Commit),
            Some('9') => Some(Kind::Blob),
            _ => None,
        };
        let deploy_branches = ["main".to_owned(), "master".to_owned()];
        judge(
            commands,
            &Facts {
                refs: &refs,
                deploy_branches: &deploy_branches,
                kind_of: &kind_of,
                atomic,
            },
        )
    }

    fn verdict(old: char, new: char, name: &str) -> Verdict {
        judged(&[command(old, new, name)], false).verdicts.remove(0)
    }

    #[test]
    fn one_command_alone() {
        let refuse = Verdict::Refuse;
        let table = [
            ('1', '3', "refs/heads/main", Verdict::Deploy),
            ('0', '3', "refs/heads/master", Verdict::Deploy),
            ('0', '3', "refs/heads/other", Verdict::Store),
            ('0', '3', "refs/heads/main2", Verdict::Store),
            ('0', '3', "refs/tags/main", Verdict::Store),
            ('0', '9', "refs/tags/blob", Verdict::Store),
            ('2', '0', "refs/heads/feature/x", Verdict::Store),
            (
                '1',
                '0',
                "refs/heads/main",
                refuse("deletion of the deploy branch prohibited"),
            ),
            ('0', '0', "refs/heads/none", refuse("no such ref")),
            (
                '2',
                '3',
                "refs/heads/main",
                refuse("stale info: the ref has moved, fetch first"),
            ),
            (
                '0',
                '3',
                "refs/heads/main",
                refuse("stale info: the ref has moved, fetch first"),
            ),
            (
                '1',
                '9',
                "refs/heads/main",
                refuse("a branch must point to a commit"),
            ),
            ('0', 'a', "refs/heads/other", refuse("missing necessary objects")),
            (
                '0',
                '3',
                "refs/heads/feature",
                refuse("the name conflicts with an existing ref"),
            ),
            (
                '0',
                '3',
                "refs/heads/main/x",
                refuse("the name conflicts with an existing ref"),
            ),
        ];
        for (old, new, name, expected) in table {
            assert_eq!(verdict(old, new, name), expected, "{old} {new} {name}");
        }
    }

    #[test]
    fn no_odd_name_becomes_a_ref() {
        for name in [
            "refs/heads/-x",
            "refs/-x/y",
            "refs/heads/a..b",
            "refs/heads/a.lock",
            "refs/heads/a b",
            "refs/heads/a\u{1}",
            "refs/heads/../../etc",
            "refs/heads/",
            "refs/heads",
            "HEAD",
            "heads/main",
            "refs/heads/a~1",
            "refs/heads/a\\b",
            "refs/heads/.a",
            "refs/heads/a//b",
            "refs/heads/@{",
            "/refs/heads/a",
            "refs/heads/a\nb",
        ] {
            assert_eq!(
                verdict('0', '3', name),
                Verdict::Refuse("funny refname"),
                "{name:?}"
            );
        }
    }

    #[test]
    fn two_deploying_branches_refuse_each_other_and_no_one_else() {
        let judged = judged(
            &[
                command('1', '3', "refs/heads/main"),
                command('0', '3', "refs/heads/master"),
                command('0', '3', "refs/tags/t"),
            ],
            false,
        );
        assert_eq!(judged.deploy(), None);
        assert!(judged.has_work());
        assert_eq!(judged.verdicts[2], Verdict::Store);
        assert!(judged.notes[0].contains("push one of them"), "{:?}", judged.notes);
    }

    #[test]
    fn atomic_is_all_or_none() {
        let commands = [
            command('1', '3', "refs/heads/main"),
            command('0', 'a', "refs/tags/t"),
        ];
        assert_eq!(judged(&commands, false).deploy(), Some(0));
        let atomic = judged(&commands, true);
        assert!(!atomic.has_work());
        assert_eq!(atomic.verdicts[0], Verdict::Refuse("atomic push failed"));
    }

    #[test]
    fn commands_of_one_push_see_each_other() {
        let twice = judged(
            &[command('0', '3', "refs/tags/t"), command('0', '4', "refs/tags/t")],
            false,
        );
        assert!(!twice.has_work());
        let swapped = judged(
            &[
                command('0', '3', "refs/heads/feature"),
                command('2', '0', "refs/heads/feature/x"),
            ],
            false,
        );
        assert_eq!(swapped.verdicts, [Verdict::Store, Verdict::Store]);
        let kept = judged(
            &[
                command('0', '3', "refs/heads/main/x"),
                command('1', '0', "refs/heads/main"),
            ],
            false,
        );
        assert!(!kept.has_work(), "a deletion that is refused makes no room");
        let clash = judged(
            &[
                command('0', '3', "refs/heads/n"),
                command('0', '3', "refs/heads/n/m"),
            ],
            false,
        );
        assert_eq!(clash.verdicts[0], Verdict::Store);
        assert!(matches!(clash.verdicts[1], Verdict::Refuse(_)));
    }

    #[test]
    fn what_does_not_deploy_says_so() {
        let stored = judged(&[command('0', '3', "refs/heads/other")], false);
        assert_eq!(
            stored.notes,
            [
                "Stored other without a build: only main and master deploy. To deploy it: git push REMOTE other:main"
            ]
        );
        assert_eq!(
            judged(&[command('1', '3', "refs/heads/main")], false).notes,
            Vec::<String>::new()
        );
    }
}
