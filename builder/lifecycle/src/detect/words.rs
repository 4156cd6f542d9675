//! What detection says: who takes part and why, who went wrong, why nobody does.

use super::programs::Runs;
use crate::{
    failure::{Failure, code},
    log,
};
use pvdify_cnb::{
    catalog::Key,
    descriptor::Kind,
    resolve::{Undetected, Verdict, VerdictResult},
};
use std::collections::BTreeSet;

/// Lines of a bin/detect's output that are shown when it went wrong.
const SHOWN_LINES: usize = 20;

impl Runs<'_> {
    /// `id version: reason`, the reason being the first line it said.
    fn title(&self, key: &Key) -> String {
        let report = self.reports.get(key);
        let reason = report.and_then(|it| it.stdout.lines().map(str::trim).find(|line| !line.is_empty()));
        let reason = reason
            .map(|it| format!(": {}", log::quote(it)))
            .unwrap_or_default();
        let kind = match key.kind {
            Kind::Buildpack => "",
            Kind::Extension => " (image extension)",
        };
        format!("{} {}{kind}{reason}", key.id, key.version)
    }

    pub(super) fn tell_passed(&self, key: &Key) {
        log::detail(&self.title(key));
    }

    pub(super) fn tell_errors(&self, key: &Key) {
        let Some((report, error)) = self
            .reports
            .get(key)
            .and_then(|it| Some((it, it.error.as_ref()?)))
        else {
            return;
        };
        log::warning(&format!(
            "{} {} went wrong: {}",
            key.id,
            key.version,
            log::quote(error)
        ));
        for text in [&report.stdout, &report.stderr] {
            for line in text
                .lines()
                .rev()
                .take(SHOWN_LINES)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
            {
                log::detail(&log::quote(line));
            }
        }
    }

    pub(super) fn tell_undetected(&self, undetected: &Undetected) -> Failure {
        let mut told = BTreeSet::new();
        for verdict in undetected.attempts.iter().flat_map(|it| &it.members) {
            if !told.insert(&verdict.key) {
                continue;
            }
            match verdict.result {
                VerdictResult::Passed => log::detail(&format!("yes   {}", self.title(&verdict.key))),
                VerdictResult::Failed => log::detail(&format!("no    {}", self.title(&verdict.key))),
                VerdictResult::Errored => log::detail(&format!("error {}", self.title(&verdict.key))),
                VerdictResult::WrongTarget => {
                    let key = &verdict.key;
                    log::detail(&format!(
                        "error {} {}: it does not run on these images",
                        key.id, key.version
                    ));
                }
            }
        }
        let plans: BTreeSet<&String> = undetected.attempts.iter().flat_map(|it| &it.plans).collect();
        for reason in plans {
            log::detail(&log::quote(reason));
        }
        if undetected.errored {
            let message = "no group of buildpacks passed, and at least one buildpack went wrong";
            let failure = Failure::new("detect", code::DETECT_ERRORED, message);
            let is_error =
                |it: &&Verdict| matches!(it.result, VerdictResult::Errored | VerdictResult::WrongTarget);
            let errored = undetected
                .attempts
                .iter()
                .flat_map(|it| &it.members)
                .find(is_error);
            return match errored {
                Some(verdict) => failure.of(&verdict.key),
                None => failure,
            };
        }
        Failure::new(
            "detect",
            code::NOTHING_DETECTED,
            "no group of buildpacks is for this source",
        )
    }
}
