//! The receiving side of git's push protocol, blocking: it runs on threads of its own.

mod advertise;
mod check;
mod pack;
pub(crate) mod pktline;
mod refs;
mod request;
mod seal;

pub(crate) use advertise::advertisement;
pub(crate) use pack::open;
pub(crate) use refs::Refs;
pub(crate) use request::{Command, Request, RequestError};

use crate::{config::Limits, repo::Quarantine};
use check::{CheckError, Violation};
use std::{io::Read, sync::atomic::AtomicBool};

/// What came in: the commands, and their objects if these are sound.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) request: Request,
    /// The objects wait in the quarantine, or a sentence says why there are none.
    pub(crate) unpacked: Result<(), String>,
}

/// An input that can say what has come without waiting for it.
pub(crate) trait Arriving: Read {
    /// Whether a read would give bytes at once.
    fn has_arrived(&mut self) -> bool;
}

/// Reads one push off `input`. Its objects are in the quarantine, whole, checked and synced, or not at all.
pub(crate) fn receive(
    mut input: impl Arriving,
    quarantine: &Quarantine,
    limits: &Limits,
    stop: &AtomicBool,
) -> Result<Received, RequestError> {
    let request = request::read(&mut input, limits.commands)?;
    let unpacked = if request.has_pack() {
        unpack(input, quarantine, limits, stop).map_err(|error| explain(&error, request.shallow))
    } else {
        Ok(())
    };
    Ok(Received { request, unpacked })
}

fn unpack(
    mut input: impl Arriving,
    quarantine: &Quarantine,
    limits: &Limits,
    stop: &AtomicBool,
) -> Result<(), CheckError> {
    pack::ingest(&mut input, quarantine, limits)?;
    check::check(quarantine, limits, stop)?;
    if input.has_arrived() {
        return Err(pack::PackError::Trailing.into());
    }
    quarantine
        .sync()
        .map_err(|error| pack::PackError::from(&error).into())
}

/// A shallow clone leaves its oldest commits' parents out; git's own words are what people search for.
fn explain(error: &CheckError, shallow: bool) -> String {
    match error {
        CheckError::Violation(Violation::Missing { .. }) if shallow => {
            "shallow update not allowed: fetch the whole history first (git fetch --unshallow)".to_owned()
        }
        error => error.to_string(),
    }
}
