//! Where Debian 13's packages come from: the mirrors and the options that this host's own apt is set to, so that its
//! proxy and its CAs count. Only the mirrors' addresses stay in an image.

use super::StackError;
use std::{io, process::Output};
use tokio::process::Command;

/// What apt says of each of its indexes: both of its file formats are read by apt itself.
const TARGET: &str = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(SUITE)|$(CODENAME)|$(REPO_URI)";
/// The options that are about reaching a mirror.
const OPTIONS: [&str; 6] = [
    "Acquire::http",
    "Acquire::https",
    "Acquire::ftp",
    "Acquire::Retries",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
];
/// Of both address families.
const FORCE_FAMILY: [&str; 2] = ["Acquire::ForceIPv4", "Acquire::ForceIPv6"];

/// The `deb` lines of Debian 13 on the mirrors of this host, or on the one given.
pub(super) async fn deb_lines(mirror: Option<&str>) -> Result<Vec<String>, StackError> {
    if let Some(mirror) = mirror {
        if !is_address(mirror) {
            return Err(StackError::new(
                format!("{mirror:?} is no mirror's URL"),
                "give one as it is in /etc/apt/sources.list of a Debian machine: http://mirror.example/debian",
            ));
        }
        return Ok(vec![format!("deb {mirror} trixie main")]);
    }
    let mut lines = lines_of(&apt("apt-get", &["indextargets", "--format", TARGET]).await?);
    if lines.is_empty() {
        // On a fresh machine apt has no index yet.
        apt("apt-get", &["--quiet", "--quiet", "update"]).await?;
        lines = lines_of(&apt("apt-get", &["indextargets", "--format", TARGET]).await?);
    }
    if lines.iter().any(|line| line.ends_with(" trixie main")) {
        return Ok(lines);
    }
    Err(StackError::new(
        "this host's apt has no Debian mirror to take trixie from",
        "name one: pvdifyd stack build --mirror http://mirror.example/debian",
    ))
}

/// How this host's apt reaches its mirrors.
pub(super) async fn options() -> Result<String, StackError> {
    Ok(options_of(&apt("apt-config", &["dump"]).await?))
}

/// Its output; that it fails is for what needs its output to notice.
async fn apt(program: &str, arguments: &[&str]) -> Result<String, StackError> {
    let ran: io::Result<Output> = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .await;
    let output = ran.map_err(|error| {
        StackError::new(
            format!("{program} can't be started: {error}"),
            "on a host that is no Debian, make the base images from an image: pvdifyd stack build --from debian:13",
        )
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_address(text: &str) -> bool {
    text.contains("://") && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The label in a Release file tells what a mirror holds: Debian itself, its updates, or its security updates.
fn lines_of(targets: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    for target in targets.lines() {
        let fields: Vec<&str> = target.split('|').collect();
        let ["Packages", "Debian", label, _, codename, address] = fields[..] else {
            continue;
        };
        let suite = match label {
            "Debian-Security" => "trixie-security",
            "Debian" if codename.ends_with("-updates") => "trixie-updates",
            "Debian" if codename.contains("-backports") || codename.contains("-proposed-updates") => continue,
            "Debian" => "trixie",
            _ => continue,
        };
        if is_address(address) && !seen.contains(&suite) {
            seen.push(suite);
            lines.push(format!("deb {address} {suite} main"));
        }
    }
    lines
}

fn options_of(dump: &str) -> String {
    let is_one_of = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default();
        let below = |option: &&str| {
            let rest = name.strip_prefix(option);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let is_set = line.ends_with("\";") && !line.ends_with(" \"\";");
        is_set && OPTIONS.iter().chain(&FORCE_FAMILY).any(below)
    };
    dump.lines()
        .filter(is_one_of)
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_mirrors_give_the_same_lines_for_trixie() {
        let targets = "\
Packages|Debian|Debian|oldstable|bookworm|http://first.example/debian/
Translations|Debian|Debian|oldstable|bookworm|http://first.example/debian/
Packages|Debian|Debian|oldstable-updates|bookworm-updates|http://first.example/debian/
Packages|Debian|Debian Backports|stable-backports|trixie-backports|http://first.example/debian/
Packages|Debian|Debian|stable-backports|bookworm-backports|http://first.example/debian/
Packages|Debian|Debian-Security|oldstable-security|bookworm-security|https://mirror.example/debian-security/
Packages|Debian|Debian|oldstable|bookworm|http://second.example/debian/
Packages|Node Source|Node Source|nodistro|nodistro|https://nodes.example/
";
        assert_eq!(
            lines_of(targets),
            [
                "deb http://first.example/debian/ trixie main",
                "deb http://first.example/debian/ trixie-updates main",
                "deb https://mirror.example/debian-security/ trixie-security main",
            ]
        );
        let ubuntu = "Packages|Ubuntu|Ubuntu|noble|noble|http://archive.ubuntu.com/ubuntu/\n";
        assert!(lines_of(ubuntu).is_empty() && lines_of("").is_empty());
    }

    #[test]
    fn only_the_options_that_reach_a_mirror_are_taken_and_only_set_ones() {
        let dump = "\
APT::Architecture \"amd64\";
Acquire \"\";
Acquire::http \"\";
Acquire::http::Proxy \"http://proxy.example:3128\";
Acquire::https::CAInfo \"/etc/ssl/own.pem\";
Acquire::httpsomething \"1\";
Acquire::Check-Valid-Until \"false\";
Acquire::Check-Date \"false\";
Acquire::Languages:: \"none\";
Acquire::ForceIPv4 \"true\";
";
        insta::assert_snapshot!(options_of(dump), @r#"
        Acquire::http::Proxy "http://proxy.example:3128";
        Acquire::https::CAInfo "/etc/ssl/own.pem";
        Acquire::Check-Valid-Until "false";
        Acquire::Check-Date "false";
        Acquire::ForceIPv4 "true";
        "#);
    }

    #[tokio::test]
    async fn a_mirror_is_a_url_and_nothing_more() {
        let lines = deb_lines(Some("http://m.example/debian")).await.unwrap();
        assert_eq!(lines, ["deb http://m.example/debian trixie main"]);
        for bad in ["trixie", "http://a b", "http://a\ndeb http://b"] {
            assert!(deb_lines(Some(bad)).await.is_err(), "{bad:?}");
        }
    }
}
