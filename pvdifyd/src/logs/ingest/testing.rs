//! A log file of one container as conmon writes it, and what the store has of it.

use crate::{
    engine::LogSource,
    logs::{LogFilter, LogStore},
};
use std::{fs::File, io::Write, path::Path};

pub(super) fn source(path: &Path) -> LogSource {
    LogSource {
        instance: "c1".parse().unwrap(),
        app: "a1".parse().unwrap(),
        process: "web.1".into(),
        path: path.to_owned(),
    }
}

pub(super) fn write(path: &Path, text: &str) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub(super) fn entry(stream: &str, flag: &str, content: &str) -> String {
    format!("2026-11-23T12:47:31.729869184+00:00 {stream} {flag} {content}\n")
}

pub(super) fn messages(store: &LogStore) -> Vec<String> {
    let lines = store
        .tail(&"a1".parse().unwrap(), &LogFilter::default(), 10_000)
        .unwrap();
    lines.into_iter().map(|line| line.message).collect()
}
