//! `static-server FOLDER`: serves the site in `FOLDER` at `$PORT` until SIGTERM or SIGINT.

use pvdify_static_server::{Limits, Server, Site};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::{env, io::Read, os::unix::net::UnixStream, path::Path, process::ExitCode};

fn main() -> ExitCode {
    // A thread that is gone would leave its clients waiting: better to be started anew.
    std::panic::set_hook(Box::new(|info| {
        eprintln!("static-server: {info}");
        std::process::abort();
    }));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("static-server: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        return Err("usage: static-server FOLDER".into());
    };
    let port = match env::var("PORT") {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("PORT is {text:?}, which is no port"))?,
        Err(_) => 8080,
    };
    // Before the first connection: a signal from now on ends in order. As a container's first process it would
    // otherwise have no effect at all.
    let (mut signals, sender) =
        UnixStream::pair().map_err(|error| format!("can't listen to signals: {error}"))?;
    for signal in [SIGTERM, SIGINT] {
        sender
            .try_clone()
            .and_then(|sender| signal_hook::low_level::pipe::register(signal, sender))
            .map_err(|error| format!("can't listen to signals: {error}"))?;
    }
    let site = Site::load(Path::new(&folder), |name| env::var(name).ok()).map_err(|why| why.to_string())?;
    let server = Server::start(site, port, Limits::default())
        .map_err(|error| format!("can't listen at port {port}: {error}"))?;
    println!(
        "Serving {} at port {}",
        Path::new(&folder).display(),
        server.address().port()
    );
    signals
        .read_exact(&mut [0])
        .map_err(|error| format!("can't wait for signals: {error}"))?;
    println!("Stopping");
    server.stop().map_err(|error| error.to_string())
}
