//! `ps:resize`: what each of an app's processes may use.

use super::{
    Context, Result,
    deploy::{Wait, finish},
};
use crate::{app::Rest, args::Json, error::CliError, output};
use clap::Args;
use pvdify_api::apps::UpdateApp;
use pvdify_types::Resources;

/// Set what each of an app's processes may use; without LIMIT=VALUE, show it
#[derive(Args)]
#[command(override_usage = "pvdify ps:resize [OPTIONS] [NAME] LIMIT=VALUE...")]
pub(crate) struct Resize {
    /// The app, then limits: memory=512M, cpu=0.5 (of one CPU; none: no limit), pids=512
    #[arg(value_name = "ARGS")]
    args: Vec<String>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    json: Json,
}

impl Resize {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let (name, pairs) = Rest::Pairs.split(&self.args, context.flag());
        let limits = pairs.iter().map(|pair| limit(pair)).collect::<Result<Vec<_>>>()?;
        let app = context.app(name)?;
        let before = context.client.app(&app).await?.resources;
        if limits.is_empty() {
            return self.json.print(before, |before| output::line(&shown(&before)));
        }
        let mut resources = before;
        for limit in limits {
            limit.set(&mut resources);
        }
        let body = UpdateApp {
            resources: Some(resources.clone()),
            ..UpdateApp::default()
        };
        context.client.update_app(&app, &body).await?;
        let newest = context.client.releases(&app).await?.into_iter().next();
        let done = format!("Resized {app}: {}", shown(&resources));
        match newest.filter(|release| release.status.is_open()) {
            Some(release) => finish(context, &app, release, self.wait, self.json, &done).await,
            None => output::line(&done),
        }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Memory(u64),
    Cpu(Option<u32>),
    Pids(u32),
}

impl Limit {
    fn set(self, resources: &mut Resources) {
        match self {
            Self::Memory(bytes) => resources.memory_bytes = bytes,
            Self::Cpu(millis) => resources.cpu_millis = millis,
            Self::Pids(pids) => resources.pids = pids,
        }
    }
}

/// As they are written.
fn shown(resources: &Resources) -> String {
    let cpu = resources.cpu_millis.map_or_else(
        || "none".to_owned(),
        |millis| (f64::from(millis) / 1000.0).to_string(),
    );
    let memory = resources.memory_bytes;
    let memory = match memory % (1 << 20) {
        0 => format!("{}M", memory >> 20),
        _ => format!("{}K", memory >> 10),
    };
    format!("memory={memory} cpu={cpu} pids={}", resources.pids)
}

fn limit(pair: &str) -> Result<Limit> {
    let bad = |why: &str| {
        CliError::usage(format!("{pair:?}: {why}")).hint("write it as memory=512M, cpu=0.5 or pids=512")
    };
    let (name, value) = pair.split_once('=').ok_or_else(|| bad("it has no \"=\""))?;
    match name {
        "memory" => bytes(value)
            .map(Limit::Memory)
            .ok_or_else(|| bad("memory is a whole number of K, M or G")),
        "cpu" if value == "none" => Ok(Limit::Cpu(None)),
        "cpu" => millis(value)
            .map(|millis| Limit::Cpu(Some(millis)))
            .ok_or_else(|| bad("cpu is a number of CPUs with at most three decimals, or none")),
        "pids" => value
            .parse()
            .map(Limit::Pids)
            .map_err(|_| bad("pids is a whole number")),
        _ => Err(bad("the limits are memory, cpu and pids")),
    }
}

/// Binary multiples, as `512M`.
fn bytes(value: &str) -> Option<u64> {
    let digits = value.strip_suffix(['K', 'M', 'G', 'k', 'm', 'g'])?;
    let shift = match value.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => 10,
        b'M' => 20,
        _ => 30,
    };
    let count: u64 = whole(digits)?;
    count.checked_mul(1 << shift)
}

/// Thousandths of a CPU, as `0.5`.
fn millis(value: &str) -> Option<u32> {
    let (whole_part, decimals) = value.split_once('.').unwrap_or((value, "0"));
    if decimals.len() > 3 {
        return None;
    }
    let thousandths: u32 = whole(&format!("{decimals:0<3}"))?;
    whole::<u32>(whole_part)?
        .checked_mul(1000)?
        .checked_add(thousandths)
}

/// Digits alone: `+1` is no number here.
fn whole<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_or_refused() {
        let table = [
            ("memory=512M", Limit::Memory(512 << 20)),
            ("memory=2g", Limit::Memory(2 << 30)),
            ("cpu=0.5", Limit::Cpu(Some(500))),
            ("cpu=2", Limit::Cpu(Some(2000))),
            ("cpu=1.25", Limit::Cpu(Some(1250))),
            ("cpu=none", Limit::Cpu(None)),
            ("pids=64", Limit::Pids(64)),
        ];
        for (text, expected) in table {
            assert_eq!(limit(text).ok(), Some(expected), "{text}");
        }
        for bad in [
            "memory",
            "memory=12 bananas",
            "memory=512",
            "memory=M",
            "memory=-1M",
            "memory=99999999999999999999G",
            "cpu=",
            "cpu=.5.5",
            "cpu=0.1234",
            "cpu=+1",
            "pids=x",
            "disk=1G",
        ] {
            assert!(matches!(limit(bad), Err(CliError::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn they_are_shown_as_they_are_written() {
        let mut resources = Resources::default();
        assert_eq!(shown(&resources), "memory=512M cpu=none pids=512");
        Limit::Cpu(Some(250)).set(&mut resources);
        Limit::Memory(1536 << 10).set(&mut resources);
        assert_eq!(shown(&resources), "memory=1536K cpu=0.25 pids=512");
    }
}
